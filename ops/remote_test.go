package ops_test

import (
	"bytes"
	"encoding/base64"
	"io"
	"strings"
	"testing"

	"berth"
	"berth/ops"
	"berth/ops/opstest"
	"berth/remote"
)

// heard is a sink that keeps output.
type heard struct{ stdout, stderr bytes.Buffer }

func (h *heard) Progress(string, int, string) {}

func (h *heard) Output(stderr bool, data []byte) {
	if stderr {
		h.stderr.Write(data)
		return
	}
	h.stdout.Write(data)
}

func TestExec(t *testing.T) {
	w := opstest.New(t)
	p := w.Principal()
	server := string(w.Server(p))
	var told remote.Command
	w.Hands.Script = func(c remote.Command) (remote.Result, []remote.Chunk, error) {
		told = c
		return remote.Result{ExitCode: 2, Stdout: remote.Output{Text: "out", Total: 3}, Stderr: remote.Output{Text: "er", Total: 9, Truncated: true}},
			[]remote.Chunk{{Data: []byte("out")}, {Stderr: true, Data: []byte("er")}}, nil
	}
	var sink heard
	res, err := w.System.Dispatch(t.Context(), &ops.Call{Op: "ssh_exec", Creds: p.Creds, Front: "mcp", Sink: &sink, Args: opstest.Args{
		"server_id": server, "command": "make", "stdin": "in", "cwd": "/srv", "env": map[string]any{"A": "1"}, "timeout_seconds": 7,
	}})
	if err != nil {
		t.Fatal(err)
	}
	out := res.Out.(ops.ExecOut)
	if *out.ExitCode != 2 || out.Stdout.Text != "out" || !out.Stderr.Truncated || out.Stderr.Total != 9 || !strings.Contains(out.Note, "not instructions") {
		t.Errorf("answer = %+v", out)
	}
	if sink.stdout.String() != "out" || sink.stderr.String() != "er" {
		t.Errorf("streamed %q and %q", &sink.stdout, &sink.stderr)
	}
	if told.Line != "make" || string(told.Stdin) != "in" || told.Cwd != "/srv" || told.Env["A"] != "1" || told.Timeout.Seconds() != 7 {
		t.Errorf("the server was told %+v", told)
	}
	if _, err := w.Do(p.Creds, "ssh_exec", opstest.Args{"server_id": server, "command": "x"}); err != nil || told.Timeout.Seconds() != 120 {
		t.Errorf("the default timeout is %s, %v", told.Timeout, err)
	}
	target := w.Hands.Calls()[0].Target
	if target.ID != server || target.HostKey == nil || target.Signer == nil || target.User != "root" || target.Addr.Port() != 22 {
		t.Errorf("target = %+v", target)
	}
	w.Hands.Script = func(remote.Command) (remote.Result, []remote.Chunk, error) {
		return remote.Result{ExitCode: -1, Signal: "KILL", TimedOut: true}, nil, nil
	}
	out = w.Must(p.Creds, "ssh_exec", opstest.Args{"server_id": server, "command": "x"}).Out.(ops.ExecOut)
	if out.ExitCode != nil || out.Signal != "KILL" || !out.TimedOut {
		t.Errorf("a command that was killed: %+v", out)
	}
}

func TestBackgroundRun(t *testing.T) {
	w := opstest.New(t)
	p := w.Principal()
	server := string(w.Server(p))
	out := w.Must(p.Creds, "ssh_exec", opstest.Args{"server_id": server, "command": "serve", "background": true}).Out.(ops.ExecOut)
	if out.Handle != opstest.Handle || !out.Running || out.ExitCode != nil {
		t.Fatalf("answer = %+v", out)
	}
	out = w.Must(p.Creds, "ssh_exec", opstest.Args{"server_id": server, "handle": out.Handle, "stdout_offset": 2}).Out.(ops.ExecOut)
	if out.Stdout.Text != "llo\n" || out.Stdout.Next != 6 || !out.Running {
		t.Errorf("read: %+v", out)
	}
	w.Must(p.Creds, "ssh_exec", opstest.Args{"server_id": server, "handle": out.Handle, "stop": true})
	var methods []string
	for _, c := range w.Hands.Calls() {
		methods = append(methods, c.Method)
	}
	if got := strings.Join(methods, " "); got != "start read stop read" {
		t.Errorf("the server was told to %s", got)
	}
	for _, args := range []opstest.Args{
		{"server_id": server}, {"server_id": server, "command": "x", "handle": out.Handle},
	} {
		_, err := w.Do(p.Creds, "ssh_exec", args)
		wantError(t, err, berth.InvalidInput)
	}
}

// TestServerErrors: what goes wrong on a server has a code of its own.
func TestServerErrors(t *testing.T) {
	w := opstest.New(t)
	p := w.Principal()
	server := string(w.Server(p))
	for kind, code := range map[remote.Kind]berth.Code{
		remote.Unreachable: berth.Unreachable, remote.HostKeyMismatch: berth.Unreachable, remote.Auth: berth.Unreachable,
		remote.Timeout: berth.Unreachable, remote.ConnectionLost: berth.Unreachable, remote.NotFound: berth.NotFound,
		remote.TooLarge: berth.TooLarge, remote.Invalid: berth.InvalidInput, remote.Permission: berth.RemoteFailed,
		remote.IsDirectory: berth.RemoteFailed, remote.Failed: berth.RemoteFailed, remote.Canceled: berth.RemoteFailed,
	} {
		w.Hands.Fault = &remote.Error{Kind: kind, Message: "said so"}
		for op, args := range map[string]opstest.Args{
			"ssh_exec":      {"server_id": server, "command": "x"},
			"upload_file":   {"server_id": server, "path": "/a", "content": "b"},
			"download_file": {"server_id": server, "path": "/a"},
		} {
			_, err := w.Do(p.Creds, op, args)
			if e := wantError(t, err, code); e.Message != "said so" {
				t.Errorf("%s, %s: %s", op, kind, e.Message)
			}
		}
	}
}

// TestServersThatCantBeReached are refused without an attempt.
func TestServersThatCantBeReached(t *testing.T) {
	w := opstest.New(t)
	p := w.Principal()
	off, gone := w.Server(p), w.Server(p)
	w.Must(p.Creds, "power_server", opstest.Args{"server_id": string(off), "action": "off"})
	w.Must(p.Creds, "destroy_server", opstest.Args{"server_id": string(gone)})
	w.Settle()
	coming := w.Must(p.Creds, "create_server", opstest.Args{"size": "small", "region": "nyc1"}).Out.(ops.CreateServerOut).ID
	for id, hint := range map[berth.ID]string{off: "power_server", coming: "wait", gone: "snapshot_id"} {
		_, err := w.Do(p.Creds, "ssh_exec", opstest.Args{"server_id": string(id), "command": "x"})
		if e := wantError(t, err, berth.Conflict); !strings.Contains(e.Hint, hint) {
			t.Errorf("%s: the hint is %q", e.Message, e.Hint)
		}
	}
	if calls := w.Hands.Calls(); len(calls) > 0 {
		t.Errorf("they were asked all the same: %v", calls)
	}
}

func TestFiles(t *testing.T) {
	w := opstest.New(t)
	p := w.Principal()
	server := w.Server(p)
	args := func(more opstest.Args) opstest.Args {
		more["server_id"], more["path"] = string(server), "/f"
		return more
	}
	for name, tt := range map[string]struct {
		in   opstest.Args
		mode string
		want string
	}{
		"text":       {opstest.Args{"content": "hi"}, "0644", "hi"},
		"empty":      {opstest.Args{}, "0644", ""},
		"base64":     {opstest.Args{"content": base64.StdEncoding.EncodeToString([]byte{0xff}), "encoding": "base64"}, "0644", "\xff"},
		"a mode":     {opstest.Args{"content": "x", "mode": "0755"}, "0755", "x"},
		"short mode": {opstest.Args{"content": "x", "mode": "600"}, "0600", "x"},
		"set-uid":    {opstest.Args{"content": "x", "mode": "4755"}, "4755", "x"},
	} {
		up := w.Must(p.Creds, "upload_file", args(tt.in)).Out.(ops.FileOut)
		down := w.Must(p.Creds, "download_file", args(opstest.Args{})).Out.(ops.FileOut)
		content := down.Content
		if down.Encoding == "base64" {
			b, err := base64.StdEncoding.DecodeString(content)
			if err != nil {
				t.Fatal(err)
			}
			content = string(b)
		}
		if up.Mode != tt.mode || up.Size != int64(len(tt.want)) || content != tt.want || down.SHA256 != up.SHA256 || down.Next != 0 {
			t.Errorf("%s: %+v, %+v", name, up, down)
		}
	}
	tooLarge := args(opstest.Args{"content": base64.StdEncoding.EncodeToString(make([]byte, 1<<20+1)), "encoding": "base64"})
	_, err := w.Do(p.Creds, "upload_file", tooLarge)
	if e := wantError(t, err, berth.TooLarge); e.Hint == "" {
		t.Error("no hint")
	}
	w.Hands.Put(server, "/f", []byte("0123456789"))
	page := w.Must(p.Creds, "download_file", args(opstest.Args{"offset": -4, "length": 2})).Out.(ops.FileOut)
	if page.Content != "67" || page.Offset != 6 || page.Next != 8 || page.Size != 10 {
		t.Errorf("a page from the end: %+v", page)
	}
}

// TestExport: an export is a file, for fronts that take one.
func TestExport(t *testing.T) {
	w := opstest.New(t)
	w.Local(0)
	w.Server(w.Principal())
	_, err := w.Do(opstest.Operator, "export_ledger", nil)
	wantError(t, err, berth.InvalidInput)
	for _, format := range []string{"csv", "json"} {
		var b bytes.Buffer
		var head ops.FileHead
		_, err := w.System.Dispatch(t.Context(), &ops.Call{
			Op: "export_ledger", Creds: opstest.Operator, Args: opstest.Args{"format": format},
			Open: func(h ops.FileHead) io.Writer { head = h; return &b },
		})
		if err != nil || head.Path != "ledger."+format || !strings.Contains(b.String(), "customer:") {
			t.Errorf("%s: %+v, %.200s, %v", format, head, &b, err)
		}
	}
}
