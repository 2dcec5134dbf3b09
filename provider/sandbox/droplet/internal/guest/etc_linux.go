package guest

import (
	"embed"
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
		hosts := "127.0.0.1 localhost\n127.0.1.1 " + strings.TrimSpace(config.FQDN+" "+name) + "\n::1 localhost ip6-localhost ip6-loopback\n"
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
)

// programs are shell scripts that a droplet has in place of the host's, each with the names under which it is there.
var (
	//go:embed programs
	programs     embed.FS
	programNames = map[string][]string{
		"apt-get":    {"/usr/local/bin/apt-get", "/usr/local/bin/apt"},
		"cloud-init": {"/usr/local/bin/cloud-init"},
		"shutdown":   {"/usr/local/sbin/shutdown", "/usr/local/sbin/poweroff", "/usr/local/sbin/halt", "/usr/local/sbin/reboot"},
		"sudo":       {"/usr/local/bin/sudo"},
	}
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
	for program, names := range programNames {
		if err := installProgram(program, names); err != nil {
			return fmt.Errorf("%s: %w", program, err)
		}
	}
	return errors.Join(
		link(HTTPName, "/usr/local/bin/"+SudoName),
		link("../bin/"+HTTPName, "/usr/local/sbin/"+IptablesName))
}

// link makes a symbolic link where there is nothing.
func link(target, name string) error {
	if err := os.Symlink(target, name); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// installProgram writes a program where there is none, and links its other names to it.
func installProgram(program string, names []string) error {
	text, err := programs.ReadFile("programs/" + program)
	if err != nil {
		return err
	}
	if err := create(names[0], string(text), 0o755); err != nil {
		return err
	}
	for _, name := range names[1:] {
		if err := os.Link(names[0], name); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}
