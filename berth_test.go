package berth_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"berth"
)

// tree is the source tree that holds this package.
var tree = os.DirFS(".")

func TestIDsSortByTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := time.UnixMilli(rapid.Int64Range(0, 1<<47).Draw(t, "a"))
		b := a.Add(time.Duration(rapid.Int64Range(1, 1<<40).Draw(t, "later")) * time.Millisecond)
		x, y := berth.NewID(berth.PrefixServer, a), berth.NewID(berth.PrefixServer, b)
		if x >= y {
			t.Fatalf("%s of %s is not before %s of %s", x, a, y, b)
		}
		if parsed, err := berth.ParseID(berth.PrefixServer, string(x)); err != nil || parsed != x {
			t.Fatalf("ParseID(%s) = %s, %v", x, parsed, err)
		}
		if x.Prefix() != "srv" || len(x.Hex()) != 24 || string(x) != x.Prefix()+"_"+x.Hex() {
			t.Fatalf("%s is made of %s and %s", x, x.Prefix(), x.Hex())
		}
	})
}

func TestIDsDiffer(t *testing.T) {
	now := time.UnixMilli(1)
	seen := map[berth.ID]bool{}
	for range 10_000 {
		id := berth.NewID(berth.PrefixAction, now)
		if seen[id] {
			t.Fatalf("%s was made twice", id)
		}
		seen[id] = true
	}
}

func TestParseIDRefuses(t *testing.T) {
	for name, s := range map[string]string{
		"empty":          "",
		"another kind":   "snap_0193f2a4c1d05e6f7a8b9c0d",
		"no prefix":      "0193f2a4c1d05e6f7a8b9c0d",
		"prefix alone":   "srv_",
		"too short":      "srv_0193f2a4c1d05e6f7a8b9c0",
		"too long":       "srv_0193f2a4c1d05e6f7a8b9c0d0",
		"upper case":     "srv_0193F2A4C1D05E6F7A8B9C0D",
		"no hex":         "srv_0193f2a4c1d05e6f7a8b9c0g",
		"space":          "srv_0193f2a4c1d05e6f7a8b9c0 ",
		"newline":        "srv_0193f2a4c1d05e6f7a8b9c0d\n",
		"a longer word":  "xsrv_0193f2a4c1d05e6f7a8b9c0d",
		"two underlines": "srv__193f2a4c1d05e6f7a8b9c0d",
	} {
		if id, err := berth.ParseID(berth.PrefixServer, s); err == nil || id != "" || !strings.Contains(err.Error(), "srv_") {
			t.Errorf("%s: ParseID(%q) = %q, %v", name, s, id, err)
		}
	}
}

func TestError(t *testing.T) {
	cause := errors.New("the disk is full")
	e := berth.Errorf(berth.Unavailable, "try %s", "later").Hinted("in %d s", 5).Because(cause)
	if e.Message != "try later" || e.Hint != "in 5 s" || !errors.Is(e, cause) || e.Error() != "unavailable: try later: the disk is full" {
		t.Errorf("%+v, %s", e, e)
	}
	for err, want := range map[error]berth.Code{
		e:                            berth.Unavailable,
		fmt.Errorf("wrapped: %w", e): berth.Unavailable,
		errors.Join(cause, e):        berth.Unavailable,
		cause:                        berth.Internal,
	} {
		if got := berth.CodeOf(err); got != want {
			t.Errorf("CodeOf(%v) = %s, want %s", err, got, want)
		}
	}
	if got := berth.CodeOf(nil); got != berth.Internal {
		t.Errorf("CodeOf(nil) = %s", got)
	}
}

// TestCodesAreAll compares the list with what is declared.
func TestCodesAreAll(t *testing.T) {
	declared := declaredCodes(t)
	if len(declared) != len(berth.Codes) {
		t.Errorf("%d codes are declared and %d listed", len(declared), len(berth.Codes))
	}
	for i, c := range declared {
		if i < len(berth.Codes) && berth.Codes[i] != c.code {
			t.Errorf("code %d is declared as %s and listed as %s", i, c.code, berth.Codes[i])
		}
		if c.meaning == "" || slices.Index(berth.Codes, c.code) != i {
			t.Errorf("%s has no meaning, or is listed twice", c.code)
		}
	}
}

func TestMicrosRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const most = 9_000_000_000 * berth.Dollar
		m := berth.Micros(rapid.Int64Range(-int64(most), int64(most)).Draw(t, "m"))
		if back, err := berth.ParseMicros(m.String()); err != nil || back != m {
			t.Fatalf("%d shows as %s and reads as %d, %v", m, m, back, err)
		}
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		var back berth.Micros
		if err := json.Unmarshal(text, &back); err != nil || back != m || text[0] != '"' {
			t.Fatalf("%d is %s in JSON and reads as %d, %v", m, text, back, err)
		}
	})
	var m berth.Micros
	if err := json.Unmarshal([]byte("0.02"), &m); err == nil {
		t.Error("a float was read as an amount")
	}
}

func FuzzParseMicros(f *testing.F) {
	for _, s := range []string{"0.02", "-1", "1e9", "9000000000", ".5", "5.", "0x10", " 1 ", "1_0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		m, err := berth.ParseMicros(s)
		if err != nil {
			return
		}
		if back, err := berth.ParseMicros(m.String()); err != nil || back != m {
			t.Fatalf("%q is %d, which reads as %d, %v", s, m, back, err)
		}
	})
}
