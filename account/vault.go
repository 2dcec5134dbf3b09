package account

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"
)

// The bounds of a vault.
const (
	maxKeyFile = 64 << 10
	maxKeys    = 16      // present and former master keys
	maxSealed  = 1 << 20 // bytes of one secret, before sealing
	overhead   = 64 << 10
	maxDerived = 255 * sha256.Size // what HKDF can give
)

// Vault seals secrets that are kept in the store, and derives keys. The present
// master key seals; former ones still open what they sealed. A vault may be
// used concurrently and shows nothing of its keys when it is printed.
type Vault struct {
	present *age.X25519Identity
	all     []age.Identity // the present one first
}

// OpenVault reads the master keys from a file, which only its owner may be able
// to read. Where there is none, it makes one with a new key.
func OpenVault(path string) (*Vault, error) {
	text, err := readKeyFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := createKeyFile(path); err != nil {
			return nil, fmt.Errorf("create the master key file %s: %w", path, err)
		}
		text, err = readKeyFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("the master key file: %w", err)
	}
	v, err := NewVault(text)
	if err != nil {
		return nil, fmt.Errorf("the master key file %s: %w", path, err)
	}
	return v, nil
}

// NewVault reads master keys from text: age X25519 identities, one a line, the
// present one first and former ones after it. Empty lines and lines that begin
// with # are comments. Its errors hold no part of the text.
func NewVault(text string) (*Vault, error) {
	v := new(Vault)
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		identity, err := age.ParseX25519Identity(line)
		if err != nil {
			return nil, fmt.Errorf("line %d is no age X25519 identity (AGE-SECRET-KEY-1…)", i+1)
		}
		if v.present == nil {
			v.present = identity
		}
		v.all = append(v.all, identity)
	}
	if v.present == nil {
		return nil, errors.New("there is no master key in it; `age-keygen` makes one")
	}
	if len(v.all) > maxKeys {
		return nil, fmt.Errorf("%d master keys are more than %d", len(v.all), maxKeys)
	}
	return v, nil
}

// Seal encrypts a secret of at most 1 MiB with the present master key.
func (v *Vault) Seal(plain []byte) ([]byte, error) {
	if len(plain) > maxSealed {
		return nil, fmt.Errorf("seal: a secret of %d bytes is larger than %d", len(plain), maxSealed)
	}
	var sealed bytes.Buffer
	w, err := age.Encrypt(&sealed, v.present.Recipient())
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	if _, err := w.Write(plain); err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return sealed.Bytes(), nil
}

// Open decrypts what Seal made, by whichever master key sealed it.
func (v *Vault) Open(sealed []byte) ([]byte, error) {
	if len(sealed) > maxSealed+overhead {
		return nil, fmt.Errorf("open: %d sealed bytes are too many", len(sealed))
	}
	r, err := age.Decrypt(bytes.NewReader(sealed), v.all...)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	return plain, nil
}

// Derive is n secret bytes (at most 8160) for a purpose, the same each time for
// the same present master key. Different purposes give independent bytes.
func (v *Vault) Derive(purpose string, n int) ([]byte, error) {
	if n < 1 || n > maxDerived {
		return nil, fmt.Errorf("derive: %d bytes are not from 1 to %d", n, maxDerived)
	}
	return hkdf.Key(sha256.New, []byte(v.present.String()), nil, "berth "+purpose, n)
}

// String hides the keys.
func (v Vault) String() string { return "vault(redacted)" }

// GoString hides the keys.
func (v Vault) GoString() string { return v.String() }

// LogValue hides the keys.
func (v Vault) LogValue() slog.Value { return slog.StringValue(v.String()) }

// readKeyFile reads a file that others than its owner have no access to.
func readKeyFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close() // only read
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is no regular file", path)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("%s can be read or changed by others (mode %04o): run `chmod 600 %s`, and replace the key if others could get at it",
			path, info.Mode().Perm(), path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return "", err
	}
	if len(text) > maxKeyFile {
		return "", fmt.Errorf("%s is larger than %d bytes", path, maxKeyFile)
	}
	return string(text), nil
}

// createKeyFile makes a file with a new master key, whole or not at all. Where
// another process is faster, its file stays.
func createKeyFile(path string) error {
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		return err
	}
	text := "# Berth's master key. Whoever has it can read every secret that Berth keeps;\n" +
		"# without it they are lost. To replace it, put a new one above it.\n" +
		identity.String() + "\n"
	temporary, err := writeTemporary(filepath.Dir(path), text)
	if err != nil {
		return err
	}
	defer os.Remove(temporary)
	// Unlike a rename, a link never replaces a key that is already there.
	if err := os.Link(temporary, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDirectory(filepath.Dir(path))
}

// writeTemporary writes text to a new file of mode 0600 and to the disk.
func writeTemporary(directory, text string) (path string, err error) {
	f, err := os.CreateTemp(directory, ".master-key-*") // makes it 0600
	if err != nil {
		return "", err
	}
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// syncDirectory makes the names in a directory last.
func syncDirectory(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
