package sshd

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/go-crypt/crypt/algorithm/shacrypt"
	"github.com/go-crypt/x/yescrypt"
	"golang.org/x/crypto/bcrypt"
)

// A hash that asks for more than these is refused: it would occupy the server.
const (
	cryptRounds = 5000 // of SHA-crypt, for new hashes
	maxRounds   = 1_000_000
	maxBcrypt   = 12       // logarithm of its rounds
	maxYescrypt = 64 << 20 // bytes of memory
	maxPassword = 1 << 10
)

var (
	errNoPassword    = errors.New("the account has no password that can be checked")
	errWrongPassword = errors.New("wrong password")
	errCostly        = errors.New("the password's hash asks for more work than a login may cause")
)

// HashPassword hashes a password as /etc/shadow keeps it (SHA-512-crypt), with a random salt.
func HashPassword(password string) (string, error) {
	hasher, err := shacrypt.New(shacrypt.WithSHA512(), shacrypt.WithRounds(cryptRounds))
	if err != nil {
		return "", err
	}
	digest, err := hasher.Hash(password)
	if err != nil {
		return "", fmt.Errorf("hash a password: %w", err)
	}
	return digest.Encode(), nil
}

// checkPassword compares a password with a hash from /etc/shadow, in any of the forms that a Linux system's passwd
// writes today: yescrypt, SHA-crypt and bcrypt. A locked account ("!", "*") and an empty hash match nothing.
func checkPassword(hash, password string) error {
	if len(password) > maxPassword {
		return fmt.Errorf("the password is longer than %d bytes", maxPassword)
	}
	switch {
	case strings.HasPrefix(hash, "$y$"):
		return checkYescrypt(hash, password)
	case strings.HasPrefix(hash, "$6$"), strings.HasPrefix(hash, "$5$"):
		return checkSHA(hash, password)
	case strings.HasPrefix(hash, "$2"):
		return checkBcrypt(hash, password)
	}
	return errNoPassword
}

func checkSHA(hash, password string) error {
	digest, err := shacrypt.Decode(hash)
	if err != nil {
		return fmt.Errorf("the password's hash is malformed: %w", err)
	}
	d, ok := digest.(*shacrypt.Digest)
	if !ok || len(d.Salt()) > 16 {
		return errors.New("the password's hash is malformed")
	}
	var rounds int
	if _, err := fmt.Sscanf(hash[3:], "rounds=%d$", &rounds); err == nil && rounds > maxRounds {
		return errCostly
	}
	if !d.Match(password) {
		return errWrongPassword
	}
	return nil
}

func checkYescrypt(hash, password string) error {
	if len(hash) < 7 || strings.Count(hash, "$") != 4 {
		return errors.New("the password's hash is malformed")
	}
	_, rounds, blocks, err := yescrypt.DecodeSetting([]byte(hash[3:6]))
	if err != nil {
		return err
	}
	if rounds > 20 || blocks<<(rounds+7) > maxYescrypt { // 128 bytes of memory for each round and block
		return errCostly
	}
	defer debug.FreeOSMemory() // a login is rare, and what it needed is more than all the rest of this process
	got, err := yescrypt.Hash([]byte(password), []byte(hash))
	if err != nil {
		return fmt.Errorf("the password's hash is malformed: %w", err)
	}
	if subtle.ConstantTimeCompare(got, []byte(hash)) != 1 {
		return errWrongPassword
	}
	return nil
}

func checkBcrypt(hash, password string) error {
	cost, err := bcrypt.Cost([]byte(hash))
	if err != nil {
		return fmt.Errorf("the password's hash is malformed: %w", err)
	}
	if cost > maxBcrypt {
		return errCostly
	}
	if err := bcrypt.CompareHashAndPassword([]byte(hash), []byte(password)); err != nil {
		return fmt.Errorf("%w: %w", errWrongPassword, err)
	}
	return nil
}
