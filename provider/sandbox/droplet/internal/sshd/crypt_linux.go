package sshd

import (
	"crypto/rand"
	"crypto/sha512"
	"crypto/subtle"
	"fmt"
	"strconv"
	"strings"
)

const (
	cryptAlphabet = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	cryptRounds   = 5000
	maxRounds     = 1_000_000 // a hash that asks for more is refused: it would occupy the server
	maxPassword   = 1 << 10
)

// HashPassword hashes a password as /etc/shadow keeps it (SHA-512-crypt), with a random salt.
func HashPassword(password string) string {
	salt := make([]byte, 16)
	for i, b := range randomBytes(len(salt)) {
		salt[i] = cryptAlphabet[b&63]
	}
	return "$6$" + string(salt) + "$" + sha512Crypt(password, string(salt), cryptRounds)
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // it never fails
	return b
}

// checkPassword compares a password with a hash from /etc/shadow. Only SHA-512-crypt is known; a locked account ("!",
// "*") and an empty hash match nothing.
func checkPassword(hash, password string) error {
	rest, ok := strings.CutPrefix(hash, "$6$")
	if !ok {
		return fmt.Errorf("the account has no password that can be checked")
	}
	if len(password) > maxPassword {
		return fmt.Errorf("the password is longer than %d bytes", maxPassword)
	}
	rounds := cryptRounds
	if text, after, found := strings.Cut(rest, "$"); found && strings.HasPrefix(text, "rounds=") {
		n, err := strconv.Atoi(text[len("rounds="):])
		if err != nil || n > maxRounds {
			return fmt.Errorf("the password's hash has an unusable number of rounds")
		}
		rounds, rest = max(n, 1000), after
	}
	salt, want, ok := strings.Cut(rest, "$")
	if !ok || len(salt) > 16 {
		return fmt.Errorf("the password's hash is malformed")
	}
	if subtle.ConstantTimeCompare([]byte(sha512Crypt(password, salt, rounds)), []byte(want)) != 1 {
		return fmt.Errorf("wrong password")
	}
	return nil
}

// sha512Crypt is Ulrich Drepper's SHA-crypt with SHA-512; it returns the hash without its "$6$salt$".
func sha512Crypt(password, salt string, rounds int) string {
	key, salted := []byte(password), []byte(salt)
	alternate := sum(key, salted, key)

	first := sha512.New()
	first.Write(key)
	first.Write(salted)
	first.Write(extend(alternate, len(key)))
	for n := len(key); n > 0; n >>= 1 {
		if n&1 != 0 {
			first.Write(alternate)
		} else {
			first.Write(key)
		}
	}
	digest := first.Sum(nil)

	p := sha512.New()
	for range key {
		p.Write(key)
	}
	keys := extend(p.Sum(nil), len(key))
	s := sha512.New()
	for range 16 + int(digest[0]) {
		s.Write(salted)
	}
	salts := extend(s.Sum(nil), len(salted))

	round := sha512.New()
	for i := range rounds {
		round.Reset()
		if i%2 != 0 {
			round.Write(keys)
		} else {
			round.Write(digest)
		}
		if i%3 != 0 {
			round.Write(salts)
		}
		if i%7 != 0 {
			round.Write(keys)
		}
		if i%2 != 0 {
			round.Write(digest)
		} else {
			round.Write(keys)
		}
		digest = round.Sum(digest[:0])
	}
	return encode(digest)
}

func sum(parts ...[]byte) []byte {
	h := sha512.New()
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}

// extend repeats b up to n bytes.
func extend(b []byte, n int) []byte {
	out := make([]byte, 0, n)
	for len(out) < n {
		out = append(out, b[:min(len(b), n-len(out))]...)
	}
	return out
}

// encode writes 64 bytes in crypt's alphabet and its order of bytes.
func encode(b []byte) string {
	var out strings.Builder
	group := func(v uint, chars int) {
		for range chars {
			out.WriteByte(cryptAlphabet[v&63])
			v >>= 6
		}
	}
	for i, j, k := 0, 21, 42; i != 63 && j != 63 && k != 63; i, j, k = j+1, k+1, i+1 {
		group(uint(b[i])<<16|uint(b[j])<<8|uint(b[k]), 4)
	}
	group(uint(b[63]), 2)
	return out.String()
}
