package api_test

import (
	"bufio"
	"encoding/json"
	"strings"
	"testing"

	"berth"
	"berth/api"
	"berth/fleet/fleettest"
	"berth/ops"
	"berth/ops/opstest"
	"berth/provider"
	"berth/remote"
)

// event is one server-sent event.
type event struct {
	name string
	data string
}

func events(t *testing.T, a answer) (list []event) {
	t.Helper()
	if got := a.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Fatalf("%d is a %s: %.300s", a.StatusCode, got, a.body)
	}
	var e event
	s := bufio.NewScanner(strings.NewReader(string(a.body)))
	for s.Scan() {
		name, rest, _ := strings.Cut(s.Text(), ": ")
		switch name {
		case "event":
			e.name = rest
		case "data":
			e.data = rest
		case "":
			list = append(list, e)
			e = event{}
		default:
			t.Errorf("a line of no event: %s", s.Text())
		}
	}
	return list
}

const asStream = "text/event-stream"

func TestExecStreams(t *testing.T) {
	r := newRig(t)
	p := r.Principal()
	euro := "€" // three bytes, which come in two pieces
	r.Hands.Script = func(c remote.Command) (remote.Result, []remote.Chunk, error) {
		return remote.Result{ExitCode: 3, Stdout: remote.Output{Text: "a" + euro, Total: 4}}, []remote.Chunk{
			{Data: []byte("a" + euro[:1])}, {Stderr: true, Data: []byte("oh")}, {Data: []byte(euro[1:])},
		}, nil
	}
	path := "/v1/servers/" + string(r.Server(p)) + "/exec"
	got := events(t, r.call("POST", path, p.Token, opstest.Args{"command": "x"}, "Accept", asStream))
	want := []event{{"stdout", `{"text":"a"}`}, {"stderr", `{"text":"oh"}`}, {"stdout", `{"text":"€"}`}}
	if len(got) != 4 || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] || got[3].name != "result" {
		t.Fatalf("events = %v", got)
	}
	var out ops.ExecOut
	if err := json.Unmarshal([]byte(got[3].data), &out); err != nil || *out.ExitCode != 3 || out.Stdout.Total != 4 {
		t.Errorf("result = %s, %v", got[3].data, err)
	}
	plain := r.call("POST", path, p.Token, opstest.Args{"command": "x"})
	if plain.into(t, &out); plain.StatusCode != 200 || out.Stdout.Text != "a"+euro {
		t.Errorf("without a stream: %d %s", plain.StatusCode, plain.body)
	}
}

func TestStreamTellsOfErrors(t *testing.T) {
	r := newRig(t)
	p := r.Principal()
	path := "/v1/servers/" + string(r.Server(p)) + "/exec"
	early := r.call("POST", path, p.Token, opstest.Args{}, "Accept", asStream)
	if early.StatusCode != 400 || early.problem(t).Code != berth.InvalidInput {
		t.Errorf("before it began: %d %s", early.StatusCode, early.body)
	}
	r.Hands.Script = func(remote.Command) (remote.Result, []remote.Chunk, error) {
		return remote.Result{}, []remote.Chunk{{Data: []byte("half")}}, &remote.Error{Kind: remote.ConnectionLost, Message: "the connection ended"}
	}
	got := events(t, r.call("POST", path, p.Token, opstest.Args{"command": "x"}, "Accept", asStream))
	var q api.Problem
	if len(got) != 2 || got[0].name != "stdout" || got[1].name != "error" {
		t.Fatalf("events = %v", got)
	}
	if err := json.Unmarshal([]byte(got[1].data), &q); err != nil || q.Code != berth.Unreachable || q.Status != 502 {
		t.Errorf("error = %+v, %v", q, err)
	}
}

func TestCreateStreams(t *testing.T) {
	r := newRig(t)
	r.Drive()
	p := r.Principal()
	a := r.call("POST", "/v1/servers", p.Token, opstest.Args{"size": "small", "region": "nyc1"}, "Accept", asStream)
	if a.Header.Get("Berth-Receipt") == "" || a.Header.Get("Berth-Action") == "" || a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("headers %v", a.Header)
	}
	got := events(t, a)
	if len(got) < 5 {
		t.Fatalf("events = %v", got)
	}
	percent := -1
	for _, e := range got[:len(got)-1] {
		if e.name == "receipt" {
			continue
		}
		var stage struct {
			Stage   string
			Percent int
		}
		if err := json.Unmarshal([]byte(e.data), &stage); err != nil || e.name != "progress" || stage.Percent <= percent || stage.Stage == "" {
			t.Errorf("%v after %d percent: %v", e, percent, err)
		}
		percent = stage.Percent
	}
	if last := got[len(got)-1]; last.name != "result" || !strings.Contains(last.data, `"status":"active"`) {
		t.Errorf("the last is %v", last)
	}
	r.Cloud.Fail(fleettest.Create, fleettest.Fault{Kind: provider.Invalid})
	got = events(t, r.call("POST", "/v1/servers", p.Token, opstest.Args{"size": "small", "region": "nyc1"}, "Accept", asStream))
	if last := got[len(got)-1]; last.name != "error" || !strings.Contains(last.data, `"code":"unavailable"`) {
		t.Errorf("the last is %v", last)
	}
}
