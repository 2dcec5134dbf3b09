package remote

import (
	"bytes"
	"io"
	"strconv"
	"sync"
	"time"
)

// Chunk is one piece of output as it comes. It belongs to whoever receives it,
// and ends within a rune only where the output itself does.
type Chunk struct {
	Stderr bool
	Data   []byte
}

// A chunk is handed on when it has chunkSize bytes or its first byte is
// chunkAge old.
const (
	chunkSize = 4 << 10
	chunkAge  = 100 * time.Millisecond
)

// stream gathers the two outputs of one command: an excerpt of each for the
// result, and chunks for the caller's function. That function is called under
// the mutex: one call at a time, none after close, and while it takes its time
// the command's output waits in the SSH window and then on the server.
type stream struct {
	mu             sync.Mutex
	out            func(Chunk) // nil: nobody listens
	stdout, stderr gathered
	timer          *time.Timer
	closed         bool
}

// gathered is one of the two outputs.
type gathered struct {
	excerpt excerpt
	pending []byte // came, and not yet handed on
}

func newStream(limit int, out func(Chunk)) *stream {
	return &stream{
		out:    out,
		stdout: gathered{excerpt: newExcerpt(limit)},
		stderr: gathered{excerpt: newExcerpt(limit)},
	}
}

// writer takes what comes on one of the two outputs.
func (s *stream) writer(stderr bool) io.Writer {
	if stderr {
		return streamWriter{s, &s.stderr}
	}
	return streamWriter{s, &s.stdout}
}

type streamWriter struct {
	stream *stream
	to     *gathered
}

func (w streamWriter) Write(b []byte) (int, error) {
	s := w.stream
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, io.ErrClosedPipe
	}
	w.to.excerpt.add(b)
	if s.out == nil {
		return len(b), nil
	}
	w.to.pending = append(w.to.pending, b...)
	switch {
	case len(w.to.pending) >= chunkSize:
		s.flush(false)
	case s.timer == nil:
		s.timer = time.AfterFunc(chunkAge, s.tick)
	}
	return len(b), nil
}

func (s *stream) tick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.flush(false)
	}
}

// flush hands on what is pending; the mutex is held. An unfinished rune waits
// for its end, unless this is the last flush.
func (s *stream) flush(last bool) {
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	for _, g := range []*gathered{&s.stdout, &s.stderr} {
		n := len(g.pending)
		if !last {
			n = wholeRunes(g.pending)
		}
		if n == 0 {
			continue
		}
		chunk := Chunk{Stderr: g == &s.stderr, Data: g.pending[:n:n]}
		g.pending = bytes.Clone(g.pending[n:])
		s.out(chunk)
	}
}

// close hands on the rest and returns what the command said. Later output is
// refused.
func (s *stream) close() (stdout, stderr Output) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.out != nil {
		s.flush(true)
	}
	s.closed = true
	return s.stdout.excerpt.output(), s.stderr.excerpt.output()
}

// preamble reads the line "token pid" from the front of a command's output and
// passes on everything else. What a login shell says before the line, or
// instead of it, is output like any other.
type preamble struct {
	token string
	next  io.Writer
	pid   chan int // receives the pid once

	held []byte
	done bool
}

// maxPreamble is how much is held back in search of the line.
const maxPreamble = 16 << 10

func newPreamble(token string, next io.Writer) *preamble {
	return &preamble{token: token, next: next, pid: make(chan int, 1)}
}

func (p *preamble) Write(b []byte) (int, error) {
	if p.done {
		return p.next.Write(b)
	}
	p.held = append(p.held, b...)
	start := bytes.Index(p.held, []byte(p.token+" "))
	if start >= 0 {
		line, rest, complete := bytes.Cut(p.held[start:], []byte("\n"))
		if pid, err := strconv.Atoi(string(line[len(p.token)+1:])); complete && err == nil {
			p.pid <- pid
			p.held = append(p.held[:start], rest...)
			return len(b), p.Close()
		}
	}
	if len(p.held) > maxPreamble {
		return len(b), p.Close()
	}
	return len(b), nil
}

// Close passes on what was held back.
func (p *preamble) Close() error {
	p.done = true
	held := p.held
	p.held = nil
	if len(held) == 0 {
		return nil
	}
	_, err := p.next.Write(held)
	return err
}
