package mpp

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	maxDepth   = 8       // of nested objects and arrays
	maxMembers = 64      // of one object or array
	maxInteger = 1 << 53 // beyond it, JavaScript clients round
)

// decodeObject reads one JSON object and nothing after it. It refuses what two
// readers could understand differently: names that occur twice, numbers that
// are no integers, and text that is no UTF-8. Numbers become int64.
func decodeObject(data []byte) (map[string]any, error) {
	switch {
	case !utf8.Valid(data):
		return nil, errors.New("it is no UTF-8")
	case !json.Valid(data):
		return nil, errors.New("it is no JSON, or cut off, or something follows")
	}
	v, err := (&reader{data}).value(0)
	if err != nil {
		return nil, err
	}
	object, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("it is no object")
	}
	return object, nil
}

// reader takes values from the front of valid JSON. The standard decoder's
// tokens, which would serve as well, took a quarter of the time that
// recovering a signer takes.
type reader struct{ rest []byte }

// next is the first byte of what comes.
func (r *reader) next() byte {
	r.rest = bytes.TrimLeft(r.rest, " \t\r\n")
	return r.rest[0]
}

// passes takes a byte, if it is what comes.
func (r *reader) passes(b byte) bool {
	if r.next() != b {
		return false
	}
	r.rest = r.rest[1:]
	return true
}

// take is the first n bytes, or all.
func (r *reader) take(n int) (b []byte) {
	if n < 0 {
		n = len(r.rest)
	}
	b, r.rest = r.rest[:n], r.rest[n:]
	return b
}

func (r *reader) value(depth int) (any, error) {
	if depth > maxDepth {
		return nil, errors.New("it is nested too deeply")
	}
	switch r.next() {
	case '{':
		return r.object(depth)
	case '[':
		return r.list(depth)
	case '"':
		return r.string()
	case 't':
		r.take(len("true"))
		return true, nil
	case 'f':
		r.take(len("false"))
		return false, nil
	case 'n':
		r.take(len("null"))
		return nil, nil
	default:
		return r.number()
	}
}

func (r *reader) number() (any, error) {
	text := string(r.take(bytes.IndexAny(r.rest, ",]} \t\r\n")))
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n > maxInteger || n < -maxInteger || strconv.FormatInt(n, 10) != text {
		return nil, errors.New("it has a number that is no integer of at most 53 bits")
	}
	return n, nil
}

func (r *reader) string() (string, error) {
	end := 1
	for r.rest[end] != '"' {
		if r.rest[end] == '\\' {
			end++
		}
		end++
	}
	quoted := r.take(end + 1)
	if !bytes.Contains(quoted, []byte{'\\'}) {
		return string(quoted[1:end]), nil
	}
	var s string
	err := json.Unmarshal(quoted, &s)
	return s, err
}

func (r *reader) object(depth int) (any, error) {
	object := map[string]any{}
	r.take(1)
	for !r.passes('}') {
		r.passes(',')
		r.next()
		name, err := r.string()
		if err != nil {
			return nil, err
		}
		if _, twice := object[name]; twice {
			return nil, fmt.Errorf("it has %.40q twice", name)
		}
		if len(object) == maxMembers {
			return nil, errors.New("it has too many members")
		}
		r.passes(':')
		if object[name], err = r.value(depth + 1); err != nil {
			return nil, err
		}
	}
	return object, nil
}

func (r *reader) list(depth int) (any, error) {
	list := []any{}
	r.take(1)
	for !r.passes(']') {
		r.passes(',')
		if len(list) == maxMembers {
			return nil, errors.New("it has too many items")
		}
		v, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

// canonical is a value as RFC 8785 (JCS) writes it: names in the order of their
// UTF-16 units, no space, and only the escapes that JSON demands. It takes what
// decodeObject makes.
func canonical(v any) string {
	var b strings.Builder
	writeCanonical(&b, v)
	return b.String()
}

func writeCanonical(b *strings.Builder, v any) {
	switch v := v.(type) {
	case nil:
		b.WriteString("null")
	case bool:
		b.WriteString(strconv.FormatBool(v))
	case int64:
		b.WriteString(strconv.FormatInt(v, 10))
	case string:
		writeString(b, v)
	case []any:
		b.WriteByte('[')
		for i, item := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			writeCanonical(b, item)
		}
		b.WriteByte(']')
	case map[string]any:
		b.WriteByte('{')
		for i, name := range sortedNames(v) {
			if i > 0 {
				b.WriteByte(',')
			}
			writeString(b, name)
			b.WriteByte(':')
			writeCanonical(b, v[name])
		}
		b.WriteByte('}')
	default:
		panic(fmt.Sprintf("mpp: %T has no canonical form", v))
	}
}

func sortedNames(object map[string]any) []string {
	names := make([]string, 0, len(object))
	for name := range object {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		return slices.CompareFunc(utf16.Encode([]rune(a)), utf16.Encode([]rune(b)), cmp.Compare[uint16])
	})
	return names
}

// shortEscapes are those that RFC 8785 wants; other control characters are
// written as \u00xx.
var shortEscapes = strings.NewReplacer(
	`"`, `\"`, `\`, `\\`, "\b", `\b`, "\t", `\t`, "\n", `\n`, "\f", `\f`, "\r", `\r`,
)

func writeString(b *strings.Builder, s string) {
	b.WriteByte('"')
	for _, r := range shortEscapes.Replace(s) {
		if r < 0x20 {
			fmt.Fprintf(b, `\u%04x`, r)
			continue
		}
		b.WriteRune(r)
	}
	b.WriteByte('"')
}
