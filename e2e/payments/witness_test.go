package payments

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
)

// witness keeps every log line, of every level, and every error that was
// answered, and knows the secrets that must not stand in them. It is a
// slog.Handler.
type witness struct {
	t       *testing.T
	inner   slog.Handler
	mu      sync.Mutex
	text    strings.Builder
	secrets map[string]string // by the secret: what it is
}

func newWitness(t *testing.T) *witness {
	w := &witness{t: t, secrets: map[string]string{}}
	w.inner = slog.NewTextHandler(writer{w}, &slog.HandlerOptions{Level: slog.LevelDebug})
	return w
}

type writer struct{ *witness }

func (w writer) Write(b []byte) (int, error) {
	w.heard(string(b))
	return len(b), nil
}

func (w *witness) Enabled(context.Context, slog.Level) bool { return true }

func (w *witness) Handle(ctx context.Context, r slog.Record) error { return w.inner.Handle(ctx, r) }

func (w *witness) WithAttrs(a []slog.Attr) slog.Handler { return w.inner.WithAttrs(a) }

func (w *witness) WithGroup(name string) slog.Handler { return w.inner.WithGroup(name) }

// heard keeps a text that others can read.
func (w *witness) heard(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text.WriteString(text)
	w.text.WriteByte('\n')
}

// hide names a secret.
func (w *witness) hide(what, secret string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(secret) < 12 {
		w.t.Errorf("%s is too short to be looked for: %q", what, secret)
		return
	}
	w.secrets[secret] = what
}

// hideCredential names what is secret in a credential: as it travels, and the
// halves of its signatures, which a transaction carries apart.
func (w *witness) hideCredential(c credential) {
	w.hide("a credential", base64.StdEncoding.EncodeToString(c.data))
	w.hide("a credential", base64.RawURLEncoding.EncodeToString(c.data))
	var in struct {
		Payload   struct{ Signature string }
		Signature string // of a sign-in
	}
	data := c.data
	if c.scheme == "siwx" {
		data, _ = base64.StdEncoding.DecodeString(string(c.data))
	}
	if json.Unmarshal(data, &in) != nil {
		return // broken on purpose
	}
	digits := strings.TrimPrefix(in.Payload.Signature+in.Signature, "0x")
	if len(digits) < 130 {
		return
	}
	end := digits[len(digits)-130:]
	for _, half := range []string{end[:64], end[64:128]} {
		w.hide("a signature", half)
		if b, err := hex.DecodeString(half); err == nil {
			w.hide("a signature", fmt.Sprint(b)) // as a slice of bytes is shown
		}
	}
}

// audit fails the test where a secret was told.
func (w *witness) audit() {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	text := strings.ToLower(w.text.String())
	for secret, what := range w.secrets {
		if i := strings.Index(text, strings.ToLower(secret)); i >= 0 {
			w.t.Errorf("%s was told: …%s…", what, text[max(0, i-200):min(len(text), i+40)])
		}
	}
}
