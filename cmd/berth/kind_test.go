package main

import (
	"strings"
	"testing"
)

// A command without the service's environment must not take its servers for lost.
func TestKeepKind(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, tt := range []struct {
		kind, refused string
	}{{digitalOcean, ""}, {digitalOcean, ""}, {inBox, "DIGITALOCEAN_TOKEN"}, {digitalOcean, ""}} {
		err := keepKind(dir, tt.kind)
		if (err != nil) != (tt.refused != "") || err != nil && !strings.Contains(err.Error(), tt.refused) {
			t.Errorf("%s: %v, want %q", tt.kind, err, tt.refused)
		}
	}
	play := t.TempDir()
	if err := keepKind(play, inBox); err != nil {
		t.Fatal(err)
	}
	if err := keepKind(play, digitalOcean); err == nil {
		t.Error("play servers are taken for real ones")
	}
}
