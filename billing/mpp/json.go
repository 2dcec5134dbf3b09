package mpp

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	if !utf8.Valid(data) {
		return nil, errors.New("it is no UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	v, err := decodeValue(d, 0)
	if err != nil {
		return nil, err
	}
	object, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("it is no object")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the object")
	}
	return object, nil
}

func decodeValue(d *json.Decoder, depth int) (any, error) {
	token, err := d.Token()
	if err != nil {
		return nil, errors.New("it is no JSON, or cut off")
	}
	if depth > maxDepth {
		return nil, errors.New("it is nested too deeply")
	}
	switch t := token.(type) {
	case json.Delim:
		if t == '[' {
			return decodeList(d, depth)
		}
		return decodeMembers(d, depth)
	case json.Number:
		n, err := strconv.ParseInt(t.String(), 10, 64)
		if err != nil || n > maxInteger || n < -maxInteger || strconv.FormatInt(n, 10) != t.String() {
			return nil, errors.New("it has a number that is no integer of at most 53 bits")
		}
		return n, nil
	default:
		return token, nil
	}
}

func decodeMembers(d *json.Decoder, depth int) (any, error) {
	object := map[string]any{}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return nil, errors.New("it is no JSON, or cut off")
		}
		name, _ := token.(string) // the decoder lets nothing else through
		if _, twice := object[name]; twice {
			return nil, fmt.Errorf("it has %.40q twice", name)
		}
		if len(object) == maxMembers {
			return nil, errors.New("it has too many members")
		}
		if object[name], err = decodeValue(d, depth+1); err != nil {
			return nil, err
		}
	}
	_, err := d.Token()
	return object, err
}

func decodeList(d *json.Decoder, depth int) (any, error) {
	list := []any{}
	for d.More() {
		if len(list) == maxMembers {
			return nil, errors.New("it has too many items")
		}
		v, err := decodeValue(d, depth+1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err := d.Token()
	return list, err
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
