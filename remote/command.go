package remote

import (
	_ "embed"
	"sort"
	"strings"
	"time"
)

// Command is a command line for a server.
type Command struct {
	Line    string            // run by the account's login shell
	Stdin   []byte            // what it reads, at most MaxStdin; then end of file
	Env     map[string]string // added to its environment; names are [A-Za-z_][A-Za-z0-9_]*
	Cwd     string            // where it runs; relative to, and by default, the home directory
	Timeout time.Duration     // then it is killed; see Exec and Start for the default
}

// Bounds of a Command.
const (
	MaxStdin   = 1 << 20   // bytes
	MaxTimeout = time.Hour // of an Exec
	// MaxLine bounds line, environment and directory together, in bytes once
	// quoted. Linux takes no argument of 128 KiB.
	MaxLine = 120 << 10
)

// DefaultTimeout ends an Exec whose command states none.
const DefaultTimeout = time.Minute

//go:embed scripts/exec.sh
var execScript string

// arguments are what exec.sh takes to run the command.
func (c Command) arguments(token string) ([]string, error) {
	if strings.TrimSpace(c.Line) == "" {
		return nil, fail(Invalid, nil, "the command is empty")
	}
	if len(c.Stdin) > MaxStdin {
		return nil, &Error{Kind: TooLarge, Size: int64(len(c.Stdin)), Message: "stdin has more than 1 MiB; upload a file instead"}
	}
	if c.Timeout < 0 {
		return nil, fail(Invalid, nil, "the timeout is negative")
	}
	arguments := []string{token, homePath(c.Cwd), c.Line}
	for name, value := range c.Env {
		if !isName(name) {
			return nil, fail(Invalid, nil, "%q is no name for an environment variable", name)
		}
		arguments = append(arguments, name+"="+value)
	}
	sort.Strings(arguments[3:])
	return arguments, nil
}

func isName(s string) bool {
	for i, r := range s {
		switch {
		case r == '_', 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z':
		case i > 0 && '0' <= r && r <= '9':
		default:
			return false
		}
	}
	return s != ""
}

// homePath makes a directory fit for cd: "~" means what it says, and nothing
// is left to CDPATH or to the meaning of "-".
func homePath(dir string) string {
	if dir == "~" {
		return "."
	}
	dir = strings.TrimPrefix(dir, "~/")
	if dir == "" || strings.HasPrefix(dir, "/") {
		return dir
	}
	return "./" + dir
}

// script is the line by which a login shell runs a script of ours in its own
// place. Any POSIX shell reads it; nothing in the arguments can leave its
// quotes.
func script(text string, arguments ...string) (string, error) {
	var line strings.Builder
	line.WriteString("exec /bin/sh -c " + quote(text) + " berth")
	for _, argument := range arguments {
		if strings.ContainsRune(argument, 0) {
			return "", fail(Invalid, nil, "a NUL byte can't be in a command, its environment or its directory")
		}
		line.WriteString(" " + quote(argument))
	}
	if line.Len() > MaxLine {
		return "", &Error{Kind: TooLarge, Size: int64(line.Len()), Message: "the command is too long; pass a script as stdin or upload it"}
	}
	return line.String(), nil
}

// quote makes one shell word that means exactly s.
func quote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
