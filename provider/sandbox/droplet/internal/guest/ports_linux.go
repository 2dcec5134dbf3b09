package guest

import (
	"encoding/binary"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"berth/provider/sandbox/droplet/internal/control"
)

// pollPorts is how often PID 1 looks for new listeners.
const pollPorts = 250 * time.Millisecond

// watchPorts tells the host which TCP ports can be reached from outside, until the host is gone.
func (s *supervisor) watchPorts() {
	open := map[int]bool{}
	for range time.Tick(pollPorts) {
		now, err := listeningPorts()
		if err != nil {
			s.log.Error("can't see which ports are open", "error", err)
			continue
		}
		now = s.nat.outside(now)
		delete(now, insidePort) // the host itself opens the port for SSH
		delete(now, s.config.SSHPort)
		if tell(s.host, control.Listen, now, open) != nil || tell(s.host, control.Unlisten, open, now) != nil {
			return
		}
		open = now
	}
}

// tell reports the ports that are in a and not in b.
func tell(host *control.Conn, op control.Op, a, b map[int]bool) error {
	for port := range a {
		if b[port] {
			continue
		}
		if err := host.Send(control.Message{Op: op, Port: port}, nil); err != nil {
			return err
		}
	}
	return nil
}

// The kernel's socket diagnostics: sizes and offsets of inet_diag_req_v2 and inet_diag_msg behind the netlink header.
const (
	netlinkHeader   = 16
	diagByFamily    = 20
	requestSize     = 56
	answerSize      = 72
	offsetPort      = 4
	offsetAddress   = 8
	stateListenMask = 1 << 10
)

// listeningPorts returns the TCP ports on which something in the droplet listens, loopback and link-local addresses
// apart. It asks the kernel directly: /proc/net/tcp is far slower.
func listeningPorts() (map[int]bool, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	ports := map[int]bool{}
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		if err := askFamily(fd, family, ports); err != nil {
			return nil, err
		}
	}
	return ports, nil
}

func askFamily(fd int, family byte, ports map[int]bool) error {
	request := make([]byte, netlinkHeader+requestSize)
	binary.NativeEndian.PutUint32(request, uint32(len(request)))
	binary.NativeEndian.PutUint16(request[4:], diagByFamily)
	binary.NativeEndian.PutUint16(request[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	request[netlinkHeader], request[netlinkHeader+1] = family, unix.IPPROTO_TCP
	binary.NativeEndian.PutUint32(request[netlinkHeader+4:], stateListenMask)
	if err := unix.Sendto(fd, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	for b := make([]byte, 32<<10); ; {
		n, _, err := unix.Recvfrom(fd, b, 0)
		if err != nil {
			return err
		}
		done, err := parseAnswers(b[:n], ports)
		if done || err != nil {
			return err
		}
	}
}

// parseAnswers reads the messages of one datagram and says whether they were the last.
func parseAnswers(b []byte, ports map[int]bool) (done bool, err error) {
	for len(b) >= netlinkHeader {
		size := int(binary.NativeEndian.Uint32(b))
		if size < netlinkHeader || size > len(b) {
			return false, fmt.Errorf("netlink message of %d bytes in %d", size, len(b))
		}
		switch kind := binary.NativeEndian.Uint16(b[4:]); {
		case kind == unix.NLMSG_DONE:
			return true, nil
		case kind == unix.NLMSG_ERROR:
			return true, fmt.Errorf("netlink refuses socket diagnostics")
		case size >= netlinkHeader+answerSize && !private(b[netlinkHeader:size]):
			ports[int(binary.BigEndian.Uint16(b[netlinkHeader+offsetPort:]))] = true
		}
		b = b[min((size+3)&^3, len(b)):]
	}
	return false, nil
}

// private says whether a listener is meant for the droplet itself only.
func private(answer []byte) bool {
	address := answer[offsetAddress:]
	if answer[0] == unix.AF_INET {
		return address[0] == 127 || address[0] == 169 && address[1] == 254
	}
	for _, b := range address[:15] {
		if b != 0 {
			return address[0] == 0xfe && address[1]&0xc0 == 0x80
		}
	}
	return address[15] == 1
}
