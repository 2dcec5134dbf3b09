package fleet_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	mathrand "math/rand/v2"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"berth"
	"berth/account"
	"berth/billing"
	"berth/fleet"
)

func TestCreateRefusals(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	stranger := s.principal(account.Retail)
	var foreign fleet.Key
	s.write(func(tx fleet.Tx) (err error) {
		foreign, err = s.fleet.AddKey(bg, tx, stranger.ID, "theirs", newPublicKey(t))
		return err
	})
	large := s.order()
	large.Size = "large"
	big := s.created(large)
	taken, err := s.snapshot(big.ID)
	if err != nil {
		t.Fatal(err)
	}
	pending := taken.Snapshot
	before, machines := s.balance(), s.cloud.Created()
	noise := make([]byte, 47<<10+512)
	for i := range noise {
		noise[i] = byte(mathrand.Uint32())
	}
	for name, c := range map[string]struct {
		alter func(*fleet.CreateOrder)
		code  berth.Code
	}{
		"no size":           {func(o *fleet.CreateOrder) { o.Size = "" }, berth.UnknownSize},
		"unknown size":      {func(o *fleet.CreateOrder) { o.Size = "huge" }, berth.UnknownSize},
		"unknown region":    {func(o *fleet.CreateOrder) { o.Region = "mars1" }, berth.UnknownRegion},
		"unknown image":     {func(o *fleet.CreateOrder) { o.Image = "templeos" }, berth.UnknownImage},
		"no minutes":        {func(o *fleet.CreateOrder) { o.Minutes = 0 }, berth.InvalidInput},
		"negative minutes":  {func(o *fleet.CreateOrder) { o.Minutes = -5 }, berth.InvalidInput},
		"endless minutes":   {func(o *fleet.CreateOrder) { o.Minutes = 1 << 40 }, berth.InvalidInput},
		"label":             {func(o *fleet.CreateOrder) { o.Label = "two words" }, berth.InvalidInput},
		"long label":        {func(o *fleet.CreateOrder) { o.Label = strings.Repeat("x", 65) }, berth.InvalidInput},
		"unknown key":       {func(o *fleet.CreateOrder) { o.Keys = []berth.ID{"key_0123456789abcdef01234567"} }, berth.NotFound},
		"foreign key":       {func(o *fleet.CreateOrder) { o.Keys = []berth.ID{foreign.ID} }, berth.NotFound},
		"too many keys":     {func(o *fleet.CreateOrder) { o.Keys = manyKeys(21) }, berth.InvalidInput},
		"unknown snapshot":  {func(o *fleet.CreateOrder) { o.Snapshot = "snap_0123456789abcdef01234567" }, berth.NotFound},
		"pending snapshot":  {func(o *fleet.CreateOrder) { o.Snapshot = pending }, berth.Conflict},
		"huge user data":    {func(o *fleet.CreateOrder) { o.UserData = "#!" + strings.Repeat("x", 64<<10) }, berth.TooLarge},
		"odd user data":     {func(o *fleet.CreateOrder) { o.UserData = "hello" }, berth.InvalidInput},
		"data that is left": {func(o *fleet.CreateOrder) { o.UserData = "#!" + base64.StdEncoding.EncodeToString(noise) }, berth.InvalidInput},
	} {
		t.Run(name, func(t *testing.T) {
			o := s.order()
			c.alter(&o)
			_, _, err := s.create(o)
			wantCode(t, err, c.code)
		})
	}
	if s.balance() != before || s.cloud.Created() != machines {
		t.Errorf("a refusal cost %+v, was %+v", s.balance(), before)
	}

	s.mustEnd(taken.ID, fleet.ActionDone)
	o := s.order()
	o.Snapshot = pending
	_, _, err = s.create(o)
	wantCode(t, err, berth.SnapshotTooLarge)
	o.Size, o.Region = "large", "sfo3"
	_, _, err = s.create(o)
	wantCode(t, err, berth.InvalidInput)
	o.Owner = stranger
	_, _, err = s.create(o)
	wantCode(t, err, berth.NotFound)
	s.clock.Advance(73 * time.Hour)
	o.Owner, o.Region = s.owner, "nyc1"
	_, _, err = s.create(o)
	wantCode(t, err, berth.Conflict) // it has expired, though no scan came by
}

func TestServerLimit(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	s.owner.ServerLimit = 2
	s.write(func(tx fleet.Tx) error { return tx.UpdatePrincipal(bg, s.owner) })
	s.created(s.order())
	second := s.created(s.order())
	_, _, err := s.create(s.order())
	wantCode(t, err, berth.LimitReached)
	a, err := s.destroy(second.ID, false)
	if err != nil {
		t.Fatal(err)
	}
	s.mustEnd(a.ID, fleet.ActionDone)
	s.created(s.order())
}

// TestStateRefusals tries every order on a server in every state that forbids
// it: nothing is charged.
func TestStateRefusals(t *testing.T) {
	t.Parallel()
	orders := map[string]func(*sim, berth.ID) error{
		"on":       func(s *sim, id berth.ID) error { _, err := s.power(id, "on"); return err },
		"off":      func(s *sim, id berth.ID) error { _, err := s.power(id, "off"); return err },
		"reboot":   func(s *sim, id berth.ID) error { _, err := s.power(id, "reboot"); return err },
		"resize":   func(s *sim, id berth.ID) error { _, err := s.resize(id, "medium"); return err },
		"rebuild":  func(s *sim, id berth.ID) error { _, err := s.rebuild(id, "", ""); return err },
		"snapshot": func(s *sim, id berth.ID) error { _, err := s.snapshot(id); return err },
		"destroy":  func(s *sim, id berth.ID) error { _, err := s.destroy(id, true); return err },
		"extend":   func(s *sim, id berth.ID) error { return s.extend(id, 10) },
	}
	must := func(a fleet.Action, err error) fleet.Action {
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	for name, c := range map[string]struct {
		prepare func(*sim) berth.ID
		allowed string
	}{
		"provisioning": {func(s *sim) berth.ID {
			srv, a, err := s.create(s.order())
			must(a, err)
			return srv.ID
		}, "destroy extend"},
		"off": {func(s *sim) berth.ID {
			id := s.created(s.order()).ID
			s.mustEnd(must(s.power(id, "off")).ID, fleet.ActionDone)
			return id
		}, "on resize snapshot destroy extend"},
		"rebooting": {func(s *sim) berth.ID {
			id := s.created(s.order()).ID
			must(s.power(id, "reboot"))
			return id
		}, "extend"},
		"destroying": {func(s *sim) berth.ID {
			id := s.created(s.order()).ID
			must(s.destroy(id, true))
			return id
		}, ""},
		"destroyed": {func(s *sim) berth.ID {
			id := s.created(s.order()).ID
			s.mustEnd(must(s.destroy(id, false)).ID, fleet.ActionDone)
			return id
		}, ""},
		"ended": {func(s *sim) berth.ID {
			id := s.created(s.order()).ID
			s.clock.Advance(2 * time.Hour)
			return id
		}, "destroy"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSim(t)
			id := c.prepare(s)
			before := s.balance()
			for what, order := range orders {
				if strings.Contains(" "+c.allowed+" ", " "+what+" ") {
					continue
				}
				wantCode(t, order(s, id), berth.Conflict)
			}
			if s.balance() != before {
				t.Errorf("refusals cost %+v, was %+v", s.balance(), before)
			}
		})
	}
}

func TestOtherRefusals(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	o := s.order()
	o.Size = "medium"
	id := s.created(o).ID
	refused := func(code berth.Code, err error) {
		t.Helper()
		wantCode(t, err, code)
	}
	_, err := s.resize(id, "small")
	refused(berth.Conflict, err) // a disk can't shrink
	_, err = s.resize(id, "medium")
	refused(berth.Conflict, err)
	_, err = s.resize(id, "huge")
	refused(berth.UnknownSize, err)
	_, err = s.power(id, "explode")
	refused(berth.InvalidInput, err)
	_, err = s.rebuild(id, "templeos", "")
	refused(berth.UnknownImage, err)
	refused(berth.InvalidInput, s.extend(id, 0))
	refused(berth.InvalidInput, s.extend(id, 527_040)) // more than a year ahead
	srv := s.server(id)
	s.read(func(rx fleet.Rx) error {
		other := "#!/bin/sh\n"
		_, err := s.fleet.PlanRebuild(bg, rx, srv, fleet.Buyer{Principal: s.owner}, "", "", &other)
		refused(berth.InvalidInput, err)
		_, err = s.fleet.PlanSnapshot(bg, rx, srv, fleet.Buyer{Principal: s.owner}, strings.Repeat("x", 65), "")
		refused(berth.InvalidInput, err)
		return nil
	})
}

func TestKeys(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	line := newPublicKey(t)
	var k fleet.Key
	add := func(name, line string) error {
		return s.buy(s.owner, func(rx fleet.Rx) (billing.Price, error) {
			return s.fleet.PlanKey(bg, rx, fleet.Buyer{Principal: s.owner}, name, line)
		}, func(tx fleet.Tx, _ billing.Price, _ string) (berth.ID, error) {
			var err error
			k, err = s.fleet.AddKey(bg, tx, s.owner.ID, name, line)
			return k.ID, err
		})
	}
	if err := add("laptop", line+" me@laptop\n"); err != nil {
		t.Fatal(err)
	}
	if k.PublicKey != line || !strings.HasPrefix(k.Fingerprint, "SHA256:") {
		t.Errorf("key: %+v", k)
	}
	wantCode(t, add("again", line), berth.Conflict)
	wantCode(t, add("", newPublicKey(t)), berth.InvalidInput)
	wantCode(t, add(strings.Repeat("x", 65), newPublicKey(t)), berth.InvalidInput)

	o := s.order()
	o.Keys = []berth.ID{k.ID, k.ID}
	if srv := s.created(o); len(srv.Keys) != 1 {
		t.Errorf("a key that was named twice is installed as %v", srv.Keys)
	}
}

func TestParseKey(t *testing.T) {
	t.Parallel()
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Skip("this toolchain makes no short RSA keys: ", err)
	}
	good, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ed := newPublicKey(t)
	for name, c := range map[string]struct {
		line string
		ok   bool
	}{
		"ed25519":     {ed, true},
		"rsa 2048":    {authorized(t, &good.PublicKey), true},
		"ecdsa":       {authorized(t, &curve.PublicKey), true},
		"rsa 1024":    {authorized(t, &short.PublicKey), false},
		"empty":       {"", false},
		"words":       {"my public key", false},
		"two keys":    {ed + "\n" + ed, false},
		"options":     {`command="reboot" ` + ed, false},
		"private key": {"-----BEGIN OPENSSH PRIVATE KEY-----", false},
		"huge":        {ed + strings.Repeat("x", 9000), false},
	} {
		_, _, err := fleet.ParseKey(c.line)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil {
			wantCode(t, err, berth.InvalidInput)
		}
	}
}

func newPublicKey(t *testing.T) string {
	t.Helper()
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return authorized(t, public)
}

func authorized(t *testing.T, public any) string {
	t.Helper()
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}

func manyKeys(n int) (ids []berth.ID) {
	for range n {
		ids = append(ids, berth.NewID(berth.PrefixKey, epoch))
	}
	return ids
}
