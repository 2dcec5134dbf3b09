package berth

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// ID names an object: a prefix that tells its kind and 24 hex digits, 48 bits
// of milliseconds and 48 random ones, so that ids sort by age and can't be
// guessed: "srv_0193f2a4c1d05e6f7a8b9c0d".
type ID string

// The kinds of object that have ids.
const (
	PrefixAccount     = "acct"
	PrefixAction      = "act"
	PrefixAPIKey      = "akey"
	PrefixInvitation  = "inv"
	PrefixKey         = "key"
	PrefixOffer       = "offer"
	PrefixPayment     = "pay"
	PrefixPool        = "pool"
	PrefixQuote       = "quo"
	PrefixServer      = "srv"
	PrefixSnapshot    = "snap"
	PrefixTransaction = "txn"
)

const hexDigits = 24

// NewID makes an id of the kind that prefix names, with the given time.
func NewID(prefix string, now time.Time) ID {
	var b [14]byte
	binary.BigEndian.PutUint64(b[:8], uint64(now.UnixMilli())<<16)
	rand.Read(b[6:12]) // never fails since Go 1.24
	return ID(prefix + "_" + hex.EncodeToString(b[:12]))
}

// ParseID reads an id of the kind that prefix names, and refuses every other
// string with an error that shows the form.
func ParseID(prefix, s string) (ID, error) {
	if digits, ok := strings.CutPrefix(s, prefix+"_"); ok && len(digits) == hexDigits {
		if _, err := hex.DecodeString(digits); err == nil && digits == strings.ToLower(digits) {
			return ID(s), nil
		}
	}
	return "", fmt.Errorf("%q is no %s id: expected %s_ and %d hex digits", s, prefix, prefix, hexDigits)
}

// Prefix is the part before the underscore: the kind of object.
func (id ID) Prefix() string {
	p, _, _ := strings.Cut(string(id), "_")
	return p
}

// Hex is the part after the underscore.
func (id ID) Hex() string {
	_, h, _ := strings.Cut(string(id), "_")
	return h
}
