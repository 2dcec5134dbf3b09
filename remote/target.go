package remote

import (
	"net/netip"

	"golang.org/x/crypto/ssh"
)

// Target is a server to connect to.
type Target struct {
	ID      string         // the server's id, by which Forget finds its connections
	Addr    netip.AddrPort // where its SSH listens
	User    string         // "root" if empty
	HostKey ssh.PublicKey  // the only key the server may show
	Signer  ssh.Signer     // the key that opens the account
}

// identity is what two targets must share to share a connection. The keys are
// in it, so that a changed pin or a changed login never meets an old connection.
type identity struct {
	id, user, hostKey, login string
	addr                     netip.AddrPort
}

func (t Target) identity() (identity, error) {
	switch {
	case t.ID == "":
		return identity{}, fail(Invalid, nil, "the target has no id")
	case !t.Addr.IsValid() || t.Addr.Port() == 0:
		return identity{}, fail(Invalid, nil, "the target has no address")
	case t.HostKey == nil:
		return identity{}, fail(Invalid, nil, "the target has no pinned host key")
	case t.Signer == nil:
		return identity{}, fail(Invalid, nil, "the target has no key to log in with")
	}
	return identity{
		id:      t.ID,
		user:    t.user(),
		hostKey: string(t.HostKey.Marshal()),
		login:   string(t.Signer.PublicKey().Marshal()),
		addr:    t.Addr,
	}, nil
}

func (t Target) user() string {
	if t.User == "" {
		return "root"
	}
	return t.User
}
