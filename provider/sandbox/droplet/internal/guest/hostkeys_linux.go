package guest

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/crypto/ssh"

	"berth/provider/sandbox/droplet/internal/cloudinit"
)

const hostKeyPath = "/etc/ssh/ssh_host_"

var hostKeyName = regexp.MustCompile(`^(rsa|ecdsa|ed25519)_(private|public)$`)

// installHostKeys gives a new instance its own keys: those of the cloud-config, else none, and one is made later. A
// snapshot's keys are not kept, unless the cloud-config says so.
func installHostKeys(c cloudinit.Config) error {
	if !c.DeleteHostKeys.Set || c.DeleteHostKeys.On {
		old, err := filepath.Glob(hostKeyPath + "*")
		if err != nil {
			return err
		}
		for _, name := range old {
			if err := os.Remove(name); err != nil {
				return err
			}
		}
	}
	var errs []error
	for name, text := range c.HostKeys {
		m := hostKeyName.FindStringSubmatch(name)
		if m == nil {
			errs = append(errs, fmt.Errorf("ssh_keys: %s is not supported", name))
			continue
		}
		file, mode := hostKeyPath+m[1]+"_key", fs.FileMode(0o600)
		if m[2] == "public" {
			file, mode = file+".pub", 0o644
		}
		errs = append(errs, replace(file, strings.TrimSpace(text)+"\n", mode))
	}
	return errors.Join(errs...)
}

// hostKeys reads the keys of this droplet, and makes one if it has none that can be used. The error tells of those that
// can't.
func hostKeys() ([]ssh.Signer, error) {
	files, err := filepath.Glob(hostKeyPath + "*_key")
	if err != nil {
		return nil, err
	}
	var keys []ssh.Signer
	var unusable []error
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			unusable = append(unusable, err)
			continue
		}
		key, err := ssh.ParsePrivateKey(b)
		if err != nil {
			unusable = append(unusable, fmt.Errorf("%s: %w", name, err))
			continue
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		key, err := newHostKey()
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, errors.Join(unusable...)
}

func newHostKey() (ssh.Signer, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		return nil, err
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return nil, err
	}
	name := hostKeyPath + "ed25519_key"
	return signer, errors.Join(
		replace(name, string(pem.EncodeToMemory(block)), 0o600),
		replace(name+".pub", string(ssh.MarshalAuthorizedKey(signer.PublicKey())), 0o644),
	)
}
