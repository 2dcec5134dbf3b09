package guest

import (
	"encoding/binary"
	"net"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

func TestListeningPorts(t *testing.T) {
	port := func(addr string) int {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l.Addr().(*net.TCPAddr).Port
	}
	public, private := port("0.0.0.0:0"), port("127.0.0.1:0")
	got, err := listeningPorts()
	if err != nil {
		t.Fatal(err)
	}
	if !got[public] {
		t.Errorf("port %d is not among %v", public, got)
	}
	if got[private] {
		t.Errorf("port %d, of the loopback only, is among %v", private, got)
	}
}

// answer is one message of the kernel's about a listener.
func answer(family byte, port uint16, address ...byte) []byte {
	b := make([]byte, netlinkHeader+answerSize)
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], diagByFamily)
	b[netlinkHeader] = family
	binary.BigEndian.PutUint16(b[netlinkHeader+offsetPort:], port)
	copy(b[netlinkHeader+offsetAddress:], address)
	return b
}

func TestParseAnswers(t *testing.T) {
	var b []byte
	for _, m := range [][]byte{
		answer(unix.AF_INET, 80), answer(unix.AF_INET, 81, 127, 0, 0, 1), answer(unix.AF_INET, 82, 169, 254, 1, 1),
		answer(unix.AF_INET6, 83), answer(unix.AF_INET6, 84, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1),
		answer(unix.AF_INET6, 85, 0xfe, 0x80), answer(unix.AF_INET6, 86, 0x20, 0x01), answer(unix.AF_INET, 87, 10, 0, 0, 1),
	} {
		b = append(b, m...)
	}
	ports := map[int]bool{}
	if done, err := parseAnswers(b, ports); done || err != nil {
		t.Fatal(done, err)
	}
	for port, want := range map[int]bool{80: true, 81: false, 82: false, 83: true, 84: false, 85: false, 86: true, 87: true} {
		if ports[port] != want {
			t.Errorf("port %d: %v", port, ports[port])
		}
	}
}

func TestParseAnswersOfAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parseAnswers(rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "bytes"), map[int]bool{})
	})
}
