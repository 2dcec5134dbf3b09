package x402_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"berth/billing"
	"berth/billing/x402"
	"berth/billing/x402/x402test"
)

// helper is a facilitator before a chain, as an http.RoundTripper for both.
type helper struct {
	chain  *x402test.Chain
	settle func([]byte) // brings what it was sent to the chain

	mu     sync.Mutex
	asked  map[string]int
	lose   int    // how many answers of /settle are lost
	deny   string // the reason with which it refuses
	idle   int    // how many times it says that it settled, and does nothing
	bearer string
}

func (h *helper) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host != "facilitator.example" {
		return h.chain.RoundTrip(r)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.asked[r.URL.Path]++
	h.bearer = r.Header.Get("Authorization")
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
	}
	reply := func(status int, v any) (*http.Response, error) {
		text, err := json.Marshal(v)
		return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(text))}, err
	}
	switch r.URL.Path {
	case "/supported":
		return reply(200, map[string]any{"kinds": []any{map[string]any{"x402Version": 2, "scheme": "exact", "network": x402test.Network}}})
	case "/verify":
		return reply(200, map[string]any{"isValid": h.deny == "", "invalidReason": h.deny})
	}
	if h.deny != "" {
		return reply(400, map[string]any{"success": false, "errorReason": h.deny, "transaction": "", "network": x402test.Network})
	}
	hash := "0x" + strings.Repeat("ab", 32)
	if h.idle > 0 {
		h.idle--
	} else {
		h.settle(body)
	}
	if h.lose > 0 {
		h.lose--
		return nil, io.ErrUnexpectedEOF
	}
	return reply(200, map[string]any{"success": true, "transaction": hash, "network": x402test.Network})
}

func newHelperRig(t *testing.T) (*rig, *helper) {
	t.Helper()
	h := &helper{asked: map[string]int{}}
	r := newRig(t, func(o *x402.Options) {
		h.chain = o.Transport.(*x402test.Chain)
		o.Settler, o.Facilitator, o.Bearer, o.Transport = "", "https://facilitator.example/", "token", h
	})
	h.settle = func(body []byte) {
		var s struct {
			Version int `json:"x402Version"`
			Payload struct {
				Payload json.RawMessage `json:"payload"`
			} `json:"paymentPayload"`
		}
		if err := json.Unmarshal(body, &s); err != nil || s.Version != 2 {
			t.Errorf("it was sent %.100s: %v", body, err)
			return
		}
		kept, err := json.Marshal(map[string]any{"payload": s.Payload.Payload})
		if err != nil {
			t.Error(err)
		}
		r.elsewhere(billing.Claim{Payload: kept})
	}
	return r, h
}

func TestFacilitatorSettles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, h := newHelperRig(t)
		if err := r.rail.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
		c := r.claim()
		if err := r.rail.Verify(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		o, err := r.submit(c, time.Minute)
		if err != nil || o.State != billing.Settled || h.bearer != "Bearer token" {
			t.Errorf("%+v %v", o, err)
		}
		if b := r.kept.last(); r.kept.count() != 1 || b.Hash != "" || b.Sender != "" {
			t.Errorf("kept %+v", b)
		}
		r.paid(20_000)
	})
}

// TestFacilitatorTimesOut: the chain says what became of it.
func TestFacilitatorTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, h := newHelperRig(t)
		h.lose = 1
		o, err := r.submit(r.claim(), time.Minute)
		if err != nil || o.State != billing.Settled {
			t.Errorf("%+v %v", o, err)
		}
		r.paid(20_000)
	})
}

// TestFacilitatorLies: that it says it settled settles nothing; it is asked
// again later.
func TestFacilitatorLies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, h := newHelperRig(t)
		h.idle = 1
		c := r.claim()
		o, err := r.submit(c, 5*time.Second)
		if err != nil || o.State != billing.Unsettled {
			t.Fatalf("%+v %v", o, err)
		}
		time.Sleep(time.Minute)
		if o = r.follow(c); o.State != billing.Settled || h.asked["/settle"] != 2 {
			t.Errorf("%+v", o)
		}
		r.paid(20_000)
	})
}

// TestFacilitatorRefuses: before it is settled that is a refusal; afterwards
// the authorization still has to run out.
func TestFacilitatorRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, h := newHelperRig(t)
		h.deny = "insufficient_funds"
		c := r.claim()
		if err := r.rail.Verify(t.Context(), c); problem(err) != billing.Insufficient {
			t.Errorf("%v", err)
		}
		if o, err := r.submit(c, 5*time.Second); err != nil || o.State != billing.Unsettled {
			t.Errorf("%+v %v", o, err)
		}
		time.Sleep(10 * time.Minute)
		r.chain.Mine()
		if o := r.follow(c); o.State != billing.Failed {
			t.Errorf("%+v", o)
		}
	})
}
