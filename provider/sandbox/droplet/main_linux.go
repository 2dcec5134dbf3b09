package droplet

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"berth/provider/sandbox/droplet/internal/archive"
	"berth/provider/sandbox/droplet/internal/guest"
	"berth/provider/sandbox/droplet/internal/sshd"
)

// filesName is the name under which a binary works on a droplet's files.
const filesName = "berth-files"

// Main turns this process into a droplet's PID 1, a disk helper or a tool inside a droplet when it was started as one
// (by argv[0]), and never returns then; else it returns at once. Every binary that opens a Host (programs first thing
// in main, tests in TestMain) calls it.
func Main() {
	switch filepath.Base(os.Args[0]) {
	case guest.Name:
		guest.Init(os.Args[1:])
	case guest.SFTPName:
		os.Exit(sshd.ServeSFTP())
	case guest.HTTPName:
		os.Exit(guest.ServeFiles(os.Args[1:]))
	case guest.SudoName:
		os.Exit(guest.AskSudo(os.Args[1:]))
	case guest.IptablesName:
		os.Exit(guest.Iptables(os.Args[1:]))
	case filesName:
		if err := workOnFiles(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
}

// The verbs of the disk helper.
const (
	verbSave    = "save"    // limit in bytes; writes an archive to standard output
	verbLoad    = "load"    // reads one from standard input
	verbEmpty   = "empty"   // removes all files
	verbMeasure = "measure" // writes an archive.Usage as JSON
	verbNothing = "nothing"
)

// workOnFiles does one thing with the files below the working folder. It is root with the droplet's ids, who may read
// and change them all, and makes the folder its root, so that nothing else is in reach.
func workOnFiles(args []string) error {
	if err := errors.Join(syscall.Chroot("."), syscall.Chdir("/")); err != nil {
		return fmt.Errorf("chroot: %w", err)
	}
	syscall.Umask(0)
	root, err := os.OpenRoot("/")
	if err != nil {
		return err
	}
	defer root.Close()
	switch {
	case len(args) == 1 && args[0] == verbNothing:
		return nil
	case len(args) == 2 && args[0] == verbSave:
		limit, err := strconv.ParseInt(args[1], 10, 64)
		if err != nil {
			return err
		}
		return archive.Write(os.Stdout, root, limit)
	case len(args) == 1 && args[0] == verbLoad:
		return archive.Extract(os.Stdin, root)
	case len(args) == 1 && args[0] == verbEmpty:
		return archive.Empty(root)
	case len(args) == 1 && args[0] == verbMeasure:
		usage, err := archive.Measure(root)
		if err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(usage)
	}
	return fmt.Errorf("%s is started by its host only", filesName)
}
