package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/alecthomas/kong"
)

// usual turns what people type at other programs into the flags that mean it.
func usual(args []string) []string {
	switch {
	case len(args) == 0:
		return []string{"--help"}
	case args[0] == "help":
		return append(args[1:len(args):len(args)], "--help")
	case args[0] == "version" && len(args) == 1:
		return []string{"--version"}
	}
	return args
}

// usageStatus is the exit status for a command line that makes no sense, as
// sysexits.h has it.
const usageStatus = 64

// misunderstood says in one line what is wrong with a command line, and in
// another where to look.
func misunderstood(err error) int {
	command := "berth"
	if wrong := new(kong.ParseError); errors.As(err, &wrong) {
		for _, step := range wrong.Context.Path {
			if step.Command != nil {
				command += " " + step.Command.Name
			}
		}
	}
	fmt.Fprintf(os.Stderr, "berth: %v\nSee: %s --help\n", err, command)
	return usageStatus
}
