package remote

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func loginShell(t *testing.T, script string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "shell")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// pieces are a text cut anywhere, also within runes.
func pieces(t *rapid.T) (whole []byte, cut [][]byte) {
	whole = rapid.OneOf(
		rapid.Map(rapid.StringN(0, 200, -1), func(s string) []byte { return []byte(s) }),
		rapid.SliceOfN(rapid.Byte(), 0, 300),
	).Draw(t, "whole")
	for rest := whole; len(rest) > 0; {
		n := rapid.IntRange(1, len(rest)).Draw(t, "cut")
		cut, rest = append(cut, rest[:n]), rest[n:]
	}
	return whole, cut
}

// TestExcerpt: however the stream is cut, the excerpt is its head and its
// tail, whole runes of them, and the count of all.
func TestExcerpt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 100).Draw(t, "limit")
		whole, cut := pieces(t)
		e := newExcerpt(limit)
		for _, b := range cut {
			e.add(b)
			if len(e.tail) > 2*e.tailMax || len(e.head) > e.headMax {
				t.Fatalf("holds %d and %d bytes", len(e.head), len(e.tail))
			}
		}
		o := e.output()
		if o.Total != int64(len(whole)) || o.Truncated != (len(whole) > limit) || o.Truncated != (o.Omitted > 0) || !utf8.ValidString(o.Text) {
			t.Fatalf("%+v of %d bytes", o, len(whole))
		}
		if !o.Truncated {
			if o.Text != validText(string(whole)) {
				t.Fatalf("got %q", o.Text)
			}
			return
		}
		before, after, found := strings.Cut(o.Text, "\n[… ")
		_, after, found2 := strings.Cut(after, " bytes omitted …]\n")
		if !found || !found2 {
			t.Fatalf("no notice in %q", o.Text)
		}
		if !utf8.Valid(whole) {
			return // the rest can be told for text only
		}
		if !strings.HasPrefix(string(whole), before) || !strings.HasSuffix(string(whole), after) {
			t.Fatalf("%q and %q are not the ends of %q", before, after, whole)
		}
		kept := len(before) + len(after)
		if kept > limit || kept < limit-2*(utf8.UTFMax-1) || o.Omitted != int64(len(whole)-kept) {
			t.Fatalf("kept %d of limit %d, omitted %d", kept, limit, o.Omitted)
		}
	})
}

// TestStreamChunks: the chunks are the stream, and none but the last ends
// within a rune.
func TestStreamChunks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		whole, cut := pieces(t)
		var got []byte
		var chunks [][]byte
		s := newStream(10, func(c Chunk) {
			got = append(got, c.Data...)
			chunks = append(chunks, c.Data)
		})
		for _, b := range cut {
			if _, err := s.writer(false).Write(b); err != nil {
				t.Fatal(err)
			}
			if rapid.Bool().Draw(t, "time passes") {
				s.tick()
			}
		}
		s.close()
		if !bytes.Equal(got, whole) {
			t.Fatalf("got %q, want %q", got, whole)
		}
		for i, chunk := range chunks {
			if utf8.Valid(whole) && !utf8.Valid(chunk) {
				t.Fatalf("chunk %d is %q", i, chunk)
			}
		}
		if _, err := s.writer(true).Write([]byte("late")); err == nil || len(got) != len(whole) {
			t.Fatal("a closed stream takes output")
		}
	})
}

// TestPreamble: the pid line is taken out wherever it is cut, and nothing else.
func TestPreamble(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		noise, cutNoise := pieces(t)
		after, cut := pieces(t)
		told := rapid.Bool().Draw(t, "told")
		var got bytes.Buffer
		p := newPreamble("token", &got)
		if told {
			cut = append([][]byte{[]byte("to"), []byte("ken 4"), []byte("2\n")}, cut...)
		}
		for _, b := range append(cutNoise, cut...) {
			p.Write(b)
		}
		p.Close()
		if want := string(noise) + string(after); got.String() != want {
			t.Fatalf("got %q, want %q", got.String(), want)
		}
		if told {
			if pid := <-p.pid; pid != 42 {
				t.Fatalf("pid %d", pid)
			}
		}
	})
}
