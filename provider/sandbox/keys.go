package sandbox

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"
)

// keyRow is an SSH key, kept and shown in the same form.
type keyRow struct {
	ID          int    `json:"id"`
	Fingerprint string `json:"fingerprint"` // MD5, in hex with colons
	PublicKey   string `json:"public_key"`
	Name        string `json:"name"`
}

// maxKeys bounds the account's SSH keys, maxName every name in characters.
const (
	maxKeys = 1000
	maxName = 255
)

// findKey is the key with that id, or with that fingerprint.
func (s *state) findKey(name string) *keyRow {
	if id, err := strconv.Atoi(name); err == nil {
		return s.Keys[id]
	}
	for _, k := range s.Keys {
		if k.Fingerprint == name {
			return k
		}
	}
	return nil
}

func (c *Cloud) listKeys(r *http.Request) (reply, error) {
	var shown []keyRow
	err := c.read(func(s *state) error {
		for _, id := range slices.Sorted(maps.Keys(s.Keys)) {
			shown = append(shown, *s.Keys[id])
		}
		return nil
	})
	if err != nil {
		return reply{}, err
	}
	return list(r, "ssh_keys", shown)
}

func (c *Cloud) createKey(r *http.Request) (reply, error) {
	var body struct {
		Name      string `json:"name"`
		PublicKey string `json:"public_key"`
	}
	if err := decode(r, &body); err != nil {
		return reply{}, err
	}
	if body.Name == "" || len(body.Name) > maxName {
		return reply{}, unprocessable("Name must have between 1 and %d characters", maxName)
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(body.PublicKey))
	if err != nil {
		return reply{}, unprocessable("Key invalid, it must be one line such as: ssh-ed25519 AAAA… comment")
	}
	row := keyRow{
		Fingerprint: ssh.FingerprintLegacyMD5(key),
		PublicKey:   strings.TrimSpace(body.PublicKey),
		Name:        body.Name,
	}
	err = c.write(func(s *state) error {
		switch {
		case s.findKey(row.Fingerprint) != nil:
			return unprocessable(msgKeyInUse)
		case len(s.Keys) >= maxKeys:
			return unprocessable("The account has %d SSH keys, which is the most", maxKeys)
		}
		row.ID = s.nextID()
		kept := row
		s.Keys[row.ID] = &kept
		return nil
	})
	if err != nil {
		return reply{}, err
	}
	return reply{http.StatusCreated, object{"ssh_key": row}}, nil
}

func (c *Cloud) getKey(r *http.Request) (reply, error) {
	var row keyRow
	err := c.read(func(s *state) error {
		k := s.findKey(r.PathValue("key"))
		if k == nil {
			return notFound()
		}
		row = *k
		return nil
	})
	if err != nil {
		return reply{}, err
	}
	return ok(object{"ssh_key": row})
}

func (c *Cloud) updateKey(r *http.Request) (reply, error) {
	var body struct {
		Name string `json:"name"`
	}
	if err := decode(r, &body); err != nil {
		return reply{}, err
	}
	if len(body.Name) > maxName {
		return reply{}, unprocessable("Name is too long (maximum is %d characters)", maxName)
	}
	var row keyRow
	err := c.write(func(s *state) error {
		k := s.findKey(r.PathValue("key"))
		if k == nil {
			return notFound()
		}
		k.Name = cmp.Or(body.Name, k.Name)
		row = *k
		return nil
	})
	if err != nil {
		return reply{}, err
	}
	return ok(object{"ssh_key": row})
}

func (c *Cloud) deleteKey(r *http.Request) (reply, error) {
	err := c.write(func(s *state) error {
		k := s.findKey(r.PathValue("key"))
		if k == nil {
			return notFound()
		}
		delete(s.Keys, k.ID)
		return nil
	})
	if err != nil {
		return reply{}, err
	}
	return noContent()
}
