package main

import (
	"context"
	"os"
	"os/exec"
	"syscall"
)

// startApart starts the bare server in namespaces of its own, of the kinds that
// a droplet has.
func startApart(ctx context.Context, bare string) (*process, error) {
	cmd := exec.Command(bare, "serve")
	self := func(id int) []syscall.SysProcIDMap { return []syscall.SysProcIDMap{{HostID: id, Size: 1}} }
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET |
			syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
		UidMappings: self(os.Getuid()), GidMappings: self(os.Getgid()),
	}
	return startCommand(ctx, cmd)
}
