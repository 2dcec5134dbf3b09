package provider

import (
	"fmt"
	"strings"
)

// The ports of a machine's address that can lead to others, and how many of them
// one machine can have. They are the same for every cloud: the machine itself
// redirects its connections.
const (
	FirstForward = 20000
	LastForward  = 20099
	MaxForwards  = 20
)

// Forward leads TCP connections to a port of a machine's IPv4 address to another
// of its ports.
type Forward struct {
	External int `json:"external_port"` // FirstForward to LastForward
	Internal int `json:"internal_port"` // 1 to 65535
}

// CheckForwards refuses ports that are out of range, a port that leads to two
// others, and more than MaxForwards. The error is an *Error of kind Invalid.
func CheckForwards(list []Forward) error {
	if len(list) > MaxForwards {
		return invalid("%d port forwards are more than the %d that a server can have", len(list), MaxForwards)
	}
	taken := map[int]bool{}
	for _, f := range list {
		switch {
		case f.External < FirstForward || f.External > LastForward:
			return invalid("external port %d is not one of %d to %d", f.External, FirstForward, LastForward)
		case f.Internal < 1 || f.Internal > 65535:
			return invalid("internal port %d is not one of 1 to 65535", f.Internal)
		case taken[f.External]:
			return invalid("external port %d is forwarded twice", f.External)
		}
		taken[f.External] = true
	}
	return nil
}

// forwardCommands is the shell text that a machine runs at every boot to lead its
// ports to each other, empty where there are none. It does no harm when it runs
// again. Only connections to the machine itself are led elsewhere: those of
// containers that pass through it to the same port of another machine are not.
//
// Debian's images come without iptables and with nft; the others have both, or
// iptables alone.
func forwardCommands(list []Forward) string {
	if len(list) == 0 {
		return ""
	}
	var tables, nft strings.Builder
	for _, f := range list {
		fmt.Fprintf(&tables, "  forward -p tcp -m addrtype --dst-type LOCAL --dport %d -j REDIRECT --to-ports %d\n", f.External, f.Internal)
		fmt.Fprintf(&nft, "    fib daddr type local tcp dport %d redirect to :%d\n", f.External, f.Internal)
	}
	return `if command -v iptables >/dev/null 2>&1; then
  forward() { iptables -w -t nat -C PREROUTING "$@" 2>/dev/null || iptables -w -t nat -A PREROUTING "$@"; }
` + tables.String() + `else
  nft -f - <<'END'
table ip berth
delete table ip berth
table ip berth {
  chain forwards {
    type nat hook prerouting priority -100;
` + nft.String() + `  }
}
END
fi
`
}
