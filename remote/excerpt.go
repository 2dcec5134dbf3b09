package remote

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Output is what one stream of a command said: all of it, or its head and its
// tail with a notice between them that tells how many bytes are missing. Text
// is always valid UTF-8: a run of invalid bytes becomes one U+FFFD, so binary
// output can take up to twice its limit.
type Output struct {
	Text      string
	Total     int64 // bytes that came
	Omitted   int64 // bytes of them that Text leaves out
	Truncated bool  // Omitted > 0
}

// excerpt keeps the first half and the last half of limit bytes of a stream,
// in at most twice that memory.
type excerpt struct {
	headMax, tailMax int
	head, tail       []byte
	total            int64
}

func newExcerpt(limit int) excerpt {
	return excerpt{headMax: limit / 2, tailMax: limit - limit/2}
}

func (e *excerpt) add(b []byte) {
	e.total += int64(len(b))
	n := min(e.headMax-len(e.head), len(b))
	e.head = append(e.head, b[:n]...)
	b = b[n:]
	if len(b) > e.tailMax {
		e.tail, b = e.tail[:0], b[len(b)-e.tailMax:]
	}
	// Compact only when the buffer is twice too long: constant work per byte.
	if e.tail = append(e.tail, b...); len(e.tail) > 2*e.tailMax {
		e.tail = e.tail[:copy(e.tail, e.lastBytes())]
	}
}

func (e *excerpt) lastBytes() []byte {
	return e.tail[max(0, len(e.tail)-e.tailMax):]
}

// output is the excerpt of what came so far. No cut goes through a rune.
func (e *excerpt) output() Output {
	if e.total <= int64(e.headMax+e.tailMax) {
		return Output{Text: validText(string(e.head) + string(e.tail)), Total: e.total}
	}
	head, tail := e.head[:wholeRunes(e.head)], e.lastBytes()
	tail = tail[runeStart(tail):]
	omitted := e.total - int64(len(head)+len(tail))
	return Output{
		Text:      fmt.Sprintf("%s\n[… %d bytes omitted …]\n%s", validText(string(head)), omitted, validText(string(tail))),
		Total:     e.total,
		Omitted:   omitted,
		Truncated: true,
	}
}

func validText(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// wholeRunes is the length of b without a rune at its end that further bytes
// could complete.
func wholeRunes(b []byte) int {
	for i := len(b) - 1; i >= 0 && i >= len(b)-utf8.UTFMax; i-- {
		if utf8.RuneStart(b[i]) {
			if utf8.FullRune(b[i:]) {
				break
			}
			return i
		}
	}
	return len(b)
}

// runeStart is the number of bytes at the start of b that belong to a rune
// begun before it.
func runeStart(b []byte) int {
	n := 0
	for n < len(b) && n < utf8.UTFMax-1 && !utf8.RuneStart(b[n]) {
		n++
	}
	return n
}
