package api

import (
	"bytes"
	"encoding/json"
)

// repeated tells whether an object of valid JSON has a name twice, and which:
// readers disagree on the value that counts, so that what one of them checked
// could be another than what is bought.
func repeated(text []byte) (name string, twice bool) {
	d := json.NewDecoder(bytes.NewReader(text))
	var open []scope
	for {
		t, err := d.Token()
		if err != nil {
			return "", false // the end: the text is valid
		}
		if delim, ok := t.(json.Delim); ok && (delim == '}' || delim == ']') {
			open = open[:len(open)-1]
			continue
		}
		if len(open) > 0 && open[len(open)-1].expectsName() {
			name = t.(string)
			if open[len(open)-1].seen[name] {
				return name, true
			}
			open[len(open)-1].seen[name] = true
			continue
		}
		switch t {
		case json.Delim('{'):
			open = append(open, scope{seen: map[string]bool{}})
		case json.Delim('['):
			open = append(open, scope{})
		}
	}
}

// scope is an object that is being read, or an array, which has no names.
type scope struct {
	seen  map[string]bool
	value bool // a name was read, and its value follows
}

// expectsName tells whether what comes next is a name, and turns.
func (s *scope) expectsName() bool {
	if s.seen == nil {
		return false
	}
	s.value = !s.value
	return s.value
}
