package guest

import (
	"strings"
	"testing"
)

func TestRelease(t *testing.T) {
	for _, c := range []struct {
		image Image
		want  string
	}{
		{Image{"Ubuntu", "24.04 (LTS) x64"}, `PRETTY_NAME="Ubuntu 24.04 LTS (noble)" NAME="Ubuntu" VERSION_ID="24.04" VERSION="24.04 LTS (noble)" VERSION_CODENAME="noble" ID="ubuntu" ID_LIKE="debian"`},
		{Image{"Debian", "12 x64"}, `PRETTY_NAME="Debian GNU/Linux 12 (bookworm)" NAME="Debian GNU/Linux" VERSION_ID="12" VERSION="12 (bookworm)" VERSION_CODENAME="bookworm" ID="debian"`},
		{Image{"Fedora", "42 x64"}, `PRETTY_NAME="Fedora 42" NAME="Fedora" VERSION_ID="42" VERSION="42" ID="fedora"`},
		{Image{"Odd", ""}, `PRETTY_NAME="Odd" NAME="Odd" ID="odd"`},
	} {
		want := c.want + ` VARIANT="Berth sandbox, with the programs of Host 1" VARIANT_ID="berth-sandbox"`
		if got := strings.ReplaceAll(strings.TrimSpace(c.image.release("Host 1")), "\n", " "); got != want {
			t.Errorf("got %s\nwant %s", got, want)
		}
	}
	for text, want := range map[string]string{"ID=x\nPRETTY_NAME=\"Host 1\"\n": "Host 1", "PRETTY_NAME=Host\n": "Host", "": "the host"} {
		if got := prettyName([]byte(text)); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
}
