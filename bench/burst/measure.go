package burst

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
)

// Measured are a burst's figures beside the plain client's.
type Measured struct {
	Figures
	Plain       float64 `json:"plain"`        // requests per server to create it
	PlainReboot float64 `json:"plain_reboot"` // and to reboot it
}

// attribute is the name under which the test hands over what it measured.
const attribute = "measured"

// Measure runs the burst of 200 servers and returns its figures. Simulated time
// exists in tests only, so it has the go command run this package's test, with
// the module's folder, or one within, as the working directory.
func Measure(ctx context.Context) (Measured, error) {
	var errText bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", "test", "-json", "-count=1", "-run=^TestBurst$", "berth/bench/burst")
	cmd.Stderr = &errText
	out, err := cmd.Output()
	m, found := readAttribute(out)
	switch {
	case err != nil:
		return Measured{}, fmt.Errorf("simulate a burst of creates: %w: %s", err, errText.Bytes())
	case !found:
		return Measured{}, errors.New("simulate a burst of creates: the test gave no figures")
	}
	return m, nil
}

// readAttribute finds what was measured in the go command's JSON.
func readAttribute(out []byte) (m Measured, found bool) {
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		var event struct{ Action, Key, Value string }
		if json.Unmarshal(lines.Bytes(), &event) != nil || event.Action != "attr" || event.Key != attribute {
			continue
		}
		found = json.Unmarshal([]byte(event.Value), &m) == nil
	}
	return m, found
}
