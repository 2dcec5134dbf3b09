package guest

import (
	"os"
	"path/filepath"
	"testing"
)

func TestSudoers(t *testing.T) {
	for name, c := range map[string]struct {
		rule string
		want bool
	}{
		"by name":           {"ann ALL=(ALL) NOPASSWD:ALL\n", true},
		"with spaces":       {"ann  ALL = (ALL:ALL) NOPASSWD: ALL\n", true},
		"by group":          {"%admin ALL=(ALL) NOPASSWD:ALL\n", true},
		"everybody":         {"ALL ALL=(ALL) NOPASSWD:ALL\n", true},
		"second line":       {"# rules\nbob ALL=(ALL) NOPASSWD:ALL\nann ALL=(ALL) NOPASSWD:ALL\n", true},
		"with a password":   {"ann ALL=(ALL) ALL\n", false},
		"one command":       {"ann ALL=(ALL) NOPASSWD:/bin/true\n", false},
		"another":           {"bob ALL=(ALL) NOPASSWD:ALL\n", false},
		"another's group":   {"%other ALL=(ALL) NOPASSWD:ALL\n", false},
		"begins like ann":   {"annabel ALL=(ALL) NOPASSWD:ALL\n", false},
		"commented out":     {"#ann ALL=(ALL) NOPASSWD:ALL\n", false},
		"of another host":   {"ann web1=(ALL) NOPASSWD:ALL\n", false},
		"nothing":           {"", false},
		"a name and no end": {"ann", false},
	} {
		root := t.TempDir()
		for file, text := range map[string]string{"etc/group": "admin:x:5:eve,ann\nother:x:6:annabel\n", "etc/sudoers.d/test": c.rule} {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(root, file)), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(root, file), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := mayRaise(root, "ann"); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
