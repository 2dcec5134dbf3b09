package account

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"berth"
)

// The bounds of a password, in characters.
const (
	MinPassword = 8
	MaxPassword = 200
)

// cost is what argon2id takes for one hash.
type cost struct {
	memory  uint32 // KiB
	passes  uint32
	threads uint8
}

// present is the cost of new hashes: the first of the settings that OWASP's
// Password Storage Cheat Sheet gives for argon2id, 19 MiB and two passes.
var present = cost{memory: 19 << 10, passes: 2, threads: 1}

// The bounds of hashes that are read: a store that somebody has tampered with
// must not make a login take all memory.
const (
	maxMemory  = 64 << 10 // KiB
	maxPasses  = 10
	maxThreads = 4
	saltBytes  = 16
	hashBytes  = 32
)

var errHash = errors.New("the stored password hash is no argon2id hash in PHC's format within bounds")

// Passwords hashes and checks passwords by argon2id (RFC 9106), a few at a time
// so that many logins at once can't take the machine's memory. It may be used
// concurrently.
type Passwords struct {
	slots  chan struct{}
	decoy  string // what passwords of nobody are compared with
	derive func(password, salt []byte, passes, memory uint32, threads uint8, n uint32) []byte
}

// NewPasswords makes one that hashes at most atOnce passwords at the same time.
func NewPasswords(atOnce int) *Passwords {
	p := &Passwords{slots: make(chan struct{}, atOnce), derive: argon2.IDKey}
	// Nothing hashes to zeros that anybody could find.
	p.decoy = encode(present, make([]byte, saltBytes), make([]byte, hashBytes))
	return p
}

// Hash is the hash of a password of 8 to 200 characters, in PHC's string format.
// Its errors are berth.InvalidInput, about the field password, and the context's.
func (p *Passwords) Hash(ctx context.Context, password string) (string, error) {
	if n := utf8.RuneCountInString(password); !utf8.ValidString(password) || n < MinPassword || n > MaxPassword {
		return "", refused("password", "a password has %d to %d characters", MinPassword, MaxPassword)
	}
	salt := make([]byte, saltBytes)
	rand.Read(salt) // never fails since Go 1.24
	sum, err := p.sum(ctx, password, present, salt, hashBytes)
	if err != nil {
		return "", err
	}
	return encode(present, salt, sum), nil
}

// Matches tells whether a hash is the password's. An empty hash, of somebody who
// has none or does not exist, takes as long and matches nothing. Errors are the
// context's, and of a hash that can't be read.
func (p *Passwords) Matches(ctx context.Context, hash, password string) (bool, error) {
	known := hash != ""
	if !known {
		hash = p.decoy
	}
	c, salt, want, err := decode(hash)
	if err != nil {
		return false, err
	}
	got, err := p.sum(ctx, password, c, salt, uint32(len(want)))
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(got, want) == 1 && known, nil
}

// sum waits for a slot and hashes. What is longer than any password is cut, so
// that it costs no more.
func (p *Passwords) sum(ctx context.Context, password string, c cost, salt []byte, n uint32) ([]byte, error) {
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-p.slots }()
	password = password[:min(len(password), MaxPassword*utf8.UTFMax+1)]
	return p.derive([]byte(password), salt, c.passes, c.memory, c.threads, n), nil
}

var phcEncoding = base64.RawStdEncoding.Strict()

func encode(c cost, salt, sum []byte) string {
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, c.memory, c.passes, c.threads,
		phcEncoding.EncodeToString(salt), phcEncoding.EncodeToString(sum))
}

// decode takes a hash in PHC's string format apart. Its error holds no part of
// the hash.
func decode(s string) (c cost, salt, sum []byte, err error) {
	parts := strings.Split(s, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return c, nil, nil, errHash
	}
	n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &c.memory, &c.passes, &c.threads)
	if err != nil || n != 3 || parts[3] != fmt.Sprintf("m=%d,t=%d,p=%d", c.memory, c.passes, c.threads) {
		return c, nil, nil, errHash
	}
	if salt, err = phcEncoding.DecodeString(parts[4]); err != nil {
		return c, nil, nil, errHash
	}
	if sum, err = phcEncoding.DecodeString(parts[5]); err != nil {
		return c, nil, nil, errHash
	}
	cheap := c.threads >= 1 && c.threads <= maxThreads && c.passes >= 1 && c.passes <= maxPasses &&
		c.memory >= 8*uint32(c.threads) && c.memory <= maxMemory
	if !cheap || len(salt) < 8 || len(salt) > 64 || len(sum) < 16 || len(sum) > 64 {
		return c, nil, nil, errHash
	}
	return c, salt, sum, nil
}

// LogIn refuses a password that is not the principal's. The hash is empty where
// nobody has the e-mail address, or who has it has no password: that, and a
// wrong password, get the same berth.Unauthenticated after the same work. Who is
// right and suspended gets berth.Suspended.
func (p *Passwords) LogIn(ctx context.Context, who Principal, hash, password string) error {
	ok, err := p.Matches(ctx, hash, password)
	switch {
	case err != nil:
		return fmt.Errorf("check the password of %s: %w", who.ID, err)
	case !ok:
		return berth.Errorf(berth.Unauthenticated, "the e-mail address or the password is wrong").
			Hinted("Register first (POST /v1/auth/register), or ask the operator to set a password.")
	}
	return who.active()
}

// active refuses a suspended principal.
func (p Principal) active() error {
	if !p.Suspended {
		return nil
	}
	return berth.Errorf(berth.Suspended, "the account %s is suspended", p.ID).Hinted("Ask the operator why.")
}
