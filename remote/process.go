package remote

import (
	"bytes"
	"context"
	_ "embed"
	"io"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

const (
	// linger is how long output may stay silent, and yet open, after its
	// command has ended: a process in the background is holding it.
	linger = time.Second
	// killPatience bounds the ending of a command.
	killPatience = 5 * time.Second
	// scriptPatience bounds our own short scripts.
	scriptPatience = 30 * time.Second
)

//go:embed scripts/kill.sh
var killScript string

// process is a command under way on a session.
type process struct {
	*session
	exited  chan struct{} // closed once status is final
	status  status
	drained chan struct{} // closed once both outputs have ended

	received atomic.Int64 // bytes of output read
	writing  atomic.Int32 // outputs whose reader is not reading
}

// status is how a process ended; known is false when the server didn't say,
// because the connection ended first.
type status struct {
	code   int
	signal string
	known  bool
}

// start runs a line on the session. Both writers are used until drained.
func (s *session) start(ctx context.Context, line string, stdin []byte, stdout, stderr io.Writer) (*process, error) {
	if err := s.request(ctx, "exec", line); err != nil {
		return nil, err
	}
	r := &process{session: s, exited: make(chan struct{}), drained: make(chan struct{})}
	go r.watch()
	go func() {
		// A command that doesn't read its input has every right not to.
		_, _ = s.Write(stdin)
		_ = s.CloseWrite()
	}()
	var outputs sync.WaitGroup
	outputs.Go(func() { r.copy(stdout, s) })
	outputs.Go(func() { r.copy(stderr, s.Stderr()) })
	go func() {
		outputs.Wait()
		close(r.drained)
	}()
	return r, nil
}

// watch takes the server's word on how the process ended.
func (r *process) watch() {
	var once sync.Once
	exited := func() { close(r.exited) }
	for request := range r.requests {
		var code struct{ Status uint32 }
		var signal struct {
			Name        string
			CoreDumped  bool
			Error, Lang string
		}
		switch {
		case request.Type == "exit-status" && ssh.Unmarshal(request.Payload, &code) == nil:
			once.Do(func() {
				r.status = status{code: int(code.Status), known: true}
				exited()
			})
		case request.Type == "exit-signal" && ssh.Unmarshal(request.Payload, &signal) == nil:
			once.Do(func() {
				r.status = status{code: -1, signal: signal.Name, known: true}
				exited()
			})
		}
		if request.WantReply {
			_ = request.Reply(false, nil) // fails only where the channel is gone
		}
	}
	once.Do(exited)
}

// copy passes one output on to its end. When its writer wants no more, the rest
// is read and thrown away, so that the command isn't held up.
func (r *process) copy(to io.Writer, from io.Reader) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		r.received.Add(int64(n))
		if n > 0 {
			r.writing.Add(1)
			if _, err := to.Write(buffer[:n]); err != nil {
				to = io.Discard
			}
			r.writing.Add(-1)
		}
		if err != nil {
			break
		}
	}
	if held, ok := to.(io.Closer); ok {
		_ = held.Close() // the same error that a write gave: nobody listens any more
	}
}

// wait returns true when the process has ended and its output is complete, or
// held open by others only, which lingering tells. It returns false when ctx
// ends first.
func (r *process) wait(ctx context.Context) (ended, lingering bool) {
	select {
	case <-r.exited:
	case <-ctx.Done():
		return false, false
	}
	silence := time.NewTicker(linger)
	defer silence.Stop()
	for before := r.received.Load(); ; before = r.received.Load() {
		select {
		case <-r.drained:
			return true, false
		case <-ctx.Done():
			return true, true
		case <-silence.C:
			if r.received.Load() == before && r.writing.Load() == 0 {
				return true, true
			}
		}
	}
}

// kill ends the process and its group, and reports whether that is certain.
// The signal request alone is not enough: older and smaller servers ignore it,
// or end the one process only. Closing the channel ends nothing at all.
func (r *process) kill(pids <-chan int) bool {
	ctx, cancel := context.WithTimeout(context.Background(), killPatience)
	defer cancel()
	go r.SendRequest("signal", false, ssh.Marshal(struct{ Name string }{"KILL"}))
	select {
	case pid := <-pids:
		r.killGroup(ctx, pid)
	case <-r.drained: // it ended, perhaps before it could tell its pid
		select {
		case pid := <-pids:
			r.killGroup(ctx, pid)
		default:
		}
	case <-ctx.Done():
	}
	r.wait(ctx)
	select {
	case <-r.exited:
		return r.status.known
	default:
		return false
	}
}

// killGroup ends a process group through a second session on the same
// connection. It needs no free slot: sshd allows more than the pool uses.
func (r *process) killGroup(ctx context.Context, pid int) {
	line, err := script(killScript, strconv.Itoa(pid))
	if err != nil {
		return
	}
	channel, requests, err := r.conn.openChannel(ctx, killPatience)
	if err != nil {
		r.pool.options.Log.Warn("can't end a command's process group", "pid", pid, "err", err)
		return
	}
	r.pool.squeeze(r.conn)
	s := &session{channel, r.pool, r.conn, requests}
	defer s.close()
	// An exit status other than 0 is as good: the group was gone already.
	if killer, err := s.start(ctx, line, nil, io.Discard, io.Discard); err == nil {
		killer.wait(ctx)
	}
}

// call runs one of our scripts to its end and returns its output, of which it
// takes at most limit bytes.
func (p *Pool) call(ctx context.Context, t Target, limit int, stdin []byte, text string, arguments ...string) ([]byte, error) {
	line, err := script(text, arguments...)
	if err != nil {
		return nil, err
	}
	s, err := p.open(ctx, t)
	if err != nil {
		return nil, err
	}
	defer s.close()
	stdout, stderr := &bounded{max: limit}, &bounded{max: 4 << 10}
	r, err := s.start(ctx, line, stdin, stdout, stderr)
	if err != nil {
		return nil, err
	}
	ended, lingering := r.wait(ctx)
	switch {
	case !ended || lingering && ctx.Err() != nil:
		return nil, stopped(ctx, "waiting for the server")
	case !r.status.known:
		return nil, fail(ConnectionLost, nil, "the connection ended before the server answered")
	case lingering:
		return nil, fail(Failed, nil, "the server's answer doesn't end")
	case r.status.code != 0:
		said := strings.TrimSpace(validText(stderr.String()))
		return nil, fail(Failed, exitCode(r.status.code), "the server could not do it: %s", said)
	}
	return stdout.Bytes(), nil
}

// exitCode is the status of a script that failed.
type exitCode int

func (c exitCode) Error() string { return "exit status " + strconv.Itoa(int(c)) }

// bounded is a buffer that refuses what goes beyond max bytes.
type bounded struct {
	bytes.Buffer
	max int
}

func (b *bounded) Write(data []byte) (int, error) {
	if b.Len()+len(data) > b.max {
		return 0, io.ErrShortBuffer
	}
	return b.Buffer.Write(data)
}
