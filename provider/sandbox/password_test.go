package sandbox

import (
	"io"
	"net/mail"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var passwordLine = regexp.MustCompile(`(?m)^Password: (\S+)\r?$`)

// letters are the bodies of the mail to the account's owner, by age.
func letters(t *testing.T, dir string) (bodies []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "mail", "*.eml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		letter, err := mail.ReadMessage(f)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(letter.Body)
		if err != nil || letter.Header.Get("To") != accountEmail {
			t.Errorf("a letter to %s, %v", letter.Header.Get("To"), err)
		}
		bodies = append(bodies, string(body))
	}
	return bodies
}

// TestPasswordReset holds that a new password is set, and told by mail only.
func TestPasswordReset(t *testing.T) {
	r := newRig(t)
	d := r.create("x")
	r.completed(r.client.DropletActions.PasswordReset(t.Context(), d.ID))
	got := r.machines.machine(d.ID)
	told := letters(t, r.dir)
	if len(told) != 1 || !got.on || got.firstBoots != 1 {
		t.Fatalf("%d letters; on: %v, first boots: %d", len(told), got.on, got.firstBoots)
	}
	said := passwordLine.FindStringSubmatch(told[0])
	if said == nil || said[1] != got.spec.RootPassword || len(said[1]) < 20 {
		t.Errorf("the letter says %q, the password is %q", told[0], got.spec.RootPassword)
	}
	state, err := os.ReadFile(filepath.Join(r.dir, "state.json"))
	if err != nil || strings.Contains(string(state), got.spec.RootPassword) {
		t.Errorf("the state has the password, %v", err)
	}
	r.completed(r.client.DropletActions.Reboot(t.Context(), d.ID))
	if again := r.machines.machine(d.ID).spec.RootPassword; again != "" {
		t.Error("a later boot sets the password again")
	}
}

func TestMailIsBounded(t *testing.T) {
	r := newRig(t)
	for _, name := range []string{"9.eml", "10.eml"} {
		if err := r.mail(name, "x", "y\n"); err != nil {
			t.Fatal(err)
		}
	}
	for i := range maxMails - 1 {
		if err := os.WriteFile(filepath.Join(r.mailDir(), "1"+strings.Repeat("0", i/50+2)+string(rune('a'+i%50))+".eml"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.dropOldMail(r.mailDir()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(r.mailDir(), "9.eml")); !os.IsNotExist(err) {
		t.Errorf("the oldest letter is still there, %v", err)
	}
	if _, err := os.Stat(filepath.Join(r.mailDir(), "10.eml")); err != nil {
		t.Errorf("the second oldest letter is gone, %v", err)
	}
}
