package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"berth/ops"
)

// The commands of the demo: some that look around, and one whose output comes
// line by line over more than a second.
var lookAround = []string{
	"uname -sr && id -un && hostname",
	`for i in 1 2 3 4 5; do echo "working: $i of 5"; sleep 0.25; done`,
}

func (s *story) exec(ctx context.Context, c *scene) error {
	var done []map[string]any
	for _, line := range lookAround {
		out, err := c.exec(ctx, line)
		if err != nil {
			return err
		}
		c.say("exit status %d after %d ms", *out.ExitCode, out.DurationMS)
		done = append(done, map[string]any{
			"command": line, "exit_code": *out.ExitCode, "ms": out.DurationMS, "stdout": out.Stdout.Text,
		})
	}
	c.facts["commands"] = done
	return nil
}

// exec runs a command on the first server; another exit status than zero is an
// error.
func (c *scene) exec(ctx context.Context, line string) (out ops.ExecOut, err error) {
	in := map[string]any{"server_id": c.server.ID, "command": line, "timeout_seconds": 30}
	if err := c.call(ctx, "ssh_exec", in, &out); err != nil {
		return out, err
	}
	if out.ExitCode == nil || *out.ExitCode != 0 {
		return out, fmt.Errorf("%q did not end well: exit code %s, signal %q: %s", line, show(out.ExitCode), out.Signal, out.Stderr.Text)
	}
	return out, nil
}

func show(code *int) string {
	if code == nil {
		return "none"
	}
	return fmt.Sprint(*code)
}

// findFile reads the page from the server that was made of the snapshot.
func (s *story) findFile(ctx context.Context, c *scene) error {
	var file ops.FileOut
	in := map[string]any{"server_id": s.restored.ID, "path": pagePath}
	if err := c.call(ctx, "download_file", in, &file); err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(file.Content))
	if file.Content != s.page.content || file.SHA256 != hex.EncodeToString(sum[:]) {
		return fmt.Errorf("%s on %s is not the page that was uploaded to %s", pagePath, s.restored.ID, s.server.ID)
	}
	c.say("%s is there: %d bytes, the very same.", file.Path, file.Size)
	c.facts["path"], c.facts["size_bytes"], c.facts["sha256"] = file.Path, file.Size, file.SHA256
	return nil
}
