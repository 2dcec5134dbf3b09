package sandbox

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// runPasswordReset restarts a droplet with a new password for root, which is
// told to the account's owner as DigitalOcean does: not by the API, but by mail.
func runPasswordReset(ctx context.Context, c *Cloud, d dropletRow, a actionRow) (effect, error) {
	if err := c.machines.Stop(ctx, d.machine(), false); err != nil {
		return nil, err
	}
	spec := c.specNow(&d)
	spec.RootPassword = rand.Text()
	if err := c.machines.Start(ctx, spec); err != nil {
		return nil, err
	}
	letter := fmt.Sprintf("Droplet Name: %s\nIP Address: %s\nUsername: root\nPassword: %s\n", d.Name, d.Addr, spec.RootPassword)
	return becomes(statusActive), c.mail(fmt.Sprintf("%d.eml", a.ID), "Your new Droplet: "+d.Name, letter)
}

// maxMails bounds the letters that are kept; the oldest make room.
const maxMails = 200

// mailDir is where letters to the account's owner are kept, in the form that
// mail has (RFC 5322). Only who may read the data directory can read them.
func (c *Cloud) mailDir() string { return filepath.Join(c.dir, "mail") }

// mail sends a letter to the account's owner.
func (c *Cloud) mail(file, subject, text string) error {
	dir := c.mailDir()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the mail folder: %w", err)
	}
	var letter bytes.Buffer
	fmt.Fprintf(&letter, "Date: %s\r\nFrom: Sandbox <noreply@example.com>\r\nTo: %s\r\nSubject: %s\r\n", c.now().UTC().Format(time.RFC1123Z), accountEmail, subject)
	fmt.Fprintf(&letter, "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n%s", strings.ReplaceAll(text, "\n", "\r\n"))
	if err := writeFile(filepath.Join(dir, file), letter.Bytes()); err != nil {
		return fmt.Errorf("send a letter: %w", err)
	}
	return c.dropOldMail(dir)
}

// dropOldMail goes by the files' names, which are numbers that grow.
func (c *Cloud) dropOldMail(dir string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	found, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("look for old letters: %w", err)
	}
	slices.SortFunc(found, func(a, b os.DirEntry) int {
		if d := len(a.Name()) - len(b.Name()); d != 0 {
			return d
		}
		return strings.Compare(a.Name(), b.Name())
	})
	for _, entry := range found[:max(0, len(found)-maxMails)] {
		if err := os.Remove(filepath.Join(dir, entry.Name())); err != nil {
			return fmt.Errorf("forget an old letter: %w", err)
		}
	}
	return nil
}
