package burst

import (
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"berth/provider/sandbox"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Of 200 servers that are ordered at once each takes one request and its part
// of the common lists, none is refused, and each is known to answer at once.
func TestBurst(t *testing.T) {
	var m Measured
	synctest.Test(t, func(t *testing.T) { m.Plain, m.PlainReboot = Plain(t, 20) })
	synctest.Test(t, func(t *testing.T) { m.Figures = Run(t, 200, sandbox.Limits{}) })
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	t.Attr(attribute, string(text))
	check(t, m.Figures)
	if m.Whole > 3*time.Minute {
		t.Errorf("it took %v", m.Whole)
	}
	if m.PlainReboot < m.Reboots {
		t.Errorf("a plain client needs %.2f requests to reboot a server, this one %.2f", m.PlainReboot, m.Reboots)
	}
	if m.Plain < m.PerServer {
		t.Errorf("a plain client needs %.2f requests per server, this one %.2f", m.Plain, m.PerServer)
	}
}

// More servers than a minute's requests wait for the next minutes.
func TestBurstBeyondLimit(t *testing.T) {
	var f Figures
	synctest.Test(t, func(t *testing.T) { f = Run(t, 60, sandbox.Limits{Hour: 1000, Minute: 50, KeyLists: 10}) })
	t.Logf("%+v", f)
	if f.Creates != f.Servers || f.Refused > 0 {
		t.Errorf("%d creates were sent for %d servers, %d requests were refused", f.Creates, f.Servers, f.Refused)
	}
	if f.Whole < 2*time.Minute || f.Whole > 4*time.Minute {
		t.Errorf("60 servers at 50 requests a minute took %v", f.Whole)
	}
}

func TestReadAttribute(t *testing.T) {
	for out, found := range map[string]bool{
		"": false,
		`{"Action":"attr","Key":"other","Value":"{}"}`:                                              false,
		`{"Action":"attr","Key":"measured","Value":"hello"}`:                                        false,
		"no JSON\n" + `{"Action":"attr","Key":"measured","Value":"{\"plain\":2,\"per_server\":1}"}`: true,
	} {
		m, ok := readAttribute([]byte(out))
		if ok != found || found && (m.Plain != 2 || m.PerServer != 1) {
			t.Errorf("readAttribute(%s) = %+v, %v", out, m, ok)
		}
	}
}

func check(t *testing.T, f Figures) {
	t.Helper()
	t.Logf("%+v", f)
	if f.PerServer > 1.5 {
		t.Errorf("%.2f requests per server, at most 1.5 are wanted", f.PerServer)
	}
	if f.Creates != f.Servers {
		t.Errorf("%d creates were sent for %d servers", f.Creates, f.Servers)
	}
	if f.Reboots > 1.5 {
		t.Errorf("%.2f requests per server to reboot it, at most 1.5 are wanted", f.Reboots)
	}
	if f.Destroys > 2.5 {
		t.Errorf("%.2f requests per server to destroy it, at most 2.5 are wanted", f.Destroys)
	}
	if f.Refused > 0 {
		t.Errorf("%d requests were refused", f.Refused)
	}
	if f.Notice99 > 300*time.Millisecond {
		t.Errorf("p99 from the first answer on SSH to the delivery is %v", f.Notice99)
	}
}
