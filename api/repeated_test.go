package api

import (
	"encoding/json"
	"testing"

	"pgregory.net/rapid"
)

func TestRepeated(t *testing.T) {
	for text, want := range map[string]string{
		`{}`:                                  "",
		`{"a":1,"b":1}`:                       "",
		`{"a":1,"a":1}`:                       "a",
		`{"a":{"b":1},"b":{"a":"a"}}`:         "",
		`{"a":{"b":1,"c":[],"b":2}}`:          "b",
		`{"a":[{"x":1},{"x":2}],"x":"x"}`:     "",
		`{"a":[1,[{"x":1,"y":"x","x":2}]]}`:   "x",
		`{"a":["a","a"],"b":"a"}`:             "",
		`{"a":null,"\u0061":true}`:            "a",
		`{"a":{},"b":[],"c":{},"a":{}}`:       "a",
		`{"a":{"b":{"c":{}}},"d":[[]],"d":1}`: "d",
	} {
		if name, twice := repeated([]byte(text)); name != want && twice || twice != (want != "") {
			t.Errorf("%s: %q %t, want %q", text, name, twice, want)
		}
	}
}

// TestRepeatedAcceptsMaps: what is written of a map has each name once, until
// one is added again.
func TestRepeatedAcceptsMaps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := rapid.MapOfN(rapid.String(), rapid.MapOf(rapid.String(), rapid.Int()), 1, 5).Draw(t, "m")
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if name, twice := repeated(text); twice {
			t.Fatalf("%q in %s", name, text)
		}
		for name := range m {
			again, err := json.Marshal(name)
			if err != nil {
				t.Fatal(err)
			}
			text = append(text[:len(text)-1], ',')
			text = append(append(text, again...), ":1}"...)
			break
		}
		if _, twice := repeated(text); !twice {
			t.Fatalf("%s passes", text)
		}
	})
}
