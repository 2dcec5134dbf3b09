package sandbox

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Faults say what goes wrong: by script, or with a probability. Their methods
// may be called at any time and concurrently. A nil *Faults is none.
type Faults struct {
	// Rand draws numbers from 0 to below 1; nil is math/rand. It is set before
	// first use, and called under a lock.
	Rand func() float64

	mu     sync.Mutex
	last   int // the last number given to a fault
	script []*scripted
	veils  map[int]*veil // by the id of a droplet or a snapshot
}

// Fault is something that goes wrong: Refuse, Lose, Hang, Delay, Slow, ListLag,
// EarlyNotFound, NoAddress, Vanish, FailAction, SnapshotLag or AccountStatus.
type Fault interface{ isFault() }

// Refuse answers calls of an operation with an error, and does nothing.
type Refuse struct {
	Op         string // the id in DigitalOcean's OpenAPI description, such as "droplets_create"; empty is any
	Status     int
	ID         string
	Message    string
	RetryAfter time.Duration // shown as retry-after, in whole seconds rounded up
}

// Lose does what a call of an operation asks for, and then answers with a
// server error, or drops the connection if Status is 0.
type Lose struct {
	Op     string
	Status int
}

// Hang does what a call of an operation asks for and then does not answer until
// the client has gone away, or For is over if that is not 0.
type Hang struct {
	Op  string
	For time.Duration
}

// ListLag leaves a new droplet out of so many lists of droplets.
type ListLag struct{ Lists int }

// EarlyNotFound answers so many requests for a new droplet by id with 404.
type EarlyNotFound struct{ Gets int }

// NoAddress shows a new droplet so many times without an address when it is
// active.
type NoAddress struct{ Reads int }

// Vanish makes a new droplet disappear when it has been created.
type Vanish struct{}

// FailAction makes an action of a type end as errored. Its work is not done.
type FailAction struct{ Type string }

// SnapshotLag keeps a new snapshot out of so many answers after its action has
// completed. Until then no snapshot is visible, faults or not.
type SnapshotLag struct{ Reads int }

// AccountStatus shows the account as "warning" or "locked".
type AccountStatus struct{ Status string }

func (AccountStatus) isFault() {}
func (Delay) isFault()         {}
func (Slow) isFault()          {}
func (Refuse) isFault()        {}
func (Lose) isFault()          {}
func (Hang) isFault()          {}
func (ListLag) isFault()       {}
func (EarlyNotFound) isFault() {}
func (NoAddress) isFault()     {}
func (Vanish) isFault()        {}
func (FailAction) isFault()    {}
func (SnapshotLag) isFault()   {}

// PendingEvent is what a droplet answers that has work under way.
func PendingEvent() Refuse {
	return Refuse{Op: "dropletActions_post", Status: http.StatusUnprocessableEntity, ID: "unprocessable_entity", Message: msgPending}
}

// OutOfCapacity is what a create answers where the size is sold out.
func OutOfCapacity() Refuse {
	return Refuse{Op: "droplets_create", Status: http.StatusUnprocessableEntity, ID: "unprocessable_entity", Message: msgSizeInRegion}
}

// OverLimit is what a create answers that the account's limit forbids.
func OverLimit() Refuse {
	return Refuse{Op: "droplets_create", Status: http.StatusUnprocessableEntity, ID: "unprocessable_entity", Message: msgDropletLimit}
}

// TryAgain is what an operation answers now and then for no reason.
func TryAgain(op string) Refuse {
	return Refuse{Op: op, Status: http.StatusUnprocessableEntity, ID: "unprocessable_entity", Message: "There was a problem, please try again."}
}

// DuplicateKey is what creating an SSH key answers that the account has.
func DuplicateKey() Refuse {
	return Refuse{Op: "sshKeys_create", Status: http.StatusUnprocessableEntity, ID: "unprocessable_entity", Message: msgKeyInUse}
}

// TooManyRequests is what any operation answers to a burst.
func TooManyRequests(retryAfter time.Duration) Refuse {
	return Refuse{Status: http.StatusTooManyRequests, ID: "too_many_requests", Message: "Too many requests", RetryAfter: retryAfter}
}

// ServerError is what an operation answers when nothing was done.
func ServerError(op string) Refuse {
	return Refuse{Op: op, Status: http.StatusServiceUnavailable, ID: "service_unavailable", Message: "Server Error"}
}

// scripted is a fault that so many calls, droplets or actions are to meet, or
// each with a probability.
type scripted struct {
	number int
	fault  Fault
	left   int
	chance float64
	hits   int // how often it was met
}

// veil hides a droplet, or a snapshot, for so many reads.
type veil struct{ lists, gets, addresses, snapshots int }

// Next has the next n calls, new droplets, actions or snapshots, whichever the
// fault is about, meet the fault. Of several faults about the same, the one
// that was given first comes first.
func (f *Faults) Next(n int, fault Fault) {
	f.add(&scripted{fault: fault, left: n})
}

// Chance has each call, new droplet, action or snapshot, whichever the fault is
// about, meet the fault with a probability from 0 to 1. What Next scripted comes
// first.
func (f *Faults) Chance(probability float64, fault Fault) {
	f.add(&scripted{fault: fault, chance: probability})
}

// add forgets what is used up, so that a long life needs no more room.
func (f *Faults) add(s *scripted) scripted {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last++
	s.number = f.last
	f.script = append(slices.DeleteFunc(f.script, (*scripted).over), s)
	return *s
}

func (s *scripted) over() bool { return s.left <= 0 && s.chance <= 0 }

// Clear ends all faults. What they have hidden already comes into sight.
func (f *Faults) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.script, f.veils = nil, nil
}

// end takes one fault out of force, and tells whether it was in force.
func (f *Faults) end(number int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	before := len(f.script)
	f.script = slices.DeleteFunc(f.script, func(s *scripted) bool { return s.number == number })
	return len(f.script) < before
}

// Left is how often something is still to go wrong, as Next scripted.
func (f *Faults) Left() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, s := range f.script {
		n += s.left
	}
	return n
}

// take uses up the first scripted fault of a type that is about the matter.
func take[T Fault](f *Faults, about func(T) bool) (T, bool) {
	var none T
	if f == nil {
		return none, false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.script {
		if fault, ok := s.fault.(T); ok && s.left > 0 && about(fault) {
			s.left--
			s.hits++
			return fault, true
		}
	}
	for _, s := range f.script {
		if fault, ok := s.fault.(T); ok && s.chance > 0 && about(fault) && f.draw() < s.chance {
			s.hits++
			return fault, true
		}
	}
	return none, false
}

// draw is a random number from 0 to below 1. The caller holds f.mu.
func (f *Faults) draw() float64 {
	if f.Rand != nil {
		return f.Rand()
	}
	return rand.Float64()
}

func every[T Fault](T) bool { return true }

// before is what goes wrong before a call of an operation has an effect.
func (f *Faults) before(op string) error {
	r, ok := take(f, func(r Refuse) bool { return r.Op == "" || r.Op == op })
	if !ok {
		return nil
	}
	return &refusal{status: r.Status, id: r.ID, message: r.Message, retryAfter: r.RetryAfter}
}

// after is what goes wrong after a call of an operation has had its effect.
func (f *Faults) after(op string, r *http.Request) error {
	if hang, ok := take(f, func(h Hang) bool { return h.Op == op }); ok {
		wait(r, hang.For)
	}
	lose, ok := take(f, func(l Lose) bool { return l.Op == op })
	switch {
	case !ok:
		return nil
	case lose.Status == 0:
		panic(http.ErrAbortHandler) // net/http then drops the connection
	}
	return &refusal{status: lose.Status, id: "server_error", message: "Server Error"}
}

// wait returns when the client has gone away, or d is over if that is not 0.
func wait(r *http.Request, d time.Duration) {
	var over <-chan time.Time
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		over = t.C
	}
	select {
	case <-over:
	case <-r.Context().Done():
	}
}

// accountStatus is how the account is shown.
func (f *Faults) accountStatus() string {
	a, ok := take(f, every[AccountStatus])
	if !ok {
		return "active"
	}
	return a.Status
}

func (f *Faults) failsAction(kind string) bool {
	_, ok := take(f, func(a FailAction) bool { return a.Type == kind })
	return ok
}

// created veils a new droplet as scripted.
func (f *Faults) created(id int) {
	if lag, ok := take(f, every[ListLag]); ok {
		f.veil(id, func(v *veil) { v.lists = lag.Lists })
	}
	if early, ok := take(f, every[EarlyNotFound]); ok {
		f.veil(id, func(v *veil) { v.gets = early.Gets })
	}
	if without, ok := take(f, every[NoAddress]); ok {
		f.veil(id, func(v *veil) { v.addresses = without.Reads })
	}
}

func (f *Faults) vanishes() bool {
	_, ok := take(f, every[Vanish])
	return ok
}

// snapshotTaken veils a new snapshot as scripted.
func (f *Faults) snapshotTaken(id int) {
	if lag, ok := take(f, every[SnapshotLag]); ok {
		f.veil(id, func(v *veil) { v.snapshots = lag.Reads })
	}
}

func (f *Faults) veil(id int, set func(*veil)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.veils == nil {
		f.veils = map[int]*veil{}
	}
	if f.veils[id] == nil {
		f.veils[id] = &veil{}
	}
	set(f.veils[id])
}

func (f *Faults) hidesInList(id int) bool { return f.hides(id, func(v *veil) *int { return &v.lists }) }

func (f *Faults) hidesFromGet(id int) bool { return f.hides(id, func(v *veil) *int { return &v.gets }) }

func (f *Faults) hidesAddress(id int) bool {
	return f.hides(id, func(v *veil) *int { return &v.addresses })
}

func (f *Faults) hidesSnapshot(id int) bool {
	return f.hides(id, func(v *veil) *int { return &v.snapshots })
}

// hides counts down how often something is still to be hidden.
func (f *Faults) hides(id int, count func(*veil) *int) bool {
	if f == nil {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	v := f.veils[id]
	if v == nil || *count(v) == 0 {
		return false
	}
	*count(v)--
	return true
}
