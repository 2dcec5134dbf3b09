package tools

import (
	"context"
	"errors"
	"sync"
	"time"

	"berth"
)

// errSessionEnded is the cause of the end of calls whose session ended.
var errSessionEnded = errors.New("the session has ended")

// errTooMany is what a new session or stream is refused with when all that
// there may be are in use.
var errTooMany = errors.New("too many sessions; try again later")

// httpSession is one legacy session over streamable HTTP.
type httpSession struct {
	*connection
	used     time.Time          // when the last request began or ended; under sessionStore.mu
	users    int                // requests and streams open now; under sessionStore.mu
	takeOver context.CancelFunc // ends the GET stream there is; under sessionStore.mu
}

// sessionStore holds the legacy sessions of streamable HTTP, of which there are
// a limited number. Sessions end when their client says so, when they have been
// idle for the TTL, or when a new one needs the place of the longest idle.
type sessionStore struct {
	limit int
	ttl   time.Duration
	clock berth.Clock

	mu   sync.Mutex
	byID map[string]*httpSession
}

func newSessionStore(limit int, ttl time.Duration, clock berth.Clock) *sessionStore {
	return &sessionStore{limit: limit, ttl: ttl, clock: clock, byID: make(map[string]*httpSession)}
}

// add takes in a new session, in use by its first request.
func (s *sessionStore) add(c *connection) (*httpSession, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock()
	var oldest *httpSession
	for _, h := range s.byID {
		switch {
		case h.users > 0:
		case now.Sub(h.used) >= s.ttl:
			s.drop(h)
		case oldest == nil || h.used.Before(oldest.used):
			oldest = h
		}
	}
	if len(s.byID) >= s.limit {
		if oldest == nil {
			return nil, errTooMany
		}
		s.drop(oldest)
	}
	h := &httpSession{connection: c, used: now, users: 1}
	s.byID[c.SessionID()] = h
	return h, nil
}

// use returns the session with this id, to be given back with leave.
func (s *sessionStore) use(id string) (*httpSession, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h, ok := s.byID[id]
	if !ok {
		return nil, false
	}
	now := s.clock()
	if h.users == 0 && now.Sub(h.used) >= s.ttl {
		s.drop(h)
		return nil, false
	}
	h.used = now
	h.users++
	return h, true
}

// leave ends a use.
func (s *sessionStore) leave(h *httpSession) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h.users--
	h.used = s.clock()
}

// remove ends a session, with the calls under way in it.
func (s *sessionStore) remove(h *httpSession) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(h)
}

// drop does what remove says, under s.mu.
func (s *sessionStore) drop(h *httpSession) {
	delete(s.byID, h.SessionID())
	h.close(errSessionEnded)
	if h.takeOver != nil {
		h.takeOver()
	}
}

// listen makes cancel the end of the session's GET stream and ends the stream
// before it, so that a client that lost its connection can come back at once.
func (s *sessionStore) listen(h *httpSession, cancel context.CancelFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h.takeOver != nil {
		h.takeOver()
	}
	h.takeOver = cancel
}
