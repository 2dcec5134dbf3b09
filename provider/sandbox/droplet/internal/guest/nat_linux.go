package guest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"sync"
	"time"
)

const (
	natSocket    = "/run/berth-nat"
	natTimeout   = 5 * time.Second
	maxNATRules  = 256
	maxNATBytes  = 4 << 10  // of a request
	maxNATAnswer = 64 << 10 // enough for all rules
)

// natRule leads connections that come to a TCP port from outside to another port of the droplet.
type natRule struct {
	Local bool `json:"local,omitempty"` // it was given with --dst-type LOCAL, which is true of all that comes here
	Port  int  `json:"port"`
	To    int  `json:"to"`
}

// String is the rule as iptables -S shows it.
func (r natRule) String() string {
	local := ""
	if r.Local {
		local = " -m addrtype --dst-type LOCAL"
	}
	return fmt.Sprintf("-A %s -p tcp%s -m tcp --dport %d -j REDIRECT --to-ports %d", natChain, local, r.Port, r.To)
}

// nat is what a droplet has of the kernel's address translation, which its root has no right to: the rules of the chain
// PREROUTING that redirect a TCP port. As in the kernel they are gone after a reboot, and the first that fits counts.
type nat struct {
	mu    sync.Mutex
	rules []natRule
}

// target is the port to which a connection from outside goes, and whether a rule says so.
func (n *nat) target(port int) (int, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, r := range n.rules {
		if r.Port == port {
			return r.To, true
		}
	}
	return port, false
}

// outside are the ports that can be reached from outside when those in inside are open in the droplet. A redirected one
// can be when something listens where it leads to, as SSH always does.
func (n *nat) outside(inside map[int]bool) map[int]bool {
	out := maps.Clone(inside)
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, r := range slices.Backward(n.rules) { // the first that fits is the last to say
		if inside[r.To] || r.To == insidePort {
			out[r.Port] = true
		} else {
			delete(out, r.Port)
		}
	}
	return out
}

// The requests to change rules, by the option of iptables.
const (
	natAppend = "-A"
	natCheck  = "-C"
	natDelete = "-D"
	natShow   = "-S"
)

type natRequest struct {
	Op   string  `json:"op"`
	Rule natRule `json:"rule,omitzero"`
}

type natAnswer struct {
	Rules []natRule `json:"rules,omitempty"` // to natShow
	Error string    `json:"error,omitempty"`
}

// do carries out one request.
func (n *nat) do(r natRequest) ([]natRule, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	at := slices.Index(n.rules, r.Rule)
	switch {
	case r.Op == natShow:
		return slices.Clone(n.rules), nil
	case r.Op == natAppend && len(n.rules) >= maxNATRules:
		return nil, fmt.Errorf("%d rules are possible here", maxNATRules)
	case r.Op == natAppend && (!isPort(r.Rule.Port) || !isPort(r.Rule.To)):
		return nil, errors.New("ports are from 1 to 65535")
	case r.Op == natAppend:
		n.rules = append(n.rules, r.Rule)
		return nil, nil
	case r.Op != natCheck && r.Op != natDelete:
		return nil, fmt.Errorf("%.20q is not known", r.Op)
	case at < 0:
		return nil, errors.New("Bad rule (does a matching rule exist in that chain?).") //nolint:staticcheck // iptables' own words
	case r.Op == natDelete:
		n.rules = slices.Delete(n.rules, at, at+1)
	}
	return nil, nil
}

func isPort(n int) bool { return n >= 1 && n <= 65535 }

// serveNAT serves root in the droplet until it ends, one request at a time.
func (s *supervisor) serveNAT() error {
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: natSocket, Net: "unixpacket"})
	if err != nil {
		return err
	}
	if err := os.Chmod(natSocket, 0o600); err != nil {
		return errors.Join(err, l.Close())
	}
	go func() {
		for {
			c, err := l.AcceptUnix()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				s.log.Warn("port forwards", "error", err)
				continue
			}
			if err := s.nat.serve(c); err != nil {
				s.log.Warn("port forwards", "error", err)
			}
		}
	}()
	return nil
}

func (n *nat) serve(c *net.UnixConn) error {
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(natTimeout)); err != nil {
		return err
	}
	b := make([]byte, maxNATBytes)
	size, err := c.Read(b)
	if err != nil {
		return err
	}
	var r natRequest
	if err := json.Unmarshal(b[:size], &r); err != nil {
		return err
	}
	var answer natAnswer
	if answer.Rules, err = n.do(r); err != nil {
		answer.Error = err.Error()
	}
	if b, err = json.Marshal(answer); err == nil {
		_, err = c.Write(b)
	}
	return err
}

// askNAT has PID 1 carry out one request.
func askNAT(r natRequest) (rules []natRule, err error) {
	c, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: natSocket, Net: "unixpacket"})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(natTimeout)); err != nil {
		return nil, err
	}
	b, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	if _, err := c.Write(b); err != nil {
		return nil, err
	}
	b = make([]byte, maxNATAnswer)
	n, err := c.Read(b)
	if err != nil {
		return nil, err
	}
	var answer natAnswer
	if err := json.Unmarshal(b[:n], &answer); err != nil {
		return nil, err
	}
	if answer.Error != "" {
		return nil, errors.New(answer.Error)
	}
	return answer.Rules, nil
}
