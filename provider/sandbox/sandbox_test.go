package sandbox

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/digitalocean/godo"
	"go.uber.org/goleak"

	"berth/provider/sandbox/droplet"
)

func TestMain(m *testing.M) {
	droplet.Main()
	goleak.VerifyTestMain(m)
}

// rig is a cloud, a server that serves it, and godo to talk to it.
type rig struct {
	*Cloud
	t        *testing.T
	machines *fakeMachines
	dir      string
	url      string
	client   *godo.Client
	http     *http.Client
}

// newRig opens and starts a cloud on fake machines.
func newRig(t *testing.T, change ...func(*Options)) *rig {
	t.Helper()
	return openRig(t, t.TempDir(), newFake(), change...)
}

func openRig(t *testing.T, dir string, machines *fakeMachines, change ...func(*Options)) *rig {
	t.Helper()
	o := Options{Dir: dir, Machines: machines, Limits: Limits{Hour: -1, Minute: -1, KeyLists: -1}}
	for _, f := range change {
		f(&o)
	}
	c, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	r := serveRig(t, c)
	r.machines, r.dir = machines, dir
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

func serveRig(t *testing.T, c *Cloud) *rig {
	t.Helper()
	server := httptest.NewServer(c.Handler())
	transport := &http.Transport{}
	r := &rig{Cloud: c, t: t, url: server.URL}
	r.http = &http.Client{Transport: contract(t, bearer{c.Token(), transport}), Timeout: 10 * time.Second}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error("close:", err)
		}
		transport.CloseIdleConnections()
		server.Close()
	})
	var err error
	if r.client, err = godo.New(r.http, godo.SetBaseURL(server.URL+"/")); err != nil {
		t.Fatal(err)
	}
	return r
}

// bearer presents a token with every request.
type bearer struct {
	token string
	next  http.RoundTripper
}

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return b.next.RoundTrip(r)
}

// settle returns when all work that was asked for is done.
func (r *rig) settle() {
	r.Live() // takes the lock, and so comes after work that began without an answer
	r.working.Wait()
}

// create makes a droplet and waits until it is active.
func (r *rig) create(name string, change ...func(*godo.DropletCreateRequest)) *godo.Droplet {
	r.t.Helper()
	d, _, err := r.client.Droplets.Create(r.t.Context(), request(name, change...))
	if err != nil {
		r.t.Fatal(err)
	}
	r.settle()
	return r.get(d.ID)
}

func request(name string, change ...func(*godo.DropletCreateRequest)) *godo.DropletCreateRequest {
	req := &godo.DropletCreateRequest{
		Name: name, Region: "nyc3", Size: "s-1vcpu-1gb", SSHKeys: []godo.DropletCreateSSHKey{},
		Image: godo.DropletCreateImage{Slug: "debian-12-x64"},
	}
	for _, f := range change {
		f(req)
	}
	return req
}

func (r *rig) get(id int) *godo.Droplet {
	r.t.Helper()
	d, _, err := r.client.Droplets.Get(r.t.Context(), id)
	if err != nil {
		r.t.Fatal(err)
	}
	return d
}

// did waits for an action and demands that it ended in a status.
func (r *rig) did(status string, a *godo.Action, err error) *godo.Action {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
	if a.Status != actionInProgress || a.CompletedAt != nil {
		r.t.Errorf("a new %s action is %s, completed at %v", a.Type, a.Status, a.CompletedAt)
	}
	r.settle()
	got, _, err := r.client.Actions.Get(r.t.Context(), a.ID)
	if err != nil {
		r.t.Fatal(err)
	}
	if got.Status != status || got.CompletedAt == nil {
		r.t.Fatalf("action %s ended as %s at %v, want %s", got.Type, got.Status, got.CompletedAt, status)
	}
	return got
}

// completed is did for an action that succeeds, as godo answers it.
func (r *rig) completed(a *godo.Action, _ *godo.Response, err error) *godo.Action {
	r.t.Helper()
	return r.did(actionCompleted, a, err)
}

// refused demands that a request was refused with a status and a message.
func refused(t *testing.T, err error, status int, message string) {
	t.Helper()
	var e *godo.ErrorResponse
	if !errors.As(err, &e) {
		t.Errorf("got error %v, want %d %q", err, status, message)
		return
	}
	if e.Response.StatusCode != status || e.Message != message {
		t.Errorf("refused with %d %q, want %d %q", e.Response.StatusCode, e.Message, status, message)
	}
	if e.RequestID == "" || e.RequestID != e.Response.Header.Get("x-request-id") {
		t.Errorf("request id %q in the body, %q in the header", e.RequestID, e.Response.Header.Get("x-request-id"))
	}
}

func TestTokenIsKept(t *testing.T) {
	dir := t.TempDir()
	open := func(token string) string {
		c, err := Open(Options{Dir: dir, Machines: newFake(), Token: token})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}()
		return c.Token()
	}
	first := open("")
	if len(first) != len("dop_v1_")+64 {
		t.Errorf("token %q has %d characters", first, len(first))
	}
	if again := open(""); again != first {
		t.Errorf("the token changed from %q to %q", first, again)
	}
	if given := open("mine"); given != "mine" {
		t.Errorf("the given token became %q", given)
	}
	for _, name := range []string{"token", "state.json"} {
		info, err := os.Stat(dir + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, want 0600", name, info.Mode())
		}
	}
}

func TestWrongTokenIsRefused(t *testing.T) {
	r := newRig(t)
	for _, header := range []string{"", "Bearer", "Bearer wrong", "Basic " + r.Token(), r.Token() + "x"} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", r.url+"/v2/account", nil)
		if err != nil {
			t.Fatal(err)
		}
		if header != "" {
			req.Header.Set("Authorization", header)
		}
		client := &http.Client{Transport: contract(t, &http.Transport{DisableKeepAlives: true})}
		res, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		refused(t, godo.CheckResponse(res), http.StatusUnauthorized, "Unable to authenticate you")
		res.Body.Close()
	}
}

func TestUnknownEndpoints(t *testing.T) {
	r := newRig(t)
	for call, want := range map[string]int{
		"GET /v2/databases":                         http.StatusNotImplemented,
		"GET /v2/1-clicks":                          http.StatusNotImplemented,
		"GET /v2/kubernetes/clusters":               http.StatusNotImplemented,
		"GET /v2/apps":                              http.StatusNotImplemented,
		"POST /v2/reserved_ipv6":                    http.StatusNotImplemented,
		"POST /v2/images":                           http.StatusNotImplemented,
		"POST /v2/images/1/account_transfer/accept": http.StatusNotImplemented,
		"GET /v2/droplets/autoscale":                http.StatusNotImplemented,
		"GET /v2/droplets/autoscale/x/members":      http.StatusNotImplemented,
		"GET /v2/customers/my/invoices/preview/pdf": http.StatusNotImplemented,
		"GET /v2/vpcs/x/peerings":                   http.StatusNotImplemented,
		"GET /v2/droplets/1/neighbors":              http.StatusNotFound,
		"GET /v2/droplets/1/nonsense":               http.StatusNotFound,
		"GET /v2/volumes/snapshots/x/":              http.StatusNotFound,
		"GET /v2/nonsense":                          http.StatusNotFound,
		"POST /v2/nonsense":                         http.StatusNotFound,
		"GET /v1/droplets":                          http.StatusNotFound,
		"GET /":                                     http.StatusNotFound,
		"PATCH /v2/droplets/1":                      http.StatusMethodNotAllowed,
		"DELETE /v2/account":                        http.StatusMethodNotAllowed,
		"PUT /v2/volumes/snapshots/x":               http.StatusMethodNotAllowed,
		"POST /v2/projects/default":                 http.StatusMethodNotAllowed,
	} {
		method, path, _ := strings.Cut(call, " ")
		req, err := r.client.NewRequest(t.Context(), method, path, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = r.client.Do(t.Context(), req, nil)
		var e *godo.ErrorResponse
		if !errors.As(err, &e) || e.Response.StatusCode != want || e.Message == "" || e.RequestID == "" {
			t.Errorf("%s: %v, want %d", call, err, want)
		}
		if allow := e.Response.Header.Get("Allow"); (allow != "") != (want == http.StatusMethodNotAllowed) {
			t.Errorf("%s: Allow is %q", call, allow)
		}
	}
}

func TestBodiesAreBounded(t *testing.T) {
	r := newRig(t)
	_, _, err := r.client.Droplets.Create(t.Context(), request("big", func(req *godo.DropletCreateRequest) {
		req.UserData = string(make([]byte, maxBody))
	}))
	refused(t, err, http.StatusRequestEntityTooLarge, "The request body is larger than 1048576 bytes.")
}

func TestBodiesThatAreWrong(t *testing.T) {
	r := newRig(t)
	for body, want := range map[string]struct {
		status  int
		message string
	}{
		`"droplet"`:                {422, "The request body must not be of type string"},
		`{"name":7}`:               {422, "name must not be of type number"},
		`{"name":"x","image":[1]}`: {422, "expected an id or a name, not [1]"},
		`{"name":`:                 {400, "The request body is not valid JSON."},
		``:                         {400, "The request body is not valid JSON."},
		`{"names":[]}`:             {422, "Names must be between 1 and 10"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), "POST", r.url+"/v2/droplets", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		res, err := r.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		refused(t, godo.CheckResponse(res), want.status, want.message)
		res.Body.Close()
	}
}

func TestStartWithoutShells(t *testing.T) {
	machines := newFake()
	machines.blind = true
	r := openRig(t, t.TempDir(), machines)
	d := r.create("quiet")
	if d.Status != statusActive {
		t.Errorf("without shells the droplet is %s", d.Status)
	}
	if r.machines.machine(d.ID).on {
		t.Error("a machine was started where none can run")
	}
	r.completed(r.client.DropletActions.Snapshot(t.Context(), d.ID, "empty"))
	r.completed(r.client.DropletActions.Restore(t.Context(), d.ID, r.get(d.ID).SnapshotIDs[0]))
	r.completed(r.client.DropletActions.PowerOff(t.Context(), d.ID))
	if got := r.get(d.ID).Status; got != statusOff {
		t.Errorf("status %s after power_off", got)
	}
	if _, err := r.client.Droplets.Delete(t.Context(), d.ID); err != nil {
		t.Error(err)
	}
}

func TestEmptyMachines(t *testing.T) {
	f := &Faults{}
	c, err := Open(Options{Dir: t.TempDir(), Machines: &Empty{}, Faults: f})
	if err != nil {
		t.Fatal(err)
	}
	r := serveRig(t, c)
	if err := c.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	d := r.create("x")
	f.Next(1, FailAction{Type: "power_off"})
	a, _, err := r.client.DropletActions.PowerOff(t.Context(), d.ID)
	r.did(actionErrored, a, err)
	if got := r.get(d.ID).Status; got != statusActive {
		t.Errorf("a droplet that could not be powered off is %s", got)
	}
}

func TestStartTwice(t *testing.T) {
	r := newRig(t)
	if err := r.Start(context.Background()); err == nil {
		t.Error("started twice without an error")
	}
}
