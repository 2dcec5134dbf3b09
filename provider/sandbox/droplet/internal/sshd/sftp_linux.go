package sshd

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/pkg/sftp"
)

// ServeSFTP is the whole work of the process that [Server.SFTP] names: it serves SFTP on standard input and output, with
// the rights and in the folder that the process has, and returns an exit status.
func ServeSFTP() int {
	server, err := sftp.NewServer(standard{os.Stdin, os.Stdout})
	if err != nil {
		fmt.Fprintln(os.Stderr, "sftp:", err)
		return 1
	}
	if err := server.Serve(); err != nil && !errors.Is(err, io.EOF) {
		fmt.Fprintln(os.Stderr, "sftp:", err)
		return 1
	}
	return 0
}

type standard struct {
	io.Reader
	io.WriteCloser
}
