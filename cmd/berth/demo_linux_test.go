package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// shellless is the program in a user namespace of its own in which the kernel
// makes no further ones.
const shellless = "berth-shellless"

func init() {
	commandsOfTests[shellless] = func() {
		if err := os.WriteFile("/proc/sys/user/max_user_namespaces", []byte("0"), 0); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(cannotForbid)
		}
		main()
	}
}

const cannotForbid = 99

// TestDemoWithoutShells tells the story where no droplet can boot.
func TestDemoWithoutShells(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", t.TempDir())
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Args = []string{shellless, "demo", "--json"}
	cmd.Stderr = os.Stderr
	root := func(id int) []syscall.SysProcIDMap { return []syscall.SysProcIDMap{{HostID: id, Size: 1}} }
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER, UidMappings: root(os.Getuid()), GidMappings: root(os.Getgid())}
	out, err := cmd.Output()
	var ended *exec.ExitError
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EINVAL):
		t.Skipf("this machine forbids user namespaces (%v), so that TestDemo has told this story", err)
	case errors.As(err, &ended) && ended.ExitCode() == cannotForbid:
		t.Skip("the limit on user namespaces can't be written here, so they can't be forbidden")
	case err != nil:
		t.Fatalf("%v\n%s", err, out)
	}
	lines := readLines(t, out)
	if lines[0].Shells {
		t.Fatalf("there are shells nevertheless: %+v", lines[0])
	}
	checkStory(t, lines)
	checkNothingLeft(t)
}
