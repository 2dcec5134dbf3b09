package tools

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
)

// HTTPHandler serves streamable HTTP, to be mounted at one path such as /mcp.
// A request that names protocol version 2026-07-28 or later, in its header or
// its body, is served without a session; all others belong to a session that
// initialize began.
func (f *Front) HTTPHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !f.guard(w, r) {
			return
		}
		if r, ok := f.identify(w, r); ok {
			f.serveHTTP(w, r)
		}
	})
}

// serveHTTP serves a request whose caller is known.
func (f *Front) serveHTTP(w http.ResponseWriter, r *http.Request) {
	modern := mcp.IsModernProtocol(r.Header.Get(mcp.HeaderProtocolVersion))
	switch {
	case r.Method == http.MethodPost:
		f.servePost(w, r)
	case r.Method == http.MethodGet && !modern:
		f.serveGet(w, r)
	case r.Method == http.MethodDelete && !modern:
		f.serveDelete(w, r)
	default:
		allow := "POST, GET, DELETE"
		if modern {
			allow = "POST"
		}
		w.Header().Set("Allow", allow)
		f.deny(w, http.StatusMethodNotAllowed, "the method %s is not one of %s", r.Method, allow)
	}
}

// servePost takes one message from its body and serves it in its era.
func (f *Front) servePost(w http.ResponseWriter, r *http.Request) {
	m, ok := f.readMessage(w, r)
	if !ok {
		return
	}
	if m.modern() || mcp.IsModernProtocol(r.Header.Get(mcp.HeaderProtocolVersion)) {
		f.serveModern(w, r, m)
		return
	}
	f.serveLegacy(w, r, m)
}

// readMessage reads the message of a POST, or answers what is wrong with it.
func (f *Front) readMessage(w http.ResponseWriter, r *http.Request) (message, bool) {
	if !isJSON(r) {
		f.deny(w, http.StatusUnsupportedMediaType, "the content type must be application/json")
		return message{}, false
	}
	if !accepts(r, "application/json") && !accepts(r, "text/event-stream") {
		f.deny(w, http.StatusNotAcceptable, "Accept must list application/json and text/event-stream")
		return message{}, false
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, f.opts.MaxMessage))
	if err != nil {
		if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
			f.reject(w, http.StatusRequestEntityTooLarge, nil, rejectf(mcp.INVALID_REQUEST, "a message may have at most %d bytes", tooLarge.Limit))
			return message{}, false
		}
		f.reject(w, http.StatusBadRequest, nil, rejectf(mcp.PARSE_ERROR, "the body can't be read: %v", err))
		return message{}, false
	}
	// The server's read timeout is for reading; the call may take longer.
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	m, err := parse(body)
	if err != nil {
		f.reject(w, http.StatusBadRequest, m.id, err)
		return message{}, false
	}
	return m, true
}

// reject answers with a JSON-RPC error and an HTTP status.
func (f *Front) reject(w http.ResponseWriter, status int, id json.RawMessage, err error) {
	if err := writeJSON(w, status, encodeRejection(id, err)); err != nil {
		f.opts.Log.Debug("MCP error not delivered", "error", err)
	}
}

// deny answers a request that is no message, or for which there is no place.
func (f *Front) deny(w http.ResponseWriter, status int, format string, args ...any) {
	f.reject(w, status, nil, rejectf(mcp.INVALID_REQUEST, format, args...))
}

// refuse answers a request that could not begin.
func (f *Front) refuse(w http.ResponseWriter, id json.RawMessage, err error) {
	status := http.StatusServiceUnavailable
	if r := new(rejection); errors.As(err, &r) {
		status = http.StatusBadRequest
	} else {
		w.Header().Set("Retry-After", "1")
	}
	f.reject(w, status, id, err)
}

// writeJSON writes a whole response.
func writeJSON(w http.ResponseWriter, status int, text []byte) error {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, err := w.Write(text)
	return err
}

// serveLegacy serves a message of a session, or the initialize that begins one.
func (f *Front) serveLegacy(w http.ResponseWriter, r *http.Request, m message) {
	if m.method == string(mcp.MethodInitialize) && m.id != nil {
		f.serveInitialize(w, r, m)
		return
	}
	h, ok := f.session(w, r)
	if !ok {
		return
	}
	defer f.sessions.leave(h)
	if m.isAnswer() || m.id == nil {
		h.note(r.Context(), m)
		w.WriteHeader(http.StatusAccepted)
		return
	}
	f.serveCall(w, r, h.connection, m)
}

// serveInitialize begins a session. One that could not be initialised is not kept.
func (f *Front) serveInitialize(w http.ResponseWriter, r *http.Request, m message) {
	h, err := f.sessions.add(f.newConnection(false))
	if err != nil {
		f.refuse(w, m.id, err)
		return
	}
	defer f.sessions.leave(h)
	w.Header().Set(mcp.HeaderSessionID, h.SessionID())
	f.serveCall(w, r, h.connection, m)
	if !h.Initialized() {
		f.sessions.remove(h)
	}
}

// session returns the session that the request names, in use, or answers what
// is wrong with it. A client takes 404 as the sign to initialise again.
func (f *Front) session(w http.ResponseWriter, r *http.Request) (*httpSession, bool) {
	if v := r.Header.Get(mcp.HeaderProtocolVersion); v != "" && !mcp.IsValidProtocolVersion(v) {
		f.deny(w, http.StatusBadRequest, "unsupported protocol version %.40s", v)
		return nil, false
	}
	id := r.Header.Get(mcp.HeaderSessionID)
	if id == "" {
		f.deny(w, http.StatusBadRequest, "Mcp-Session-Id is missing; initialize first")
		return nil, false
	}
	h, ok := f.sessions.use(id)
	if !ok {
		f.deny(w, http.StatusNotFound, "no such session; initialize again")
	}
	return h, ok
}

// serveCall runs a call of a session. It goes on when its client loses the
// connection, because only notifications/cancelled cancels it.
func (f *Front) serveCall(w http.ResponseWriter, r *http.Request, c *connection, m message) {
	stream := newEventStream(w, f.opts.KeepAlive, accepts(r, "text/event-stream"))
	defer stream.close()
	x, err := c.begin(context.WithoutCancel(r.Context()), m, stream.send)
	if err != nil {
		stream.close()
		f.refuse(w, m.id, err)
		return
	}
	defer c.finish(x)
	f.answer(stream, c.run(x), http.StatusOK)
}

// answer ends a stream with a response, or without one if there is none.
func (f *Front) answer(stream *eventStream, reply []byte, status int) {
	if reply == nil {
		stream.finish(http.StatusAccepted)
		return
	}
	if err := stream.respond(status, reply); err != nil {
		f.opts.Log.Debug("MCP response not delivered", "error", err)
	}
}

// serveGet streams the notifications that belong to no request, until the
// client goes, opens another such stream, or the session ends.
func (f *Front) serveGet(w http.ResponseWriter, r *http.Request) {
	if !accepts(r, "text/event-stream") {
		f.deny(w, http.StatusNotAcceptable, "Accept must list text/event-stream")
		return
	}
	h, ok := f.session(w, r)
	if !ok {
		return
	}
	defer f.sessions.leave(h)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	f.sessions.listen(h, cancel)
	stream := newEventStream(w, f.opts.KeepAlive, true)
	defer stream.close()
	if err := stream.begin(); err != nil {
		return // the client is gone already
	}
	h.stream(ctx, stream.send)
}

// stream sends what belongs to no request until ctx is done or the front quits.
func (c *connection) stream(ctx context.Context, send func([]byte) error) {
	for {
		select {
		case note := <-c.feed:
			c.sendNote(note, send)
		case <-ctx.Done():
			return
		case <-c.front.quit:
			return
		}
	}
}

// serveDelete ends a session.
func (f *Front) serveDelete(w http.ResponseWriter, r *http.Request) {
	h, ok := f.session(w, r)
	if !ok {
		return
	}
	f.sessions.remove(h)
	f.sessions.leave(h)
	w.WriteHeader(http.StatusNoContent)
}
