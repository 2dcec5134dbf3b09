package guest

import (
	"bufio"
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"strconv"
	"strings"
)

// Image names a distribution as the cloud's list of images does: "Ubuntu" and "24.04 (LTS) x64".
type Image struct {
	Distribution string `json:"distribution,omitempty"`
	Name         string `json:"name,omitempty"`
}

const (
	releaseFile = "/etc/os-release"
	hostRelease = "/usr/lib/os-release"
)

var (
	releaseVersion = regexp.MustCompile(`^[0-9][0-9.]*`)
	// codenames are what scripts look for in os-release, by id and version.
	codenames = map[string]string{
		"debian 11": "bullseye", "debian 12": "bookworm", "debian 13": "trixie",
		"ubuntu 20.04": "focal", "ubuntu 22.04": "jammy", "ubuntu 24.04": "noble", "ubuntu 24.10": "oracular",
		"ubuntu 25.04": "plucky", "ubuntu 25.10": "questing",
	}
)

// writeRelease makes os-release say what the image is, and whose programs it has.
func writeRelease(i Image) error {
	if i.Distribution == "" {
		return nil
	}
	b, err := os.ReadFile(hostRelease)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	return replace(releaseFile, i.release(prettyName(b)), fs.FileMode(0o644))
}

// prettyName is what the host calls itself.
func prettyName(release []byte) string {
	for lines := bufio.NewScanner(bytes.NewReader(release)); lines.Scan(); {
		if text, ok := strings.CutPrefix(lines.Text(), "PRETTY_NAME="); ok {
			if name, err := strconv.Unquote(text); err == nil {
				return name
			}
			return text
		}
	}
	return "the host"
}

// release is the text of os-release, in the order in which Debian has it.
func (i Image) release(host string) string {
	id := strings.ToLower(i.Distribution)
	name := i.Distribution
	if id == "debian" {
		name = "Debian GNU/Linux"
	}
	version := strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(i.Name), "x64"))
	number := releaseVersion.FindString(version)
	codename := codenames[id+" "+number]
	full := strings.NewReplacer("(", "", ")", "").Replace(version)
	if codename != "" {
		full += " (" + codename + ")"
	}
	var b strings.Builder
	for _, f := range []struct{ key, value string }{
		{"PRETTY_NAME", strings.TrimSpace(name + " " + full)},
		{"NAME", name},
		{"VERSION_ID", number},
		{"VERSION", full},
		{"VERSION_CODENAME", codename},
		{"ID", id},
		{"ID_LIKE", map[string]string{"ubuntu": "debian"}[id]},
		{"VARIANT", "Berth sandbox, with the programs of " + host},
		{"VARIANT_ID", "berth-sandbox"},
	} {
		if f.value != "" {
			fmt.Fprintf(&b, "%s=%s\n", f.key, strconv.Quote(f.value))
		}
	}
	return b.String()
}
