package digitalocean

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/digitalocean/godo"
	"golang.org/x/crypto/ssh"

	"berth/provider"
)

// accountKey is the SSH key that creates name. DigitalOcean answers few
// requests about keys, so it is looked up once, and not again soon when that
// fails.
type accountKey struct {
	line        string // empty for none
	fingerprint string

	turn   chan struct{} // holds the token of whoever reads or changes what follows
	ready  bool
	failed error
	asked  time.Time
}

func (k *accountKey) lock(ctx context.Context) error {
	select {
	case k.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (k *accountKey) unlock() { <-k.turn }

// opFindKey is the one request that counts against the limit for keys.
const opFindKey = "look up the account's SSH key"

// keyPause is how long a failure to register the key is remembered.
const keyPause = 10 * time.Second

func newAccountKey(line string) (*accountKey, error) {
	k := &accountKey{line: strings.TrimSpace(line), turn: make(chan struct{}, 1)}
	if k.line == "" {
		return k, nil
	}
	key, _, _, rest, err := ssh.ParseAuthorizedKey([]byte(k.line))
	if err != nil || len(rest) > 0 {
		return nil, errors.New("digitalocean: the account key is no line of an authorized_keys file")
	}
	k.fingerprint = ssh.FingerprintLegacyMD5(key) // the form that DigitalOcean takes
	return k, nil
}

// sshKeys is what a create names: the account's key once it is registered.
// It is never nil: DigitalOcean refuses null.
func (p *Provider) sshKeys(ctx context.Context) ([]godo.DropletCreateSSHKey, error) {
	k := p.key
	if k.line == "" {
		return []godo.DropletCreateSSHKey{}, nil
	}
	if err := k.lock(ctx); err != nil {
		return nil, err
	}
	defer k.unlock()
	if !k.ready {
		if k.failed != nil && p.now().Sub(k.asked) < keyPause {
			return nil, k.failed
		}
		err := p.register(ctx)
		if ctx.Err() != nil {
			return nil, err // says nothing about the next caller's chances
		}
		k.ready, k.failed, k.asked = err == nil, err, p.now()
		if err != nil {
			return nil, err
		}
	}
	return []godo.DropletCreateSSHKey{{Fingerprint: k.fingerprint}}, nil
}

// forgetKey has the key looked up again before the next create: the account's
// owner may have deleted it.
func (p *Provider) forgetKey(ctx context.Context) {
	if p.key.lock(ctx) == nil {
		p.key.ready = false
		p.key.unlock()
	}
}

func (p *Provider) register(ctx context.Context) error {
	err := p.read(ctx, opFindKey, func(ctx context.Context) (*godo.Response, error) {
		_, answer, err := p.client.Keys.GetByFingerprint(ctx, p.key.fingerprint)
		return answer, err
	})
	if provider.KindOf(err) != provider.NotFound {
		return err
	}
	err = p.once(ctx, "register an SSH key", func(ctx context.Context) (*godo.Response, error) {
		_, answer, err := p.client.Keys.Create(ctx, &godo.KeyCreateRequest{Name: "berth", PublicKey: p.key.line})
		return answer, err
	})
	switch kind := provider.KindOf(err); {
	case kind == provider.Invalid && strings.Contains(err.Error(), "already in use"):
		return nil // another process was faster
	case kind == provider.Ambiguous:
		// The machine itself is not in doubt, and the key is looked up again.
		return &provider.Error{Kind: provider.Unavailable, Op: "register an SSH key", Message: "no clear answer", Err: err}
	}
	return err
}
