package account

import (
	"context"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"berth"
)

const (
	maxUsername = 100 // characters
	maxAlias    = 100
)

var usernamePattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,100}$`)

// ParseUsername checks a name that somebody wants to be known by: 1 to 100 of
// A–Z, a–z, 0–9, _ and -, and nothing that names an account otherwise: no id, no
// wallet's address, not local. Its errors are berth.InvalidInput.
func ParseUsername(s string) (string, error) {
	if !usernamePattern.MatchString(s) {
		return "", refused("username", "a username is 1 to %d letters, digits, _ and -", maxUsername)
	}
	if reserved(s) {
		return "", refused("username", "%q looks like another account's name; choose another one", s)
	}
	return s, nil
}

// reserved tells of names that other things have.
func reserved(s string) bool {
	s = strings.ToLower(s)
	_, notID := berth.ParseID(berth.PrefixAccount, s)
	_, notWallet := berth.ParseWallet(s)
	return notID == nil || notWallet == nil || s == string(Local)
}

// ParseAlias checks what an account is shown as: at most 100 printable
// characters, without space around it. Its errors are berth.InvalidInput.
func ParseAlias(s string) (string, error) {
	s = strings.TrimSpace(s)
	if !utf8.ValidString(s) || utf8.RuneCountInString(s) > maxAlias || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return "", refused("alias", "an alias is at most %d printable characters", maxAlias)
	}
	return s, nil
}

// Named gives a new principal its first username: from the local part of its
// e-mail address, the wallet's address, or local. Where that is taken, a part of
// the account's own id makes it unique.
func Named(ctx context.Context, rx Rx, p Principal, w berth.Wallet) (Principal, error) {
	name := wish(p, w)
	for _, candidate := range []string{name, name + "-" + p.ID.Hex()[18:]} {
		if reserved(candidate) && p.Kind == Email {
			continue
		}
		_, err := rx.PrincipalByUsername(ctx, candidate)
		if berth.CodeOf(err) == berth.NotFound && err != nil {
			p.Username = candidate
			return p, nil
		}
		if err != nil {
			return p, err
		}
	}
	p.Username = string(p.ID) // as unique as anything is
	return p, nil
}

// wish is the username that a principal would have if it were alone.
func wish(p Principal, w berth.Wallet) string {
	switch p.Kind {
	case Local:
		return string(Local)
	case OfWallet:
		return w.Address
	}
	local, _, _ := strings.Cut(p.Email, "@")
	name := strings.Trim(strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf && usernamePattern.MatchString(string(r)) {
			return r
		}
		return '-'
	}, local), "-")
	if name == "" {
		return "user"
	}
	return name // an e-mail address's local part has at most 64 bytes
}
