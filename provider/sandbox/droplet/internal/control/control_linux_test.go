package control

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// pair returns both ends.
func pair(t *testing.T) (host, guest *Conn) {
	t.Helper()
	host, f, err := Pair()
	check(t, err)
	guest, err = Open(f)
	check(t, err)
	t.Cleanup(func() { host.Close(); guest.Close() })
	return host, guest
}

func TestMessages(t *testing.T) {
	host, guest := pair(t)
	r, w, err := os.Pipe()
	check(t, err)
	defer r.Close()
	check(t, host.Send(Message{Op: Connect, Port: 80}, w))
	check(t, w.Close())
	m, f, err := guest.Receive()
	check(t, err)
	if m.Op != Connect || m.Port != 80 || f == nil {
		t.Fatalf("got %+v, %v", m, f)
	}
	_, err = f.WriteString("through")
	check(t, errors.Join(err, f.Close()))
	if b, err := io.ReadAll(r); string(b) != "through" {
		t.Errorf("got %q, %v", b, err)
	}
	check(t, guest.Send(Message{Op: Ready}, nil))
	if m, err := host.Report(); m.Op != Ready || err != nil {
		t.Errorf("got %+v, %v", m, err)
	}
	check(t, guest.Close())
	if _, err := host.Report(); !errors.Is(err, io.EOF) {
		t.Errorf("got %v", err)
	}
}

func TestLargeConfiguration(t *testing.T) {
	host, guest := pair(t)
	config := json.RawMessage(`"` + strings.Repeat("x", MaxSize-100) + `"`)
	sent := make(chan error, 1)
	go func() { sent <- host.Send(Message{Op: Boot, Config: config}, nil) }()
	m, _, err := guest.Receive()
	check(t, errors.Join(err, <-sent))
	if len(m.Config) != len(config) {
		t.Errorf("got %d bytes", len(m.Config))
	}
	if err := host.Send(Message{Config: json.RawMessage(`"` + strings.Repeat("x", MaxSize) + `"`)}, nil); err == nil {
		t.Error("a larger message was sent")
	}
}

func TestHostileReports(t *testing.T) {
	host, guest := pair(t)
	for name, b := range map[string]string{
		"long": strings.Repeat(" ", MaxReport+1), "no JSON": "listen 80", "wrong type": `{"port":"x"}`,
	} {
		_, err := guest.c.Write([]byte(b))
		check(t, err)
		if m, err := host.Report(); err == nil {
			t.Errorf("%s: got %+v", name, m)
		}
	}
	r, w, err := os.Pipe()
	check(t, err)
	defer r.Close()
	check(t, guest.Send(Message{Op: Listen, Port: 1}, w)) // a descriptor that nobody asked for
	check(t, w.Close())
	if m, err := host.Report(); err != nil || m.Port != 1 {
		t.Errorf("got %+v, %v", m, err)
	}
	if b, err := io.ReadAll(r); len(b) != 0 || err != nil { // it ends only when the kernel has dropped the other copy
		t.Errorf("got %q, %v", b, err)
	}
}

func TestReportHasADeadline(t *testing.T) {
	host, _ := pair(t)
	check(t, host.SetDeadline(time.Unix(1, 0)))
	if _, err := host.Report(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// tcpPair returns two connected TCP ends.
func tcpPair(t *testing.T) (a, b net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer l.Close()
	a, err = net.Dial("tcp", l.Addr().String())
	check(t, err)
	b, err = l.Accept()
	check(t, err)
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

func TestProxyKeepsDirectionsApart(t *testing.T) {
	client, front := tcpPair(t)
	back, server := tcpPair(t)
	done := make(chan struct{})
	go func() { Proxy(front, back); close(done) }()
	_, err := client.Write([]byte("question"))
	check(t, errors.Join(err, client.(*net.TCPConn).CloseWrite()))
	if b, err := io.ReadAll(server); string(b) != "question" {
		t.Errorf("got %q, %v", b, err)
	}
	_, err = server.Write([]byte("answer")) // after the other direction has ended
	check(t, errors.Join(err, server.Close()))
	if b, err := io.ReadAll(client); string(b) != "answer" {
		t.Errorf("got %q, %v", b, err)
	}
	<-done
}
