package guest

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"berth/provider/sandbox/droplet/internal/control"
	"berth/provider/sandbox/droplet/internal/sshd"
)

const (
	// stopGrace is how long processes have to end after SIGTERM.
	stopGrace   = 3 * time.Second
	dialTimeout = 5 * time.Second
	authLog     = "/var/log/auth.log"
)

// SFTPName is the name under which a binary is the droplet's SFTP server.
const SFTPName = "berth-sftp"

// supervisor is PID 1 once the droplet is built.
type supervisor struct {
	config Config
	host   *control.Conn
	lacks  string // what this kernel does not allow, for the host to tell
	reaper *reaper
	server *sshd.Server
	log    *slog.Logger // who logged in, or did not
	nat    *nat
	halt   chan int // the exit code that somebody asks for
}

// runAgain begins the last stage in a new execution.
func runAgain(lacks string) error {
	host, err := control.Open(os.NewFile(controlFD, "control"))
	if err != nil {
		return err
	}
	return supervise(host, lacks)
}

// supervise is the last stage. It ends the process, or returns why the droplet can't come up.
func supervise(host *control.Conn, lacks string) error {
	s := &supervisor{host: host, lacks: lacks, reaper: newReaper(), nat: &nat{}, halt: make(chan int, 1)}
	if err := s.boot(); err != nil {
		return errors.Join(err, host.Send(failure(err), nil))
	}
	s.shutDown(<-s.halt)
	return nil
}

// hide keeps whoever is root in the droplet from looking into PID 1 or taking its descriptors.
func hide() error {
	if err := os.WriteFile("/proc/self/comm", []byte(Name), 0); err != nil {
		return err
	}
	return unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
}

func (s *supervisor) boot() error {
	if err := hide(); err != nil {
		return &StepError{"hide PID 1", err}
	}
	var err error
	if s.config, err = receive(s.host); err != nil {
		return err
	}
	if s.config.MaxDataBytes > 0 {
		if err := setLimit(unix.RLIMIT_DATA, s.config.MaxDataBytes, s.config.MaxDataBytes); err != nil {
			return &StepError{"set limits", err}
		}
	}
	go s.reaper.loop()
	first, err := s.configure()
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT)
	go s.obeySignals(signals)
	go s.obeyHost()
	if err := s.host.Send(control.Message{Op: control.Ready, Error: s.lacks[:min(len(s.lacks), control.MaxReport/2)]}, nil); err != nil {
		return err
	}
	go s.watchPorts()
	go s.serveInside()
	first.attempt("metadata service", serveMetadata(s.config, s.log))
	first.attempt("sudo", s.serveSudo())
	first.attempt("port forwards", s.serveNAT())
	go func() {
		first.runCommands()
		debug.FreeOSMemory()
	}()
	return nil
}

// resetPassword gives root the password that the host wants, if it wants one.
func (s *supervisor) resetPassword() error {
	if s.config.RootPassword == "" {
		return nil
	}
	hash, err := sshd.HashPassword(s.config.RootPassword)
	if err != nil {
		return err
	}
	return setShadow("root", hash)
}

// configure brings the files up to date and prepares the SSH server.
func (s *supervisor) configure() (*firstBoot, error) {
	if err := writeSystemFiles(); err != nil {
		return nil, &StepError{"write system files", err}
	}
	first, err := newFirstBoot(s.config, s.reaper)
	if err == nil {
		err = first.configure()
	}
	if err == nil {
		err = s.resetPassword()
	}
	if err != nil {
		return nil, &StepError{"first boot", err}
	}
	keys, err := hostKeys()
	if len(keys) == 0 {
		return nil, &StepError{"host keys", err}
	}
	first.attempt("host keys", err)
	log, err := os.OpenFile(authLog, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return nil, &StepError{"logs", err}
	}
	s.log = slog.New(slog.NewTextHandler(log, nil))
	s.server = &sshd.Server{Root: "/", Keys: keys, Start: s.reaper.start, SFTP: []string{"/proc/self/exe", SFTPName}}
	return first, nil
}

// obeySignals serves poweroff and reboot inside the droplet.
func (s *supervisor) obeySignals(signals <-chan os.Signal) {
	for sig := range signals {
		code := ExitReboot
		if sig == syscall.SIGTERM {
			code = ExitHalt
		}
		s.askToHalt(code)
	}
}

func (s *supervisor) askToHalt(code int) {
	select {
	case s.halt <- code:
	default: // it is halting already
	}
}

// obeyHost serves the host until it is gone, and the droplet with it.
func (s *supervisor) obeyHost() {
	for {
		m, f, err := s.host.Receive()
		if err != nil {
			os.Exit(ExitHalt)
		}
		switch {
		case m.Op == control.Stop:
			s.askToHalt(ExitHalt)
		case m.Op == control.Connect && f != nil:
			go s.connect(m, f)
			continue
		}
		if f != nil {
			f.Close()
		}
	}
}

// connect serves a connection that the host accepted.
func (s *supervisor) connect(m control.Message, f *os.File) {
	c, err := net.FileConn(f)
	f.Close()
	if err != nil {
		s.log.Error("connection from the host", "error", err)
		return
	}
	port, redirected := s.nat.target(m.Port)
	if !redirected && port == s.config.SSHPort || redirected && port == insidePort {
		s.login(located{c, m.Remote, m.Local})
		return
	}
	target, err := net.DialTimeout("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), dialTimeout)
	if err != nil {
		c.Close() // the port was closed meanwhile
		return
	}
	control.Proxy(c, target)
}

// located is a connection that the host has passed on, with the addresses that it has there.
type located struct {
	net.Conn
	remote, local netip.AddrPort
}

func (c located) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }
func (c located) LocalAddr() net.Addr  { return net.TCPAddrFromAddrPort(c.local) }

// shutDown ends all processes, which have some time for it, and PID 1.
func (s *supervisor) shutDown(code int) {
	select {
	case <-s.reaper.alone: // of some time before
	default:
	}
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP, syscall.SIGCONT} {
		// Shells ignore SIGTERM and obey SIGHUP; stopped processes see neither until they continue.
		if err := syscall.Kill(-1, sig); errors.Is(err, syscall.ESRCH) {
			os.Exit(code)
		}
	}
	select {
	case <-s.reaper.alone:
	case <-time.After(stopGrace):
		fmt.Fprintln(os.Stderr, "init: killing what did not end in time")
	}
	os.Exit(code)
}
