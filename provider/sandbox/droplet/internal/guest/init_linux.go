// Package guest is what runs inside a droplet: its PID 1, which builds the droplet's root folder, gives up its rights,
// applies the first-boot data, serves SSH, and tells the host which ports are open.
//
// PID 1 comes in stages. The first builds the droplet; the last runs it, with no more rights than the droplet's root may
// have. Where a running program can't give up the rest, the last is a new execution of the same binary.
package guest

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"berth/provider/sandbox/droplet/internal/control"
)

// Name is the name (argv[0]) under which a binary is PID 1; its first argument is the stage.
const Name = "berth-init"

// The stages: StageWait comes first where the host has to map user ids after the start, and is followed by the command
// to go on with; else StageBuild is the first.
const (
	StageWait  = "wait"
	StageBuild = "build"
	stageRun   = "run"
)

// Exit codes of PID 1 that ask for something.
const (
	ExitHalt   = 0
	ExitReboot = 3
)

// controlFD is the inherited control socket.
const controlFD = 3

// Config is what the host says about a droplet. It is sent once for each of the last two stages.
type Config struct {
	Instance       string   `json:"instance"`
	Hostname       string   `json:"hostname"`
	UserData       []byte   `json:"user_data"`
	AuthorizedKeys []string `json:"authorized_keys"`
	RootPassword   string   `json:"root_password,omitempty"` // a new one, whether or not the instance boots for the first time
	SSHPort        int      `json:"ssh_port"`
	Metadata       Metadata `json:"metadata"`
	MaxProcesses   uint64   `json:"max_processes"`  // threads count
	MaxFileBytes   uint64   `json:"max_file_bytes"` // of one file
	// MaxDataBytes bounds the memory of one process; 0 where the host has bounded that of the whole droplet. The last
	// stage's configuration counts.
	MaxDataBytes uint64 `json:"max_data_bytes"`
	// Image is what the image says it is, as os-release has it; empty for the host's own.
	Image Image `json:"image"`
}

// StepError is a step of the boot that the kernel refused.
type StepError struct {
	Step string
	Err  error
}

// Error implements error.
func (e *StepError) Error() string { return e.Step + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *StepError) Unwrap() error { return e.Err }

// Environment is all that PID 1 inherits; few threads keep it small. The last is for binaries that were built to detect
// races, which would otherwise wait a second before they end.
func Environment() []string {
	return []string{
		"GOMAXPROCS=1", "GOGC=50", "GODEBUG=containermaxprocs=0,updatemaxprocs=0", "GORACE=atexit_sleep_ms=0",
	}
}

// Init is the main function of PID 1. It does not return.
func Init(args []string) {
	var err error
	switch args = append(args, ""); args[0] {
	case StageWait:
		err = waitForIDs(args[1 : len(args)-1])
	case StageBuild:
		err = build()
	case stageRun:
		err = runAgain(args[1])
	default:
		err = fmt.Errorf("%s is started by its host only", Name)
	}
	fmt.Fprintln(os.Stderr, "init:", err)
	os.Exit(70)
}

// waitForIDs waits until the host has mapped the user ids, which is when it first writes to descriptor 3 or closes it,
// and goes on as root with the command in the arguments.
func waitForIDs(argv []string) error {
	for {
		_, err := unix.Poll([]unix.PollFd{{Fd: controlFD, Events: unix.POLLIN}}, -1)
		if err == nil {
			return next(argv...)
		}
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// next executes the binary again, under another name or for another stage.
func next(argv ...string) error {
	// The signal belongs to a thread, and is lost when ids change: it is set again, to die with the host.
	runtime.LockOSThread()
	if err := dieWithHost(); err != nil {
		return err
	}
	return syscall.Exec("/proc/self/exe", argv, Environment())
}

func dieWithHost() error { return unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0) }

// build makes the droplet and goes on to the last stage. The host is told about a failure.
func build() error {
	// The original stays for another execution.
	fd, err := unix.FcntlInt(controlFD, unix.F_DUPFD_CLOEXEC, controlFD+1)
	if err != nil {
		return err
	}
	host, err := control.Open(os.NewFile(uintptr(fd), "control"))
	if err != nil {
		return err
	}
	confined, lacks := false, ""
	config, err := receive(host)
	if err == nil {
		lacks, err = prepare(config)
	}
	if err == nil {
		if confined, err = confine(); err != nil {
			err = &StepError{"drop capabilities", err}
		}
	}
	if err == nil {
		err = inOrder([]step{{"limit sockets", limitSockets}})
	}
	if err == nil && !confined {
		err = next(Name, stageRun, lacks)
	}
	if err != nil {
		return errors.Join(err, host.Send(failure(err), nil))
	}
	if err := unix.Close(controlFD); err != nil {
		return err
	}
	return supervise(host, lacks)
}

func failure(err error) control.Message {
	m := control.Message{Op: control.Failed, Step: "start", Error: err.Error()}
	var step *StepError
	if errors.As(err, &step) {
		m.Step, m.Error = step.Step, step.Err.Error()
	}
	var errno syscall.Errno
	if errors.As(err, &errno) {
		m.Errno = int(errno)
	}
	m.Error = m.Error[:min(len(m.Error), control.MaxReport/2)]
	return m
}

func receive(host *control.Conn) (Config, error) {
	var c Config
	m, f, err := host.Receive()
	if err != nil {
		return c, err
	}
	if f != nil {
		f.Close()
	}
	if m.Op != control.Boot {
		return c, fmt.Errorf("the host's first message is %q", m.Op)
	}
	return c, json.Unmarshal(m.Config, &c)
}

// step is one act of the set-up.
type step struct {
	name string
	do   func() error
}

func inOrder(steps []step) error {
	for _, s := range steps {
		if err := s.do(); err != nil {
			return &StepError{s.name, err}
		}
	}
	return nil
}

// prepare also says what this kernel lacks that a droplet can be without.
func prepare(c Config) (lacks string, err error) {
	unix.Umask(0o022)
	if err := buildRoot(); err != nil {
		return "", err
	}
	err = inOrder([]step{
		{"set the host name", func() error { return setHostname(c) }},
		{"bring up the loopback network", loopbackUp},
		{"forbid nested user namespaces", func() error {
			return os.WriteFile("/proc/sys/user/max_user_namespaces", []byte("0"), 0)
		}},
		{"set limits", func() error { return setLimits(c) }},
	})
	if metadataErr := prepareMetadata(); metadataErr != nil {
		lacks = "droplets have no metadata service: the kernel's packet filter can't be used (" + metadataErr.Error() + ")"
	}
	return lacks, err
}
