package account_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"filippo.io/age"

	"berth/account"
)

// newKey is the text of a new master key.
func newKey(t *testing.T) string {
	t.Helper()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	return identity.String()
}

func newVault(t *testing.T, text string) *account.Vault {
	t.Helper()
	v, err := account.NewVault(text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestVaultRotation(t *testing.T) {
	former, present := newKey(t), newKey(t)
	sealed, err := newVault(t, former).Seal([]byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	both := newVault(t, "# the present key\n"+present+"\n\n# the former one\r\n"+former+"\r\n")
	if plain, err := both.Open(sealed); err != nil || string(plain) != "secret" {
		t.Errorf("the former key's secret opens as %q, %v", plain, err)
	}
	if _, err := newVault(t, present).Open(sealed); err == nil {
		t.Error("a secret opens without its key")
	}
	resealed, err := both.Seal([]byte("secret"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newVault(t, former).Open(resealed); err == nil {
		t.Error("a new secret is sealed with the former key")
	}
	resealed[len(resealed)-1] ^= 1
	if _, err := both.Open(resealed); err == nil {
		t.Error("a changed secret opens")
	}
}

func TestVaultBounds(t *testing.T) {
	v := newVault(t, newKey(t))
	largest := make([]byte, 1<<20)
	sealed, err := v.Seal(largest)
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := v.Open(sealed); err != nil || !bytes.Equal(plain, largest) {
		t.Errorf("1 MiB comes back as %d bytes, %v", len(plain), err)
	}
	if _, err := v.Seal(make([]byte, 1<<20+1)); err == nil {
		t.Error("more than 1 MiB is sealed")
	}
	if _, err := v.Open(make([]byte, 2<<20)); err == nil {
		t.Error("2 MiB of zeros open")
	}
}

func TestVaultDerive(t *testing.T) {
	text := newKey(t)
	derive := func(v *account.Vault, purpose string) string {
		b, err := v.Derive(purpose, 32)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	v := newVault(t, text)
	if derive(v, "token") != derive(newVault(t, text), "token") {
		t.Error("the same key derives other bytes")
	}
	if derive(v, "token") == derive(v, "challenge") || derive(v, "token") == derive(newVault(t, newKey(t)), "token") {
		t.Error("another purpose or key derives the same bytes")
	}
	for _, n := range []int{0, -1, 255*32 + 1} {
		if _, err := v.Derive("token", n); err == nil {
			t.Errorf("Derive gives %d bytes", n)
		}
	}
}

func TestNewVaultRefusals(t *testing.T) {
	key := newKey(t)
	for name, text := range map[string]string{
		"empty":          "",
		"only a comment": "# " + key,
		"cut short":      key[:len(key)-1],
		"too many":       strings.Repeat(key+"\n", 17),
		"a recipient":    "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p",
	} {
		_, err := account.NewVault(text)
		if err == nil {
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), key[20:40]) {
			t.Errorf("%s: the error shows the key: %v", name, err)
		}
	}
}

func TestVaultIsNeverPrinted(t *testing.T) {
	key := newKey(t)
	v := newVault(t, key)
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("vault", "pointer", v, "value", *v)
	for _, s := range []string{
		fmt.Sprint(v), fmt.Sprintf("%+v", *v), fmt.Sprintf("%#v", v), fmt.Sprintf("%#v", *v), log.String(),
	} {
		if !strings.Contains(s, "redacted") || strings.Contains(s, "AGE-SECRET-KEY") {
			t.Errorf("printed as %s", s)
		}
	}
}

func TestOpenVaultMakesOneFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "master.key")
	const openers = 8
	sealed := make([][]byte, openers)
	var wg sync.WaitGroup
	for i := range openers {
		wg.Go(func() {
			v, err := account.OpenVault(path)
			if err == nil {
				sealed[i], err = v.Seal([]byte("secret"))
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	v, err := account.OpenVault(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sealed {
		if plain, err := v.Open(s); err != nil || string(plain) != "secret" {
			t.Fatalf("another opener has another key: %q, %v", plain, err)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file's mode is %v, %v", info.Mode(), err)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestOpenVaultRefusals(t *testing.T) {
	dir := t.TempDir()
	withMode := func(mode os.FileMode) string {
		path := filepath.Join(dir, fmt.Sprintf("%o.key", mode))
		if err := os.WriteFile(path, []byte(newKey(t)), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil { // whatever the umask
			t.Fatal(err)
		}
		return path
	}
	open := withMode(0o644)
	large := filepath.Join(dir, "large.key")
	if err := os.WriteFile(large, make([]byte, 65<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		open:                                  "chmod 600",
		withMode(0o640):                       "chmod 600",
		withMode(0o620):                       "chmod 600",
		withMode(0o601):                       "chmod 600",
		large:                                 "larger",
		dir:                                   "no regular file",
		filepath.Join(dir, "none", "its.key"): "no such file",
	} {
		if _, err := account.OpenVault(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error = %v, want one that says %q", path, err, want)
		}
	}
	if err := os.Chmod(open, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := account.OpenVault(open); err != nil {
		t.Errorf("after what the error says to do: %v", err)
	}
}
