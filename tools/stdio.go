package tools

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
)

// errHostGone is the cause of the end of calls whose host closed its stream.
var errHostGone = errors.New("the host closed the connection")

// ServeStream speaks MCP over a byte stream, one message a line: a process's
// standard input and output, or a socket that carries them. Every call is made
// as the given caller.
//
// It returns nil when r ends, after the calls under way have ended: those that
// need longer than Options.Linger have their contexts cancelled, which stops
// the wait for the work and not the work itself. It returns the error of ctx
// when ctx is done, and of r when reading fails. r is closed then if it is an
// io.Closer, which ends a read that waits; an r that can't be closed keeps one
// goroutine until its next line or end.
func (f *Front) ServeStream(ctx context.Context, r io.Reader, w io.Writer, caller any) error {
	ctx, cancel := context.WithCancel(WithCaller(ctx, caller))
	defer cancel()
	c := f.newConnection(true)
	out := &lineWriter{w: w}

	lines := make(chan line)
	go readLines(r, f.opts.MaxMessage, lines, ctx.Done())
	feeding := make(chan struct{})
	fed := make(chan struct{})
	go func() {
		defer close(fed)
		c.sendFeed(out.send, feeding)
	}()

	err := c.serveLines(ctx, lines, out)
	if err != nil {
		if closer, ok := r.(io.Closer); ok {
			closer.Close() // the error of a stream that is given up says nothing
		}
	}
	c.endStream(err)
	close(feeding)
	<-fed
	return err
}

// serveLines handles messages until the lines end. Requests run concurrently,
// except initialize: what follows it relies on it.
func (c *connection) serveLines(ctx context.Context, lines <-chan line, out *lineWriter) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c.front.quit:
			return errClosing
		case l, ok := <-lines:
			switch {
			case !ok:
				return nil
			case l.tooLong:
				c.report(message{}, out.send(encodeRejection(nil, rejectf(mcp.INVALID_REQUEST, "a message may have at most %d bytes", c.front.opts.MaxMessage))))
			case l.err != nil:
				return fmt.Errorf("read MCP message: %w", l.err)
			default:
				c.serveLine(ctx, l.text, out)
			}
		}
	}
}

// serveLine handles one message of a byte stream.
func (c *connection) serveLine(ctx context.Context, text []byte, out *lineWriter) {
	m, err := parse(text)
	switch {
	case err != nil:
		c.report(m, out.send(encodeRejection(m.id, err)))
	case m.isAnswer() || m.id == nil:
		c.note(ctx, m)
	case m.method == string(mcp.MethodInitialize):
		c.perform(ctx, m, out.send)
	default:
		c.start(ctx, m, out.send)
	}
}

// endStream waits for the calls under way, with patience if the stream just
// ended, and cancels those that are left.
func (c *connection) endStream(err error) {
	reason := err
	if reason == nil {
		reason = errHostGone
		c.deafen()
		c.unsubscribe(reason)
		late := time.AfterFunc(c.front.opts.Linger, func() { c.close(reason) })
		c.wg.Wait()
		late.Stop()
	}
	c.close(reason)
	c.wg.Wait()
}

// sendFeed sends the notifications that belong to no request until stop is
// closed, and then those that are left.
func (c *connection) sendFeed(send func([]byte) error, stop <-chan struct{}) {
	for {
		select {
		case note := <-c.feed:
			c.sendNote(note, send)
		case <-stop:
			for {
				select {
				case note := <-c.feed:
					c.sendNote(note, send)
				default:
					return
				}
			}
		}
	}
}

// sendNote sends one notification that belongs to no request.
func (c *connection) sendNote(note mcp.JSONRPCNotification, send func([]byte) error) {
	text, err := encode(note)
	if err != nil {
		c.front.opts.Log.Error("MCP notification can't be encoded", "method", note.Method, "error", err)
		return
	}
	c.report(message{method: note.Method}, send(text))
}

// lineWriter writes whole lines, one at a time. After an error it writes no more.
type lineWriter struct {
	mu  sync.Mutex
	w   io.Writer
	err error
}

// send writes one line, which brings its newline along.
func (l *lineWriter) send(text []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		_, l.err = l.w.Write(text)
	}
	return l.err
}

// line is one line of input, or the reason why there is none.
type line struct {
	text    []byte
	tooLong bool
	err     error
}

// readLines sends the lines of r that aren't blank, and closes lines at its
// end. A line beyond limit bytes is skipped and reported as too long. It stops
// when done is closed.
func readLines(r io.Reader, limit int64, lines chan<- line, done <-chan struct{}) {
	defer close(lines)
	in := bufio.NewReaderSize(r, 64<<10)
	for {
		text, tooLong, err := readLine(in, limit)
		if tooLong || len(text) > 0 {
			select {
			case lines <- line{text: text, tooLong: tooLong}:
			case <-done:
				return
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrClosedPipe) {
			return
		}
		if err != nil {
			select {
			case lines <- line{err: err}:
			case <-done:
			}
			return
		}
	}
}

// readLine returns the next line without its end, trimmed of blanks at its
// end. The last line may lack a newline.
func readLine(in *bufio.Reader, limit int64) (text []byte, tooLong bool, err error) {
	for {
		part, err := in.ReadSlice('\n')
		if tooLong = tooLong || int64(len(text)+len(part)) > limit+1; tooLong {
			text = nil
		} else {
			text = append(text, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return trimBlank(text), tooLong, err
		}
	}
}

// trimBlank cuts blanks and line ends from the end of a line.
func trimBlank(text []byte) []byte {
	for len(text) > 0 {
		switch text[len(text)-1] {
		case ' ', '\t', '\r', '\n':
			text = text[:len(text)-1]
		default:
			return text
		}
	}
	return text
}
