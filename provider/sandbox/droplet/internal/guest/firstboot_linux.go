package guest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"berth/provider/sandbox/droplet/internal/cloudinit"
	"berth/provider/sandbox/droplet/internal/sshd"
)

const (
	cloudDir     = "/var/lib/cloud/instance"
	finishedFile = cloudDir + "/boot-finished"
	outputLog    = "/var/log/cloud-init-output.log"
	eventLog     = "/var/log/cloud-init.log"
	resultFile   = "/var/lib/cloud/data/result.json"
	noPackages   = "packages are not available: droplets have the host's programs and no network"
)

// firstBoot applies the user data. As on a real server a failure is logged, and never keeps the droplet from booting.
type firstBoot struct {
	config Config
	data   cloudinit.Data
	fresh  bool // this instance boots for the first time
	log    *slog.Logger
	reaper *reaper
	failed []string // what went wrong in the scripts, for those who wait for their end
}

func newFirstBoot(c Config, r *reaper) (*firstBoot, error) {
	if err := os.Remove(finishedFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	file, err := os.OpenFile(eventLog, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	return &firstBoot{
		config: c, data: cloudinit.Parse(c.UserData), fresh: !isConfigured(c), reaper: r,
		log: slog.New(slog.NewTextHandler(file, nil)),
	}, nil
}

// attempt logs what can't be done.
func (b *firstBoot) attempt(what string, err error) {
	if err != nil {
		b.log.Error(what, "error", err)
	}
}

// configure does what has to be there before anybody logs in. It marks the instance as configured first, so that
// nothing in the user data can happen twice.
func (b *firstBoot) configure() error {
	if !b.fresh {
		return nil
	}
	if err := replace(instanceFile, b.config.Instance+"\n", 0o644); err != nil {
		return err
	}
	b.log.Info("first boot", "instance", b.config.Instance)
	for _, w := range b.data.Warnings {
		b.log.Warn(w)
	}
	c := b.data.Config
	if wants := wantsPackages(c); wants != "" {
		b.log.Warn(noPackages, "packages", wants)
	}
	if c.Chpasswd.Expire.On {
		b.log.Warn("chpasswd: passwords don't expire here")
	}
	b.attempt("os-release", writeRelease(b.config.Image))
	b.attempt("user data", replace(cloudDir+"/user-data.txt", string(b.config.UserData), 0o600))
	b.writeFiles(false)
	for _, g := range c.Groups {
		b.attempt("group "+g.Name, addGroup(g))
	}
	for _, u := range c.Users {
		if u.Name == "default" {
			continue // root is the default user here
		}
		b.attempt("user "+u.Name, addUser(u))
	}
	b.attempt("sudoers", writeSudoers(c.Users))
	b.attempt("keys of root", authorize("/root", 0, 0, append(b.config.AuthorizedKeys, c.AuthorizedKeys...)))
	b.setPasswords()
	b.attempt("ssh settings", writeSSHSettings(c))
	b.attempt("host keys", installHostKeys(c))
	b.writeFiles(true)
	return nil
}

// wantsPackages is what a cloud-config wants of the package manager, empty for nothing.
func wantsPackages(c cloudinit.Config) string {
	var wants []string
	if c.PackageUpdate.On {
		wants = append(wants, "update")
	}
	if c.PackageUpgrade.On {
		wants = append(wants, "upgrade")
	}
	if len(c.Packages) > 0 {
		wants = append(wants, fmt.Sprint(c.Packages))
	}
	return strings.Join(wants, " ")
}

func (b *firstBoot) writeFiles(deferred bool) {
	for _, f := range b.data.Config.Files {
		if f.Defer == deferred {
			b.attempt("write_files "+f.Path, writeFile(f))
		}
	}
}

func writeFile(f cloudinit.File) error {
	if !filepath.IsAbs(f.Path) {
		return errors.New("the path is not absolute")
	}
	text, err := f.Bytes()
	if err != nil {
		return err
	}
	mode := fs.FileMode(0o644)
	if f.Permissions != 0 {
		mode = fileMode(uint32(f.Permissions))
	}
	if err := os.MkdirAll(filepath.Dir(f.Path), 0o755); err != nil {
		return err
	}
	flags := os.O_CREATE | os.O_WRONLY | os.O_TRUNC
	if f.Append {
		flags = os.O_CREATE | os.O_WRONLY | os.O_APPEND
	}
	file, err := os.OpenFile(f.Path, flags|syscall.O_NONBLOCK, mode)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if f.Owner != "" {
		uid, gid, ownerErr := owner(f.Owner)
		if ownerErr == nil {
			ownerErr = file.Chown(uid, gid)
		}
		err = errors.Join(err, ownerErr)
	}
	return errors.Join(err, file.Chmod(mode), file.Close())
}

// fileMode reads Unix permission bits, set-uid and the like included.
func fileMode(bits uint32) fs.FileMode {
	mode := fs.FileMode(bits & 0o777)
	for bit, m := range map[uint32]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if bits&bit != 0 {
			mode |= m
		}
	}
	return mode
}

func (b *firstBoot) setPasswords() {
	for _, p := range b.data.Config.Passwords() {
		if p.Value == "R" || p.Value == "RANDOM" {
			b.attempt("password", errors.New("random passwords are not supported: nobody could read them"))
			continue
		}
		hash, err := p.Value, error(nil)
		if !p.Hashed {
			hash, err = sshd.HashPassword(p.Value)
		}
		if err == nil {
			err = setShadow(p.Name, hash)
		}
		b.attempt("password of "+p.Name, err)
	}
}

// writeSSHSettings keeps the switches where the server, and whoever administers the droplet, looks for them.
func writeSSHSettings(c cloudinit.Config) error {
	var text strings.Builder
	for _, s := range []struct {
		keyword string
		yes     cloudinit.Switch
	}{
		{"PasswordAuthentication", c.PasswordAuth},
		{"PermitRootLogin", cloudinit.Switch{Set: c.DisableRoot.Set, On: !c.DisableRoot.On}},
	} {
		value := "no"
		if s.yes.On {
			value = "yes"
		}
		if s.yes.Set {
			fmt.Fprintln(&text, s.keyword, value)
		}
	}
	const file = "/etc/ssh/sshd_config.d/50-cloud-init.conf"
	if text.Len() == 0 {
		return os.RemoveAll(file) // an earlier instance's
	}
	return replace(file, text.String(), 0o600)
}

// runCommands runs what may take its time: boot commands, and on the first boot scripts and commands.
func (b *firstBoot) runCommands() {
	c := b.data.Config
	out, err := os.OpenFile(outputLog, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		b.attempt("output log", err)
		return
	}
	defer out.Close()
	if len(c.BootCommands) > 0 {
		b.runScript(out, "bootcmd", cloudinit.Script(c.BootCommands))
	}
	if b.fresh {
		if wants := wantsPackages(c); wants != "" {
			fmt.Fprintf(out, "cloud-init: %s: %s\n", noPackages, wants)
		}
		for i, s := range b.data.Scripts {
			b.runScript(out, fmt.Sprintf("part-%03d", i+1), s)
		}
		if len(c.Commands) > 0 {
			b.runScript(out, "runcmd", cloudinit.Script(c.Commands))
		}
	}
	b.attempt("finish", b.finish())
	b.log.Info("boot finished")
}

// finish says that the boot is over, and how it went, where cloud-init does.
func (b *firstBoot) finish() error {
	var result struct {
		V1 struct {
			Datasource string   `json:"datasource"`
			Errors     []string `json:"errors"`
		} `json:"v1"`
	}
	result.V1.Datasource, result.V1.Errors = "DataSourceDigitalOcean", notNil(b.failed)
	text, err := json.Marshal(result)
	if err != nil {
		return err
	}
	return errors.Join(
		replace("/var/lib/cloud/data/instance-id", b.config.Instance+"\n", 0o644),
		replace(resultFile, string(text)+"\n", 0o644), replace(finishedFile, "", 0o644))
}

func (b *firstBoot) runScript(out *os.File, name string, text []byte) {
	path := cloudDir + "/scripts/" + name
	if err := b.reaper.withoutStarts(func() error { return replace(path, string(text), 0o700) }); err != nil {
		b.attempt("script "+name, err)
		return
	}
	status, err := b.execute(out, path)
	if err != nil {
		fmt.Fprintf(out, "cloud-init: %s: %v\n", name, err)
		b.attempt("script "+name, err)
		b.failed = append(b.failed, fmt.Sprintf("%s: %v", name, err))
		return
	}
	if status != 0 {
		b.failed = append(b.failed, fmt.Sprintf("%s: exit status %d, signal %d", name, status.ExitStatus(), int(status.Signal())))
	}
	b.log.Info("script ended", "name", name, "status", status.ExitStatus(), "signal", int(status.Signal()))
}

// execute runs a script to its end. Its output, and that of what it leaves running, goes straight to the log.
func (b *firstBoot) execute(out *os.File, path string) (syscall.WaitStatus, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	_, ended, err := b.reaper.start(&exec.Cmd{
		Path: path, Args: []string{path}, Dir: "/", Stdin: null, Stdout: out, Stderr: out,
		Env: []string{
			"HOME=/root", "USER=root", "LOGNAME=root", "SHELL=" + loginShell(), "PATH=" + sshd.Path, "LANG=C.UTF-8",
			"INSTANCE_ID=" + b.config.Instance,
		},
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return 0, err
	}
	return <-ended, nil
}
