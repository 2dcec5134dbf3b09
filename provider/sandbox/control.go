package sandbox

import (
	"encoding/json"
	"net/http"
	"strconv"
)

// controlPath is where faults are controlled, outside the API.
const controlPath = "/sandbox/faults"

// maxFaults bounds the faults in force at a time.
const maxFaults = 1000

// controlRoutes serves the control of faults. Its requests need the token, count
// towards no limit and meet no fault.
func (c *Cloud) controlRoutes(mux *http.ServeMux) {
	for pattern, handle := range map[string]func(*http.Request) (reply, error){
		"GET " + controlPath:                 c.listFaults,
		"POST " + controlPath:                c.addFault,
		"DELETE " + controlPath:              c.clearFaults,
		"DELETE " + controlPath + "/{fault}": c.endFault,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json; charset=utf-8")
			r.Body = http.MaxBytesReader(w, r.Body, maxBody)
			var rep reply
			err := c.identify(r)
			if err == nil {
				rep, err = handle(r)
			}
			c.respond("", newUUID(), w, r, rep, err)
		})
	}
}

// faultView is a fault in force as the control endpoint shows it.
type faultView struct {
	Number int `json:"id"`
	faultSpec
	Count  int     `json:"count,omitempty"` // how often it is still to be met
	Chance float64 `json:"probability,omitempty"`
	Hits   int     `json:"hits"`
}

func (s *scripted) view() faultView {
	return faultView{s.number, describe(s.fault), s.left, s.chance, s.hits}
}

func (c *Cloud) listFaults(*http.Request) (reply, error) {
	shown := []faultView{}
	c.faults.mu.Lock()
	defer c.faults.mu.Unlock()
	for _, s := range c.faults.script {
		shown = append(shown, s.view())
	}
	return ok(object{"faults": shown})
}

// addFault puts a fault in force: for the next one, the next "count", or with a
// "probability".
func (c *Cloud) addFault(r *http.Request) (reply, error) {
	var req struct {
		faultSpec
		Count  int     `json:"count"`
		Chance float64 `json:"probability"`
	}
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields() // a misspelt member would be a fault that never comes
	if err := d.Decode(&req); err != nil {
		return reply{}, unprocessable("The fault is not valid: %v", err)
	}
	fault, err := req.fault()
	switch {
	case err != nil:
		return reply{}, err
	case req.Count < 0 || req.Chance < 0 || req.Chance > 1 || req.Count > 0 && req.Chance > 0:
		return reply{}, unprocessable("Give a count, or a probability from 0 to 1, or neither for the next one only.")
	case c.inForce() >= maxFaults:
		return reply{}, unprocessable("There are %d faults, which is the most", maxFaults)
	}
	s := scripted{fault: fault, left: req.Count, chance: req.Chance}
	if s.over() {
		s.left = 1
	}
	added := c.faults.add(&s)
	return reply{http.StatusCreated, object{"fault": added.view()}}, nil
}

func (c *Cloud) inForce() int {
	c.faults.mu.Lock()
	defer c.faults.mu.Unlock()
	return len(c.faults.script)
}

func (c *Cloud) clearFaults(*http.Request) (reply, error) {
	c.faults.Clear()
	return noContent()
}

func (c *Cloud) endFault(r *http.Request) (reply, error) {
	number, err := strconv.Atoi(r.PathValue("fault"))
	if err != nil || !c.faults.end(number) {
		return reply{}, notFound()
	}
	return noContent()
}
