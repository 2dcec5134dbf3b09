package opstest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"sync"
	"time"

	"berth"
	"berth/ops"
	"berth/remote"
)

// Hands are servers that do nothing but keep files and record what they were
// told. They implement ops.Hands.
type Hands struct {
	// Script answers commands; without one, a command prints "hello".
	Script func(remote.Command) (remote.Result, []remote.Chunk, error)
	// Fault is what the next calls return, where it is set.
	Fault error

	now   berth.Clock
	mu    sync.Mutex
	calls []HandsCall
	files map[string]file
}

var _ ops.Hands = (*Hands)(nil)

// HandsCall is one call to Hands.
type HandsCall struct {
	Method string
	Target remote.Target
	What   string // the command, handle or path
}

type file struct {
	info    remote.FileInfo
	content []byte
}

// NewHands are hands that have done nothing.
func NewHands(now berth.Clock) *Hands { return &Hands{now: now, files: map[string]file{}} }

// Calls are all calls so far.
func (h *Hands) Calls() []HandsCall {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]HandsCall(nil), h.calls...)
}

func (h *Hands) record(method string, t remote.Target, what string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls = append(h.calls, HandsCall{method, t, what})
	return h.Fault
}

// Handle is the handle of every background run.
const Handle = "0123456789abcdef0123456789abcdef"

// Exec implements ops.Hands.
func (h *Hands) Exec(_ context.Context, t remote.Target, c remote.Command, _ int, out func(remote.Chunk)) (remote.Result, error) {
	if err := h.record("exec", t, c.Line); err != nil {
		return remote.Result{}, err
	}
	if h.Script == nil {
		out(remote.Chunk{Data: []byte("hello\n")})
		return remote.Result{Stdout: remote.Output{Text: "hello\n", Total: 6}, Duration: 3 * time.Millisecond}, nil
	}
	res, chunks, err := h.Script(c)
	for _, chunk := range chunks {
		out(chunk)
	}
	return res, err
}

// Start implements ops.Hands.
func (h *Hands) Start(_ context.Context, t remote.Target, c remote.Command) (remote.Run, error) {
	return remote.Run{Handle: Handle, PID: 7}, h.record("start", t, c.Line)
}

// ReadRun implements ops.Hands.
func (h *Hands) ReadRun(_ context.Context, t remote.Target, handle string, stdout, _ int64, _ int) (remote.RunStatus, error) {
	if err := h.record("read", t, handle); err != nil {
		return remote.RunStatus{}, err
	}
	if handle != Handle {
		return remote.RunStatus{}, &remote.Error{Kind: remote.NotFound, Message: "there is no run " + handle}
	}
	text := "hello\n"[min(stdout, 6):]
	return remote.RunStatus{Running: true, Stdout: remote.Slice{Text: text, Offset: stdout, Next: 6, Total: 6}}, nil
}

// StopRun implements ops.Hands.
func (h *Hands) StopRun(_ context.Context, t remote.Target, handle string, _ time.Duration) error {
	return h.record("stop", t, handle)
}

// Upload implements ops.Hands.
func (h *Hands) Upload(_ context.Context, t remote.Target, spec remote.UploadSpec, from io.Reader) (remote.FileInfo, error) {
	if err := h.record("upload", t, spec.Path); err != nil {
		return remote.FileInfo{}, err
	}
	content, err := io.ReadAll(io.LimitReader(from, spec.Limit+1))
	if err != nil {
		return remote.FileInfo{}, fmt.Errorf("read the upload: %w", err)
	}
	if int64(len(content)) > spec.Limit {
		return remote.FileInfo{}, &remote.Error{Kind: remote.TooLarge, Message: "the file is too large"}
	}
	info := remote.FileInfo{Path: spec.Path, Size: int64(len(content)), Mode: spec.Mode, ModTime: h.now(), SHA256: digest(content)}
	if info.Mode == 0 {
		info.Mode = 0o644
	}
	h.put(t, info, content)
	return info, nil
}

func (h *Hands) put(t remote.Target, info remote.FileInfo, content []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.files[t.ID+info.Path] = file{info, content}
}

// Put places a file on a server.
func (h *Hands) Put(server berth.ID, path string, content []byte) {
	h.put(remote.Target{ID: string(server)}, remote.FileInfo{Path: path, Size: int64(len(content)), Mode: 0o644, ModTime: h.now()}, content)
}

func (h *Hands) find(t remote.Target, path string) (file, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f, ok := h.files[t.ID+path]
	if !ok {
		return file{}, &remote.Error{Kind: remote.NotFound, Message: "there is no " + path}
	}
	return f, nil
}

// Download implements ops.Hands.
func (h *Hands) Download(_ context.Context, t remote.Target, spec remote.DownloadSpec, to io.Writer) (remote.Page, error) {
	if err := h.record("download", t, spec.Path); err != nil {
		return remote.Page{}, err
	}
	f, err := h.find(t, spec.Path)
	if err != nil {
		return remote.Page{}, err
	}
	size := int64(len(f.content))
	from := spec.Offset
	if from < 0 {
		from = max(0, size+from)
	}
	part := f.content[min(from, size):]
	if spec.Length > 0 && int64(len(part)) > spec.Length {
		part = part[:spec.Length]
	}
	if int64(len(part)) > spec.Limit {
		return remote.Page{}, &remote.Error{Kind: remote.TooLarge, Message: "the file is too large", Size: size}
	}
	if _, err := io.Copy(to, bytes.NewReader(part)); err != nil {
		return remote.Page{}, fmt.Errorf("hand over %s: %w", spec.Path, err)
	}
	page := remote.Page{FileInfo: f.info, Offset: from, Length: int64(len(part)), EOF: from+int64(len(part)) >= size}
	page.SHA256 = digest(part)
	return page, nil
}

// Stat implements ops.Hands.
func (h *Hands) Stat(_ context.Context, t remote.Target, name string) (remote.FileInfo, error) {
	if err := h.record("stat", t, name); err != nil {
		return remote.FileInfo{}, err
	}
	f, err := h.find(t, name)
	return f.info, err
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
