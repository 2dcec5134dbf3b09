package e2e

import (
	"slices"
	"strings"
	"testing"
)

// TestProgress does an agent's work over each transport of MCP, by a client of
// another's making, and checks that long calls tell how far they are.
func TestProgress(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	transports := []struct {
		name string
		open func(t *testing.T) *agent
	}{
		{"stdio", func(t *testing.T) *agent { a, _ := h.host(t); return a }},
		{"http", func(t *testing.T) *agent { return overHTTP(t, web{"http://" + h.ready().Address, h.key("local")}) }},
		{"sse", func(t *testing.T) *agent { return overSSE(t, web{"http://" + h.ready().Address, h.key("local")}) }},
	}
	for _, tt := range transports {
		t.Run(tt.name, func(t *testing.T) { tellsProgress(t, h, tt.open(t)) })
	}
	h.verify()
}

// tellsProgress creates a server, works on it, snapshots, resizes and destroys
// it.
func tellsProgress(t *testing.T, h *house, a *agent) {
	t.Helper()
	for _, tool := range []string{"create_server", "extend", "snapshot", "ssh_exec", "list_regions"} {
		if !slices.Contains(a.tools, tool) {
			t.Errorf("%s is not among the tools %q", tool, a.tools)
		}
	}
	var sv server
	made := a.wantProgress(a.call("create_server", map[string]any{"size": "small", "region": "nyc1", "minutes": 5}, &sv), 4)
	if sv.Status != "active" {
		t.Fatalf("the server is %s", sv.Status)
	}
	var stages []string
	for _, n := range made {
		_, stage, _ := strings.Cut(n.message, ": ")
		stages = append(stages, stage)
	}
	if got := strings.Join(stages, ", "); got != "paid, requested, booting, address, ssh ready" {
		t.Errorf("the stages were %s", got)
	}
	if last := made[len(made)-1]; last.progress != 100 {
		t.Errorf("the last progress is %v, not 100", last.progress)
	}
	if h.ready().Shells {
		streams(t, a, sv.ID)
	} else {
		t.Log("without a shell no command can stream: " + h.ready().Missing)
	}
	one := map[string]any{"server_id": sv.ID}
	a.wantProgress(a.call("snapshot", one, nil), 2)
	a.wantProgress(a.call("resize_server", map[string]any{"server_id": sv.ID, "size": "medium"}, nil), 2)
	a.wantProgress(a.call("destroy_server", one, &sv), 2)
	if sv.Status != "destroyed" {
		t.Errorf("after its end the server is %s", sv.Status)
	}
}

// streams runs a command that prints in pieces, and waits for the first piece
// before it lets the command go on: what comes at the end at once would hang.
func streams(t *testing.T, a *agent, server string) {
	t.Helper()
	const command = `echo first; while [ ! -e /root/go ]; do sleep 0.02; done; echo second`
	type result struct {
		text string
		err  error
	}
	done := make(chan result, 1)
	go func() {
		text, err := a.try(t.Context(), "stream", "ssh_exec", map[string]any{"server_id": server, "command": command})
		done <- result{text, err}
	}()
	until(t, "the first piece of output came", func() bool { return len(a.notices("stream")) > 0 })
	if got := a.notices("stream")[0].message; got != "first\n" {
		t.Errorf("the first piece is %q", got)
	}
	a.call("upload_file", map[string]any{"server_id": server, "path": "/root/go", "content": "go"}, nil)
	res := <-done
	if res.err != nil {
		t.Fatal(res.err)
	}
	var out struct {
		ExitCode *int                  `json:"exit_code"`
		Stdout   struct{ Text string } `json:"stdout"`
	}
	decode(t, []byte(res.text), &out)
	if out.ExitCode == nil || *out.ExitCode != 0 || out.Stdout.Text != "first\nsecond\n" {
		t.Errorf("the command ended with %s", res.text)
	}
	if list := a.wantProgress("stream", 2); list[len(list)-1].message != "second\n" {
		t.Errorf("the pieces were %v", list)
	}
}
