package tools

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
)

// errStreamGone is the cause of the end of calls whose SSE stream ended.
var errStreamGone = errors.New("the client closed its stream")

// SSEHandler serves the older HTTP+SSE transport, to be mounted at one path
// and all below it, such as /sse and /sse/. A GET opens a stream, whose first event
// names the address that messages are posted to: the path with /message added.
// Answers and notifications come over the stream; when it ends, so do its calls.
func (f *Front) SSEHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !f.guard(w, r) {
			return
		}
		r, ok := f.identify(w, r)
		if !ok {
			return
		}
		switch r.Method {
		case http.MethodGet:
			f.serveSSE(w, r)
		case http.MethodPost:
			f.serveSSEMessage(w, r)
		default:
			w.Header().Set("Allow", "GET, POST")
			f.deny(w, http.StatusMethodNotAllowed, "the method %s is not one of GET, POST", r.Method)
		}
	})
}

// sseStream is one open stream and the connection it carries.
type sseStream struct {
	*connection
	events *eventStream
}

// streamStore holds the open SSE streams, of which there are a limited number.
type streamStore struct {
	limit int

	mu   sync.Mutex
	byID map[string]*sseStream
}

func newStreamStore(limit int) *streamStore {
	return &streamStore{limit: limit, byID: make(map[string]*sseStream)}
}

func (s *streamStore) add(stream *sseStream) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.byID) >= s.limit {
		return errTooMany
	}
	s.byID[stream.SessionID()] = stream
	return nil
}

func (s *streamStore) get(id string) (*sseStream, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	stream, ok := s.byID[id]
	return stream, ok
}

func (s *streamStore) remove(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byID, id)
}

// serveSSE keeps one stream open until its client goes or the front quits.
func (f *Front) serveSSE(w http.ResponseWriter, r *http.Request) {
	if !accepts(r, "text/event-stream") {
		f.deny(w, http.StatusNotAcceptable, "Accept must list text/event-stream")
		return
	}
	s := &sseStream{connection: f.newConnection(true), events: newEventStream(w, f.opts.KeepAlive, true)}
	defer s.events.close()
	if err := f.streams.add(s); err != nil {
		s.events.close()
		w.Header().Set("Retry-After", "10")
		f.reject(w, http.StatusServiceUnavailable, nil, err)
		return
	}
	defer f.streams.remove(s.SessionID())
	if err := s.events.event("endpoint", []byte(messagePath(r, s.SessionID()))); err != nil {
		return // the client is gone already
	}
	s.stream(r.Context(), s.events.send)
	// The calls write to this response, so they end before it does.
	s.close(errStreamGone)
	s.wg.Wait()
}

// messagePath is where the client posts its messages, relative to the address
// it used, so that it holds behind a prefix or a proxy as well.
func messagePath(r *http.Request, id string) string {
	path := r.URL.Path
	if u, err := url.ParseRequestURI(r.RequestURI); err == nil {
		path = u.Path
	}
	return strings.TrimSuffix(path, "/") + "/message?sessionId=" + url.QueryEscape(id)
}

// serveSSEMessage takes one message for a stream. A call runs as the caller of
// this very request, for as long as the stream is open.
func (f *Front) serveSSEMessage(w http.ResponseWriter, r *http.Request) {
	s, ok := f.streams.get(r.URL.Query().Get("sessionId"))
	if !ok {
		f.deny(w, http.StatusNotFound, "no such stream; connect again")
		return
	}
	m, ok := f.readMessage(w, r)
	if !ok {
		return
	}
	if m.isAnswer() || m.id == nil {
		s.note(r.Context(), m)
	} else {
		s.start(context.WithoutCancel(r.Context()), m, s.events.send)
	}
	w.WriteHeader(http.StatusAccepted)
}
