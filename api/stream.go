package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"
	"unicode/utf8"

	"berth"
	"berth/ops"
)

// patience is how long a client that asks for a stream is served an action's
// progress, where it does not say.
const patience = 2 * time.Minute

// stream answers with server-sent events: progress and output as they come,
// then one result or error.
func (a *API) stream(w http.ResponseWriter, r *http.Request, call *ops.Call, wait time.Duration) {
	s := &eventStream{api: a, w: w, flush: http.NewResponseController(w)}
	call.Sink = s
	if wait == 0 {
		wait = patience
	}
	res, err := a.System.Dispatch(r.Context(), call)
	if err != nil && !s.begun {
		a.fail(w, r, err)
		return
	}
	if err == nil {
		if !s.begun {
			accompany(w.Header(), res)
		}
		err = a.System.Wait(r.Context(), res, wait, s)
	}
	var e *berth.Error
	switch {
	case err == nil:
		if res.Receipt != nil {
			s.send("receipt", res.Receipt)
		}
		s.send("result", res.Out)
	case errors.As(err, &e):
		s.send("error", problemOf(statuses[e.Code], e))
	case r.Context().Err() == nil:
		a.Log.ErrorContext(r.Context(), "stream failed", slog.String("path", r.URL.Path), slog.Any("error", err))
		s.send("error", problemOf(http.StatusInternalServerError, berth.Errorf(berth.Internal, "the request could not be carried out")))
	}
}

// eventStream writes server-sent events. It is a Sink.
type eventStream struct {
	api   *API
	w     http.ResponseWriter
	flush *http.ResponseController
	mu    sync.Mutex
	begun bool
	held  [2][]byte // the beginning of a rune that a piece of output ended in
}

// Progress implements ops.Sink.
func (s *eventStream) Progress(stage string, percent int, message string) {
	s.send("progress", map[string]any{"stage": stage, "percent": percent, "message": message})
}

// Output implements ops.Sink. Pieces are cut between runes.
func (s *eventStream) Output(stderr bool, data []byte) {
	name, i := "stdout", 0
	if stderr {
		name, i = "stderr", 1
	}
	data = append(s.held[i], data...)
	whole := len(data) - unfinished(data)
	s.held[i] = append([]byte(nil), data[whole:]...)
	if whole > 0 {
		s.send(name, map[string]string{"text": string(data[:whole])})
	}
}

// unfinished is how many bytes at the end begin a rune and don't end it.
func unfinished(b []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(b); n++ {
		if tail := b[len(b)-n:]; utf8.RuneStart(tail[0]) {
			if utf8.FullRune(tail) {
				return 0
			}
			return n
		}
	}
	return 0
}

func (s *eventStream) send(event string, v any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.begun {
		s.begun = true
		h := s.w.Header()
		h.Set("Content-Type", "text/event-stream")
		if h.Get("Cache-Control") == "" {
			h.Set("Cache-Control", "no-store")
		}
		h.Set("X-Accel-Buffering", "no")
		s.w.WriteHeader(http.StatusOK)
	}
	text, err := json.Marshal(v)
	if err == nil {
		_, err = fmt.Fprintf(s.w, "event: %s\ndata: %s\n\n", event, text)
	}
	if err == nil {
		err = s.flush.Flush()
	}
	if err != nil {
		s.api.Log.Debug("event not written", slog.Any("error", err))
	}
}
