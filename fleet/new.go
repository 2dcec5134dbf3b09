package fleet

import (
	"log/slog"
	"sync"
	"time"
)

// Fleet carries out orders. It may be used concurrently. What it remembers in
// memory only saves work: any other process can go on from the rows.
type Fleet struct {
	Options
	sagas    map[ActionKind]saga
	hub      *hub
	roster   *roster
	capacity capacity
	suspects suspects
	busy     sync.Map // of the actions that this process is at work on
}

// New makes a Fleet. It starts nothing and reads nothing.
func New(o Options) *Fleet {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Pace == (Pace{}) {
		o.Pace = CloudPace()
	}
	return &Fleet{Options: o, sagas: sagas(), hub: newHub(), roster: newRoster()}
}
