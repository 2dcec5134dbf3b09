package guest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"berth/provider/sandbox/droplet/internal/cloudinit"
)

const (
	instanceFile = cloudDir + "/instance-id"
	hostnameFile = "/etc/hostname"
)

// isConfigured says whether this instance's first-boot data was applied before.
func isConfigured(c Config) bool {
	b, err := os.ReadFile(instanceFile)
	return err == nil && strings.TrimSpace(string(b)) == c.Instance
}

// setHostname gives a new instance the name of its cloud-config, else the host's; later boots keep what is in
// /etc/hostname.
func setHostname(c Config) error {
	name := c.Hostname
	if isConfigured(c) {
		if b, err := os.ReadFile(hostnameFile); err == nil && len(strings.TrimSpace(string(b))) > 0 {
			name = strings.TrimSpace(string(b))
		}
	} else {
		config := cloudinit.Parse(c.UserData).Config
		if config.Hostname != "" {
			name = config.Hostname
		} else if config.FQDN != "" {
			name, _, _ = strings.Cut(config.FQDN, ".")
		}
		hosts := "127.0.0.1 localhost\n127.0.1.1 " + name + "\n::1 localhost ip6-localhost ip6-loopback\n"
		if err := errors.Join(replace(hostnameFile, name+"\n", 0o644), replace("/etc/hosts", hosts, 0o644)); err != nil {
			return err
		}
	}
	return unix.Sethostname([]byte(name[:min(len(name), 64)]))
}

// replace writes a file anew, whatever has its name.
func replace(name, text string, mode fs.FileMode) error {
	if err := os.RemoveAll(name); err != nil {
		return err
	}
	return create(name, text, mode)
}

// create writes a file, with its folders, unless there is one.
func create(name, text string, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Chmod(mode), f.Close())
}

// loginShell is the best shell that the host has.
func loginShell() string {
	if _, err := os.Stat("/bin/bash"); err == nil {
		return "/bin/bash"
	}
	return "/bin/sh"
}

const (
	systemUsers = `daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
bin:x:2:2:bin:/bin:/usr/sbin/nologin
www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
`
	systemShadow = `root:*:20000:0:99999:7:::
daemon:*:20000:0:99999:7:::
bin:*:20000:0:99999:7:::
www-data:*:20000:0:99999:7:::
nobody:*:20000:0:99999:7:::
`
	systemGroups = `root:x:0:
daemon:x:1:
bin:x:2:
adm:x:4:
tty:x:5:
sudo:x:27:
www-data:x:33:
users:x:100:
nogroup:x:65534:
`
	nameServices = "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nservices: files\nprotocols: files\n"

	// cloudInit stands in for the command that scripts use to wait for the first boot.
	cloudInit = `#!/bin/sh
case "$*" in
*--wait*) until [ -e /var/lib/cloud/instance/boot-finished ]; do sleep 0.1; done ;;
esac
if [ -e /var/lib/cloud/instance/boot-finished ]; then echo "status: done"; else echo "status: running"; fi
`
	// shutdown has several names.
	shutdown = `#!/bin/sh
case "${0##*/} $* " in
reboot*|*" -r "*) kill -HUP 1 ;;
*) kill -TERM 1 ;;
esac
`
	shutdownPath = "/usr/local/sbin/shutdown"
)

// writeSystemFiles writes what a new disk lacks. It overwrites nothing.
func writeSystemFiles() error {
	files := []struct {
		name, text string
		mode       fs.FileMode
	}{
		{"/etc/passwd", "root:x:0:0:root:/root:" + loginShell() + "\n" + systemUsers, 0o644},
		{"/etc/group", systemGroups, 0o644},
		{"/etc/shadow", systemShadow, 0o600},
		{"/etc/nsswitch.conf", nameServices, 0o644},
		{"/etc/resolv.conf", "", 0o644},
		{shutdownPath, shutdown, 0o755},
		{"/usr/local/bin/cloud-init", cloudInit, 0o755},
	}
	for _, name := range []string{".bashrc", ".profile"} {
		b, err := os.ReadFile("/etc/skel/" + name)
		if err == nil {
			files = append(files, struct {
				name, text string
				mode       fs.FileMode
			}{"/root/" + name, string(b), 0o644})
		}
	}
	for _, f := range files {
		if err := create(f.name, f.text, f.mode); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	for _, name := range []string{"poweroff", "halt", "reboot"} {
		err := os.Link(shutdownPath, "/usr/local/sbin/"+name)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}
