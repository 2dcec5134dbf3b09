package sandbox

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/digitalocean/godo"
	"pgregory.net/rapid"
)

// send asks the control endpoint for something. The answer's body goes into v,
// if it is not nil.
func (r *rig) send(method, path, body string, want int, v any) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.url+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	res, err := r.http.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != want {
		r.t.Fatalf("%s %s %s answered %d, want %d", method, path, body, res.StatusCode, want)
	}
	if v == nil {
		return
	}
	if err := json.NewDecoder(res.Body).Decode(v); err != nil {
		r.t.Fatal(err)
	}
}

func controlled(t *testing.T) *rig { return newRig(t, func(o *Options) { o.Control = true }) }

func TestControl(t *testing.T) {
	r := controlled(t)
	r.send("POST", controlPath, `{"fault":"out_of_capacity","count":2}`, 201, nil)
	r.send("POST", controlPath, `{"fault":"fail_action","type":"reboot","probability":1}`, 201, nil)
	for range 2 {
		_, _, err := r.client.Droplets.Create(t.Context(), request("x"))
		refused(t, err, http.StatusUnprocessableEntity, msgSizeInRegion)
	}
	d := r.create("x")
	for range 3 {
		a, _, err := r.client.DropletActions.Reboot(t.Context(), d.ID)
		r.did(actionErrored, a, err)
	}
	var list struct{ Faults []faultView }
	r.send("GET", controlPath, "", 200, &list)
	if len(list.Faults) != 2 || list.Faults[0].Hits != 2 || list.Faults[0].Status != 422 || list.Faults[1].Hits != 3 || list.Faults[1].Chance != 1 {
		t.Errorf("faults %+v", list.Faults)
	}
	r.send("DELETE", controlPath+"/2", "", 204, nil)
	r.send("DELETE", controlPath+"/2", "", 404, nil)
	r.completed(r.client.DropletActions.Reboot(t.Context(), d.ID))

	r.send("POST", controlPath, `{"fault":"vanish"}`, 201, nil)
	r.send("DELETE", controlPath, "", 204, nil)
	r.create("y")
	r.send("GET", controlPath, "", 200, &list)
	if len(list.Faults) != 0 {
		t.Errorf("cleared: %+v", list.Faults)
	}
}

func TestControlRefuses(t *testing.T) {
	r := controlled(t)
	for _, body := range []string{
		``, `[]`, `{}`, `{"fault":"earthquake"}`, `{"fault":"vanish","probabilty":1}`, `{"fault":"vanish","probability":2}`,
		`{"fault":"vanish","count":-1}`, `{"fault":"vanish","count":1,"probability":1}`, `{"fault":"lose"}`,
		`{"fault":"lose","op":"droplets_dance"}`, `{"fault":"lose","op":"droplets_create","status":404}`,
		`{"fault":"refuse","op":"droplets_create"}`, `{"fault":"list_lag"}`, `{"fault":"fail_action"}`,
		`{"fault":"account_status","message":"happy"}`, `{"fault":"slow","median":"-1s"}`, `{"fault":"slow","median":5}`,
	} {
		r.send("POST", controlPath, body, 422, nil)
	}
	plain := newRig(t)
	plain.send("GET", controlPath, "", 404, nil)
	res, err := http.Get(r.url + controlPath)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusUnauthorized {
		t.Errorf("without the token: %d", res.StatusCode)
	}
	http.DefaultClient.CloseIdleConnections()
}

// TestEveryFaultByControl holds that each fault can be set, and is shown so
// that setting what is shown is the same fault.
func TestEveryFaultByControl(t *testing.T) {
	r := controlled(t)
	for name := range faultKinds() {
		spec := faultSpec{
			Fault: name, Op: "droplets_create", Status: 502, Message: "locked", Times: 2, Type: "reboot",
			RetryAfter: length(time.Second), For: length(time.Second), Median: length(time.Second), P99: length(time.Minute),
		}
		body, err := json.Marshal(spec)
		if err != nil {
			t.Fatal(err)
		}
		var added struct{ Fault faultView }
		r.send("POST", controlPath, string(body), 201, &added)
		want, err := spec.fault()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := added.Fault.fault(); err != nil || got != want || added.Fault.Count != 1 {
			t.Errorf("%s is shown as %+v: %v, %v", name, added.Fault, got, err)
		}
	}
}

func TestChance(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.Float64Range(0.01, 1).Draw(t, "probability")
		draws := rapid.SliceOfN(rapid.Float64Range(0, 0.999), 1, 30).Draw(t, "draws")
		n := 0
		f := &Faults{Rand: func() float64 { n++; return draws[n-1] }}
		f.Next(1, Vanish{})
		f.Chance(p, Vanish{})
		if !f.vanishes() || n != 0 {
			t.Fatal("what is scripted does not come first")
		}
		for _, d := range draws {
			if got := f.vanishes(); got != (d < p) {
				t.Fatalf("a fault of probability %v happens at %v: %v", p, d, got)
			}
		}
	})
}

func TestDistribution(t *testing.T) {
	d := Distribution{Median: time.Second, P99: 10 * time.Second}
	const draws = 20_000
	var below, above int
	for range draws {
		switch took := d.Draw(); {
		case took < 0 || took > 4*d.P99:
			t.Fatalf("drew %v", took)
		case took <= d.Median:
			below++
		case took > d.P99:
			above++
		}
	}
	if below < draws*46/100 || below > draws*54/100 || above < draws/200 || above > draws/50 {
		t.Errorf("of %d draws %d are at most the median, and %d above the 99th percentile", draws, below, above)
	}
	if got := (Distribution{Median: time.Second}).Draw(); got != time.Second {
		t.Errorf("without a 99th percentile: %v", got)
	}
}

func TestSlow(t *testing.T) {
	r, f := faulty(t)
	d := r.create("x")
	f.Next(1, Slow{Type: typeDestroy, Distribution: Distribution{Median: time.Hour}})
	if _, err := r.client.Droplets.Delete(t.Context(), d.ID); err != nil {
		t.Fatal(err)
	}
	if got := r.get(d.ID); !got.Locked {
		t.Error("a deletion that takes an hour is over")
	}
}

func TestDelay(t *testing.T) {
	r, f := faulty(t)
	f.Next(1, Delay{Op: "account_get", Distribution: Distribution{Median: 50 * time.Millisecond}})
	began := time.Now()
	if _, _, err := r.client.Account.Get(t.Context()); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took < 50*time.Millisecond {
		t.Errorf("a delayed call took %v", took)
	}
}

func TestFurtherRefusals(t *testing.T) {
	r, f := faulty(t)
	f.Next(1, TryAgain("droplets_create"))
	_, _, err := r.client.Droplets.Create(t.Context(), request("x"))
	refused(t, err, http.StatusUnprocessableEntity, "There was a problem, please try again.")
	f.Next(1, DuplicateKey())
	key := &godo.KeyCreateRequest{Name: "k", PublicKey: publicKey(t, 1)}
	_, _, err = r.client.Keys.Create(t.Context(), key)
	refused(t, err, http.StatusUnprocessableEntity, msgKeyInUse)
	f.Next(1, AccountStatus{"locked"})
	for _, want := range []string{"locked", "active"} {
		if a, _, err := r.client.Account.Get(t.Context()); err != nil || a.Status != want {
			t.Errorf("the account is %v, %v; want it %s", a, err, want)
		}
	}
}
