package account

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"berth"
)

// cheaply makes hashing fast and counts it.
func cheaply(p *Passwords, count *int) *Passwords {
	derive := p.derive
	p.derive = func(password, salt []byte, _, _ uint32, _ uint8, n uint32) []byte {
		*count++
		return derive(password, salt, 1, 8, 1, n)
	}
	return p
}

func TestPasswords(t *testing.T) {
	p := NewPasswords(1)
	hash, err := p.Hash(t.Context(), "correct horse")
	if err != nil || !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") || strings.Contains(hash, "horse") {
		t.Fatalf("hash = %q, %v", hash, err)
	}
	again, err := p.Hash(t.Context(), "correct horse")
	if err != nil || again == hash {
		t.Errorf("the same password has the same hash, %v", err)
	}
	for password, want := range map[string]bool{"correct horse": true, "correct Horse": false, "": false, strings.Repeat("x", 100_000): false} {
		if ok, err := p.Matches(t.Context(), hash, password); ok != want || err != nil {
			t.Errorf("%.20q: %v, %v", password, ok, err)
		}
	}
}

func TestPasswordBounds(t *testing.T) {
	var n int
	p := cheaply(NewPasswords(1), &n)
	for password, ok := range map[string]bool{
		strings.Repeat("ü", 7): false, strings.Repeat("ü", 8): true, strings.Repeat("ü", 200): true, strings.Repeat("ü", 201): false, "12345678\xff": false,
	} {
		hash, err := p.Hash(t.Context(), password)
		if (err == nil) != ok || err != nil && berth.CodeOf(err) != berth.InvalidInput {
			t.Errorf("%d bytes: %v", len(password), err)
		}
		if err != nil && strings.Contains(err.Error(), password) {
			t.Error("the error shows the password")
		}
		if ok && hash == "" {
			t.Error("no hash")
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p.slots <- struct{}{} // somebody else hashes
	if _, err := p.Hash(ctx, "12345678"); !errors.Is(err, context.Canceled) {
		t.Errorf("a wait that was given up: %v", err)
	}
}

// TestHashesOutOfBounds: what a store could be made to hold costs nothing to
// refuse.
func TestHashesOutOfBounds(t *testing.T) {
	var n int
	p := cheaply(NewPasswords(1), &n)
	good := encode(present, make([]byte, 16), make([]byte, 32))
	for _, hash := range []string{
		"x", "$argon2id$v=19$", strings.Replace(good, "argon2id", "argon2i", 1), strings.Replace(good, "v=19", "v=16", 1),
		strings.Replace(good, "m=19456", "m=4194304", 1), strings.Replace(good, "m=19456", "m=1", 1), strings.Replace(good, "m=19456", "m=019456", 1),
		strings.Replace(good, "t=2", "t=1000", 1), strings.Replace(good, "t=2", "t=0", 1), strings.Replace(good, "p=1", "p=0", 1), strings.Replace(good, "p=1", "p=9", 1),
		good + "!", good + "$", encode(present, make([]byte, 4), make([]byte, 32)), encode(present, make([]byte, 16), make([]byte, 8)),
	} {
		if ok, err := p.Matches(t.Context(), hash, "12345678"); ok || err == nil {
			t.Errorf("%s: %v, %v", hash, ok, err)
		}
	}
	if n != 0 {
		t.Errorf("%d were hashed", n)
	}
}

// TestLogIn: who does not exist, has no password or has another one is refused
// in the same words after the same work.
func TestLogIn(t *testing.T) {
	var n int
	p := cheaply(NewPasswords(1), &n)
	hash, err := p.Hash(t.Context(), "correct horse")
	if err != nil {
		t.Fatal(err)
	}
	words := map[string]bool{}
	for _, tt := range []struct {
		name, hash, password string
		who                  Principal
		want                 berth.Code
	}{
		{"right", hash, "correct horse", Principal{ID: "acct_x"}, ""},
		{"wrong", hash, "wrong horse", Principal{ID: "acct_x"}, berth.Unauthenticated},
		{"wrong and suspended", hash, "wrong horse", Principal{ID: "acct_x", Suspended: true}, berth.Unauthenticated},
		{"right and suspended", hash, "correct horse", Principal{ID: "acct_x", Suspended: true}, berth.Suspended},
		{"nobody", "", "correct horse", Principal{}, berth.Unauthenticated},
		{"without a password", "", "", Principal{ID: "acct_x"}, berth.Unauthenticated},
	} {
		n = 0
		err := p.LogIn(t.Context(), tt.who, tt.hash, tt.password)
		var e *berth.Error
		if tt.want == "" && err != nil || tt.want != "" && (!errors.As(err, &e) || e.Code != tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if n != 1 {
			t.Errorf("%s: hashed %d times", tt.name, n)
		}
		if tt.want == berth.Unauthenticated {
			words[e.Message+e.Hint] = true
		}
	}
	if len(words) != 1 {
		t.Errorf("refusals can be told apart: %v", words)
	}
}

// FuzzDecode: no stored text makes a hash cost more than its bounds, and what is
// read has one spelling.
func FuzzDecode(f *testing.F) {
	f.Add(encode(present, make([]byte, 16), make([]byte, 32)))
	f.Add("$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA")
	f.Fuzz(func(t *testing.T, s string) {
		c, salt, sum, err := decode(s)
		if err != nil {
			return
		}
		if c.memory > maxMemory || c.passes > maxPasses || c.threads > maxThreads {
			t.Errorf("%s costs %+v", s, c)
		}
		if again := encode(c, salt, sum); again != s && !strings.ContainsAny(s, "\r\n") {
			t.Errorf("%q and %q are the same", s, again)
		}
	})
}

// fakeKeys derives a purpose from its own text.
type fakeKeys string

func (k fakeKeys) Derive(purpose string, n int) ([]byte, error) {
	return []byte(strings.Repeat(string(k)+purpose, n))[:n], nil
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
