package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// First-boot data is large and never changes, so it is kept apart from the
// state, which is written again at each change: in a file for each request for
// droplets, that goes with the last of them.

// userDataFile is where the data of that name is kept.
func (c *Cloud) userDataFile(name string) string { return filepath.Join(c.dir, "user-data", name) }

// keepUserData keeps first-boot data and returns its name, which is empty for
// none.
func (c *Cloud) keepUserData(text string) (name string, err error) {
	if text == "" {
		return "", nil
	}
	name = newUUID()
	if err := writeFile(c.userDataFile(name), []byte(text)); err != nil {
		return "", fmt.Errorf("keep the user data: %w", err)
	}
	return name, nil
}

// dropUserData removes first-boot data, unless a droplet has it.
func (c *Cloud) dropUserData(name string) {
	c.mu.Lock()
	used := name == ""
	for _, d := range c.state.Droplets {
		used = used || d.Data == name
	}
	c.mu.Unlock()
	if used {
		return
	}
	if err := os.Remove(c.userDataFile(name)); err != nil {
		c.log.Warn("could not remove user data", "error", err)
	}
}

// loadUserData gives droplets their first-boot data, and removes what a crash
// left behind. Older states have the data in themselves.
func (c *Cloud) loadUserData() error {
	dir := filepath.Dir(c.userDataFile("x"))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("sandbox: make the folder of user data: %w", err)
	}
	wanted := map[string]bool{}
	for _, d := range c.state.Droplets {
		var err error
		switch {
		case d.Inline != "":
			d.UserData, d.Inline = d.Inline, ""
			d.Data, err = c.keepUserData(d.UserData)
		case d.Data != "":
			var text []byte
			text, err = os.ReadFile(c.userDataFile(d.Data))
			d.UserData = string(text)
		}
		if err != nil {
			return fmt.Errorf("sandbox: the user data of droplet %d: %w", d.ID, err)
		}
		wanted[d.Data] = true
	}
	found, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("sandbox: look for user data: %w", err)
	}
	for _, entry := range found {
		if !wanted[entry.Name()] {
			if removeErr := os.Remove(filepath.Join(dir, entry.Name())); !errors.Is(removeErr, fs.ErrNotExist) {
				err = errors.Join(err, removeErr)
			}
		}
	}
	return err
}
