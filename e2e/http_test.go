package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// web is an HTTP client with a key, as curl would be.
type web struct {
	base string
	key  string // empty: none is sent
}

// answer is an HTTP answer with its body read.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// send sends a request. A body is sent as JSON, unless it is nil.
func (c web) send(t *testing.T, method, path string, body any, headers ...string) answer {
	t.Helper()
	res := c.open(t, method, path, body, headers...)
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatalf("%s %s: read the answer: %v", method, path, err)
	}
	return answer{res.StatusCode, res.Header, text}
}

// open sends a request and leaves the body of the answer to the caller. headers
// are names and values in turn.
func (c web) open(t *testing.T, method, path string, body any, headers ...string) *http.Response {
	t.Helper()
	var from io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		from = bytes.NewReader(text)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, from)
	if err != nil {
		t.Fatal(err)
	}
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	// A connection of its own: servers are killed between requests.
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return res
}

func (c web) get(t *testing.T, path string) answer {
	t.Helper()
	return c.send(t, http.MethodGet, path, nil)
}

// do sends a request that must be answered with a status below 300, and decodes
// the answer.
func (c web) do(t *testing.T, method, path string, body, into any, headers ...string) {
	t.Helper()
	res := c.send(t, method, path, body, headers...)
	if res.status >= 300 {
		t.Fatalf("%s %s: status %d: %s", method, path, res.status, res.body)
	}
	if into != nil {
		decode(t, res.body, into)
	}
}

// exec runs a command on a server and returns what it printed; it must end well.
func (c web) exec(t *testing.T, server, command string) string {
	t.Helper()
	var out struct {
		ExitCode *int `json:"exit_code"`
		Stdout   struct {
			Text string `json:"text"`
		} `json:"stdout"`
		Stderr struct {
			Text string `json:"text"`
		} `json:"stderr"`
	}
	c.do(t, http.MethodPost, "/v1/servers/"+server+"/exec", map[string]any{"command": command}, &out)
	if out.ExitCode == nil || *out.ExitCode != 0 {
		t.Fatalf("%s: exit code %v: %s", command, out.ExitCode, out.Stderr.Text)
	}
	return out.Stdout.Text
}

// follow waits until a server is active.
func (c web) follow(t *testing.T, id string) (s server) {
	t.Helper()
	until(t, id+" is active", func() bool {
		c.do(t, http.MethodGet, "/v1/servers/"+id, nil, &s)
		if s.Status != "active" && s.Status != "provisioning" {
			t.Fatalf("%s is %s", id, s.Status)
		}
		return s.Status == "active"
	})
	return s
}

// event is one server-sent event.
type event struct {
	name string
	data string
}

// events reads server-sent events and hands them to take, until it wants no
// more or the stream ends.
func events(from io.Reader, take func(event) (more bool)) {
	var e event
	for lines := bufio.NewScanner(from); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "event":
			e.name = value
		case "data":
			e.data = value
		case "":
			if e.name != "" && !take(e) {
				return
			}
			e = event{}
		}
	}
}

// startBox starts the house's cloud alone and returns a client of it.
func (h *house) startBox() web {
	h.t.Helper()
	dir := filepath.Join(h.dir, "sandbox")
	token, err := os.ReadFile(filepath.Join(dir, "token"))
	if err != nil {
		h.t.Fatal(err)
	}
	out, in, err := os.Pipe()
	if err != nil {
		h.t.Fatal(err)
	}
	defer out.Close()
	p := h.command("sandbox", "--data", dir, "--listen", "127.0.0.1:0")
	p.Stdout = in
	p.begin(h.t)
	in.Close() // the process has it
	if err := out.SetReadDeadline(time.Now().Add(patience)); err != nil {
		h.t.Fatal(err)
	}
	var url string
	if _, err := fmt.Fscanf(out, "URL %s", &url); err != nil {
		h.t.Fatalf("berth sandbox did not say its URL: %v\n%s", err, p.said)
	}
	h.t.Cleanup(p.interrupt)
	return web{base: strings.TrimSuffix(url, "/"), key: strings.TrimSpace(string(token))}
}
