package fleettest

import (
	"context"
	"errors"
	"sync"

	"golang.org/x/crypto/ssh"

	"berth"
	"berth/fleet"
)

// Prober answers for the machines of a Cloud.
type Prober struct {
	Cloud *Cloud

	mu   sync.Mutex
	deaf map[berth.ID]bool
}

// Silence makes a server not answer SSH, whatever its machine does.
func (p *Prober) Silence(server berth.ID, on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.deaf == nil {
		p.deaf = map[berth.ID]bool{}
	}
	p.deaf[server] = on
}

// Ready implements fleet.Prober.
func (p *Prober) Ready(_ context.Context, s fleet.Server, signer ssh.Signer) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if signer == nil || s.HostKey == "" || !s.Addr.IsValid() {
		return errors.New("nothing to connect with")
	}
	if p.deaf[s.ID] || !p.Cloud.Answers(string(s.ID)) {
		return errors.New("connection refused")
	}
	return nil
}

// Forget implements fleet.Prober.
func (p *Prober) Forget(berth.ID) {}

// Vault seals by turning bytes over, which shows whether sealed and open bytes
// are mixed up.
type Vault struct{}

var errNotSealed = errors.New("these bytes are not sealed")

// Seal implements fleet.Sealer.
func (Vault) Seal(plain []byte) ([]byte, error) { return append([]byte{0xff}, turned(plain)...), nil }

// Open implements fleet.Sealer.
func (Vault) Open(sealed []byte) ([]byte, error) {
	if len(sealed) == 0 || sealed[0] != 0xff {
		return nil, errNotSealed
	}
	return turned(sealed[1:]), nil
}

func turned(b []byte) []byte {
	out := make([]byte, len(b))
	for i, x := range b {
		out[i] = ^x
	}
	return out
}
