package droplet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"
	"time"

	"berth/provider/sandbox/droplet/internal/control"
	"berth/provider/sandbox/droplet/internal/guest"
)

const (
	bootTimeout = 30 * time.Second // fifty at once on a busy machine
	stopTimeout = 5 * time.Second  // somewhat more than PID 1 gives its processes

	processesPerCPU = 512
	namespaces      = syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC |
		syscall.CLONE_NEWNET | syscall.CLONE_NEWCGROUP
)

// machine is a droplet that is on.
type machine struct {
	spec     Spec
	disk     disk
	cmd      *exec.Cmd
	host     *control.Conn // to PID 1
	relay    *relay
	group    *cgroup
	meter    meter
	lacks    string // what it goes without on this machine, in plain words
	log      *slog.Logger
	stopping atomic.Bool   // the host wants it off
	ended    chan struct{} // closed when nothing is left of it
}

// boot starts a droplet and returns when it is ready. After an error nothing of it is left.
func boot(ctx context.Context, s Spec, d disk, sshPort int, log *slog.Logger) (*machine, error) {
	host, theirs, err := control.Pair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	m := &machine{spec: s, disk: d, host: host, log: log, ended: make(chan struct{}), group: &cgroup{}}
	m.relay = newRelay(s.Addr, host.Send, log)
	m.relay.admit = s.Admit
	// The port is taken first: a second droplet at this address must fail before it runs.
	if err := m.relay.publish(sshPort); err != nil {
		m.relay.close()
		return nil, errors.Join(fmt.Errorf("SSH port: %w", err), host.Close())
	}
	m.cmd = d.spawner.command(context.WithoutCancel(ctx), namespaces, guest.Name, guest.StageBuild)
	m.cmd.ExtraFiles = []*os.File{theirs}
	if err := d.spawner.start(d.path(rootDir), m.cmd); err != nil {
		m.relay.close()
		return nil, errors.Join(err, host.Close())
	}
	theirs.Close()
	if err := m.comeUp(ctx, sshPort); err != nil {
		m.kill()
		m.cleanUp()
		return nil, err
	}
	return m, nil
}

// comeUp configures PID 1, which waits for that, and waits for its answer. Each of its stages needs the configuration.
// While the first builds the droplet, in which nothing runs yet, the host sets its own bounds; the kernel takes a while.
func (m *machine) comeUp(ctx context.Context, sshPort int) error {
	if err := m.host.SetDeadline(time.Now().Add(bootTimeout)); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { m.host.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	b := bounds{processes: processesPerCPU * m.spec.VCPUs, memory: int64(m.spec.MemoryMB) << 20, cpus: m.spec.VCPUs}
	config := guest.Config{
		Instance: m.spec.Instance, Hostname: m.spec.Hostname, UserData: m.spec.UserData,
		AuthorizedKeys: m.spec.AuthorizedKeys, RootPassword: m.spec.RootPassword, SSHPort: sshPort,
		Image: guest.Image(m.spec.Image), Metadata: m.metadata(),
		MaxProcesses: uint64(b.processes), MaxFileBytes: uint64(m.spec.DiskGB) << 30,
	}
	if err := m.configure(config); err != nil {
		return err
	}
	var err error
	if m.group, err = newCgroup(m.cmd.Process.Pid, b); err != nil {
		m.log.Debug("no control group", "error", err)
	}
	if !m.group.has("memory") {
		config.MaxDataBytes = uint64(b.memory)
	}
	if err := m.configure(config); err != nil {
		return err
	}
	if err := m.answer(); err != nil {
		return orCause(ctx, err)
	}
	return m.host.SetDeadline(time.Time{})
}

// publicBits are those of the network in which droplets have their addresses.
const publicBits = 16

func (m *machine) metadata() guest.Metadata {
	d := m.spec.Metadata
	return guest.Metadata{
		DropletID: d.DropletID, Region: d.Region, Hostname: m.spec.Hostname, Tags: d.Tags,
		Public: netip.PrefixFrom(m.spec.Addr, publicBits), Private: d.Private, Reserved: d.Reserved,
	}
}

// orCause prefers the reason why somebody gave up over what came of it.
func orCause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

func (m *machine) configure(c guest.Config) error {
	b, err := json.Marshal(c)
	if err == nil {
		err = m.host.Send(control.Message{Op: control.Boot, Config: b}, nil)
	}
	// PID 1 may have ended, after it said why.
	if err != nil && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
		return fmt.Errorf("configure PID 1: %w", err)
	}
	return nil
}

func (m *machine) answer() error {
	answer, err := m.host.Report()
	switch {
	case err != nil:
		return fmt.Errorf("PID 1 did not come up: %w", err)
	case answer.Op == control.Failed && answer.Errno != 0:
		return &guest.StepError{Step: answer.Step, Err: fmt.Errorf("%s (%w)", answer.Error, syscall.Errno(answer.Errno))}
	case answer.Op == control.Failed:
		return &guest.StepError{Step: answer.Step, Err: errors.New(answer.Error)}
	case answer.Op != control.Ready:
		return fmt.Errorf("PID 1 answers %q", answer.Op)
	}
	m.lacks = answer.Error
	return nil
}

// watch follows what PID 1 reports until it has ended, and cleans up. Its result says whether the droplet asked for a
// reboot.
func (m *machine) watch() (reboot bool) {
	for {
		report, err := m.host.Report()
		if err != nil {
			break // it has ended, or it breaks the rules
		}
		switch report.Op {
		case control.Listen:
			if err := m.relay.publish(report.Port); err != nil {
				m.log.Warn("port can't be opened", "port", report.Port, "error", err)
			}
		case control.Unlisten:
			m.relay.unpublish(report.Port)
		}
	}
	m.kill() // what has ended keeps its exit code
	return m.cleanUp() == guest.ExitReboot
}

// kill ends the droplet at once: the kernel kills all its processes with PID 1.
func (m *machine) kill() {
	if err := m.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		m.log.Error("droplet can't be killed", "error", err)
	}
}

// cleanUp waits for PID 1 and gives back all that the droplet had on the host but its files.
func (m *machine) cleanUp() (exitCode int) {
	var exit *exec.ExitError
	if err := m.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		m.log.Error("droplet can't be waited for", "error", err)
	}
	if err := m.host.Close(); err != nil {
		m.log.Error("control socket", "error", err)
	}
	m.relay.close()
	if err := m.group.remove(); err != nil {
		m.log.Warn("control group is left over", "error", err)
	}
	return m.cmd.ProcessState.ExitCode()
}

// stop ends the droplet, gently unless force is set, and waits until nothing is left of it.
func (m *machine) stop(ctx context.Context, force bool) {
	m.stopping.Store(true)
	if !force && m.host.Send(control.Message{Op: control.Stop}, nil) == nil {
		timeout := time.NewTimer(stopTimeout)
		defer timeout.Stop()
		select {
		case <-m.ended:
			return
		case <-timeout.C:
		case <-ctx.Done():
		}
	}
	m.kill()
	<-m.ended
}
