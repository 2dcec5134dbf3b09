package main

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// TestGrammar holds the parsers of single commands against the whole one: they
// accept and refuse the same arguments, and read the same from them.
func TestGrammar(t *testing.T) {
	for _, args := range [][]string{
		{"mcp"},
		{"mcp", "--data", "/x", "--read-only", "--toolsets=all", "--budget", "3.00"},
		{"mcp", "--listen"},
		{"mcp", "more"},
		{"serve", "--listen", "127.0.0.1:1", "--detached", "--log-format=json", "--rate-limit=7"},
		{"serve", "--log-level", "loud"},
		{"serve", "--read-only"},
	} {
		alone := grammar(args)
		if _, whole := alone.(*commands); whole {
			t.Errorf("%q is parsed by the whole grammar", args)
		}
		var whole commands
		got, want := parse(t, alone, args), parse(t, &whole, args)
		if got != want {
			t.Errorf("%q: alone %q, among all %q", args, got, want)
		}
		var read, wanted any
		switch v := reflect.ValueOf(alone).Elem(); args[0] {
		case "mcp":
			read, wanted = v.FieldByName("MCP").Interface(), whole.MCP
		default:
			read, wanted = v.FieldByName("Serve").Interface(), whole.Serve
		}
		if !reflect.DeepEqual(read, wanted) {
			t.Errorf("%q is read as %+v, want %+v", args, read, wanted)
		}
	}
	for _, args := range [][]string{nil, {"--help"}, {"status"}, {"--data", "/x", "mcp"}} {
		if _, whole := grammar(args).(*commands); !whole {
			t.Errorf("%q is not parsed by the whole grammar", args)
		}
	}
}

// parse is the error of parsing args by a grammar, or the flags of what it
// found.
func parse(t *testing.T, grammar any, args []string) string {
	t.Helper()
	parser, err := kong.New(grammar, kong.Name("berth"), kong.Vars{"version": "1"}, kong.Exit(func(int) {}))
	if err != nil {
		t.Fatal(err)
	}
	k, err := parser.Parse(args)
	if err != nil {
		return err.Error()
	}
	var flags []string
	for _, f := range k.Flags() {
		flags = append(flags, f.Summary())
	}
	slices.Sort(flags)
	return k.Command() + " " + k.Selected().Help + " " + strings.Join(flags, " ")
}
