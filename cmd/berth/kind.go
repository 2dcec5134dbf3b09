package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// The kinds of clouds that a data directory's servers are in.
const (
	inBox        = "sandbox"
	digitalOcean = "digitalocean"
)

// keepKind refuses a cloud of another kind than the one that the directory's
// servers are in, and notes the kind of the first. A Berth that looked for them
// in the wrong cloud would end them all and refund their owners.
func keepKind(dir, kind string) error {
	path := filepath.Join(dir, "cloud")
	known, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return os.WriteFile(path, []byte(kind+"\n"), 0o600)
	case err != nil:
		return err
	}
	was := strings.TrimSpace(string(known))
	if was == kind {
		return nil
	}
	if was == digitalOcean {
		return fmt.Errorf("the servers of %s are at DigitalOcean: set DIGITALOCEAN_TOKEN, or name another directory by --data", dir)
	}
	return fmt.Errorf("the servers of %s are in the %s, with play money: unset DIGITALOCEAN_TOKEN, or name another directory by --data", dir, was)
}
