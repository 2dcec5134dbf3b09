package tools

import (
	"bytes"
	"errors"
	"net/http"
	"sync"
	"time"
)

// writeTimeout bounds the time one event may take to be written. A client that
// does not read for so long has its stream ended.
const writeTimeout = 30 * time.Second

// errStreamClosed is returned by a stream whose request has ended.
var errStreamClosed = errors.New("the response stream is closed")

// errNoStream is returned where the client takes no event stream, so that
// nothing but the response can be sent.
var errNoStream = errors.New("the client does not accept text/event-stream")

// eventStream is an HTTP response of server-sent events. It begins with the
// first event, and until then leaves room for another kind of response. While
// it is open, comments fill every silence, so that nothing in between takes
// the connection for dead.
type eventStream struct {
	w         http.ResponseWriter
	control   *http.ResponseController
	keepAlive time.Duration

	mu    sync.Mutex
	begun bool
	timer *time.Timer
	err   error // the first write error, or why nothing is written any more
}

// newEventStream returns the stream of one response. allowed says whether the
// client takes events at all; the caller closes the stream when the request ends.
func newEventStream(w http.ResponseWriter, keepAlive time.Duration, allowed bool) *eventStream {
	s := &eventStream{w: w, control: http.NewResponseController(w), keepAlive: keepAlive}
	if !allowed {
		s.err = errNoStream
		return s
	}
	s.mu.Lock() // beat must find the timer
	defer s.mu.Unlock()
	s.timer = time.AfterFunc(keepAlive, s.beat)
	return s
}

// send writes one JSON-RPC message as an event.
func (s *eventStream) send(text []byte) error { return s.event("message", text) }

// event writes one event. The data is one line.
func (s *eventStream) event(name string, data []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.write(frame(name, data))
}

// begin sends the headers, where nothing has been sent yet.
func (s *eventStream) begin() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.write(nil)
}

// beat fills a silence.
func (s *eventStream) beat() {
	s.mu.Lock()
	defer s.mu.Unlock()
	// An error shows with the next event; here nobody waits for it.
	_ = s.write([]byte(": keep-alive\n\n"))
}

// write sends bytes to the client at once. It runs under s.mu.
func (s *eventStream) write(b []byte) error {
	if s.err != nil {
		return s.err
	}
	// Writers without deadlines, such as those of tests, are written without.
	_ = s.control.SetWriteDeadline(time.Now().Add(writeTimeout))
	if !s.begun {
		s.begun = true
		h := s.w.Header()
		h.Set("Content-Type", "text/event-stream")
		h.Set("Cache-Control", "no-cache, no-transform")
		h.Set("X-Accel-Buffering", "no")
		s.w.WriteHeader(http.StatusOK)
	}
	if _, err := s.w.Write(b); err != nil {
		s.err = err
	} else {
		s.err = s.control.Flush()
	}
	s.timer.Reset(s.keepAlive)
	return s.err
}

// close ends the stream. Nothing is written by anybody after it has returned.
func (s *eventStream) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end()
}

// end does what close says, under s.mu.
func (s *eventStream) end() {
	if s.timer != nil {
		s.timer.Stop()
	}
	if s.err == nil {
		s.err = errStreamClosed
	}
}

// respond ends the stream with the response to the request: its last event if
// the stream has begun, and a plain JSON response with this status otherwise.
func (s *eventStream) respond(status int, text []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.end()
	if s.begun {
		return s.write(frame("message", text))
	}
	return writeJSON(s.w, status, text)
}

// finish ends the stream without a response, with a bare status if nothing was
// sent yet.
func (s *eventStream) finish(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end()
	if !s.begun {
		s.w.WriteHeader(status)
	}
}

// frame renders one event whose data is one line, with or without its newline.
func frame(name string, data []byte) []byte {
	var b bytes.Buffer
	b.Grow(len(data) + len(name) + 20)
	b.WriteString("event: ")
	b.WriteString(name)
	b.WriteString("\ndata: ")
	b.Write(bytes.TrimRight(data, "\n"))
	b.WriteString("\n\n")
	return b.Bytes()
}
