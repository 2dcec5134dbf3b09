package account

import (
	"crypto/aes"
	"crypto/cipher"
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
	maxKeys    = 16                // present and former master keys
	maxSealed  = 1 << 20           // bytes of one secret, before sealing
	overhead   = 28                // bytes that sealing adds: a nonce and a tag
	maxDerived = 255 * sha256.Size // what HKDF can give
)

// Vault seals secrets that are kept in the store, and derives keys. The present
// master key seals; former ones still open what they sealed. A vault may be
// used concurrently and shows nothing of its keys when it is printed.
//
// Sealing is AES-256-GCM with random nonces, under a key derived from the master
// key. The master key is an age identity, which age-keygen makes; age's own
// format agrees on a new key for each secret, which takes hundreds of times as
// long and protects no better where sealer and opener are the same.
type Vault struct {
	present *age.X25519Identity
	ciphers []cipher.AEAD // the present key's first
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
		sealing, err := newCipher(identity)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		v.ciphers = append(v.ciphers, sealing)
	}
	if v.present == nil {
		return nil, errors.New("there is no master key in it; `age-keygen` makes one")
	}
	if len(v.ciphers) > maxKeys {
		return nil, fmt.Errorf("%d master keys are more than %d", len(v.ciphers), maxKeys)
	}
	return v, nil
}

// newCipher is what seals under a master key.
func newCipher(identity *age.X25519Identity) (cipher.AEAD, error) {
	key, err := derive(identity, "seal", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// Seal encrypts a secret of at most 1 MiB with the present master key.
func (v *Vault) Seal(plain []byte) ([]byte, error) {
	if len(plain) > maxSealed {
		return nil, fmt.Errorf("seal: a secret of %d bytes is larger than %d", len(plain), maxSealed)
	}
	return v.ciphers[0].Seal(nil, nil, plain, nil), nil
}

// Open decrypts what Seal made, by whichever master key sealed it.
func (v *Vault) Open(sealed []byte) ([]byte, error) {
	if len(sealed) > maxSealed+overhead {
		return nil, fmt.Errorf("open: %d sealed bytes are too many", len(sealed))
	}
	for _, c := range v.ciphers {
		if plain, err := c.Open(nil, nil, sealed, nil); err == nil {
			return plain, nil
		}
	}
	return nil, errors.New("open: sealed with another master key, or changed since")
}

// Derive is n secret bytes (at most 8160) for a purpose, the same each time for
// the same present master key. Different purposes give independent bytes.
func (v *Vault) Derive(purpose string, n int) ([]byte, error) {
	if n < 1 || n > maxDerived {
		return nil, fmt.Errorf("derive: %d bytes are not from 1 to %d", n, maxDerived)
	}
	return derive(v.present, purpose, n)
}

func derive(identity *age.X25519Identity, purpose string, n int) ([]byte, error) {
	return hkdf.Key(sha256.New, []byte(identity.String()), nil, "berth "+purpose, n)
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
