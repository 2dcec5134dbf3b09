package storagetest

import (
	"berth"
	"berth/fleet"
	"berth/ops"
)

func keys(s suite) {
	ctx := s.Context()
	owner, other := s.principal("a@example.com"), s.principal("b@example.com")
	k := fleet.Key{
		ID: newID(berth.PrefixKey, 1), Owner: owner, Name: "laptop", PublicKey: "ssh-ed25519 AAAA",
		Fingerprint: "SHA256:abc", Created: at(1),
	}
	filled(s, k)
	newer := fleet.Key{ID: newID(berth.PrefixKey, 2), Owner: owner, Fingerprint: "SHA256:def", Created: at(2)}
	foreign := fleet.Key{ID: newID(berth.PrefixKey, 3), Owner: other, Fingerprint: k.Fingerprint, Created: at(3)}
	get := func(rx ops.Rx) (fleet.Key, error) { return rx.Key(ctx, k.ID) }
	absent(s, get, "no such key: "+string(k.ID))
	for _, each := range []fleet.Key{k, newer, foreign} {
		s.write(func(tx ops.Tx) error { return tx.InsertKey(ctx, each) })
	}
	fetch(s, "key", k, get)
	fetch(s, "of the owner", []fleet.Key{newer, k}, func(rx ops.Rx) ([]fleet.Key, error) { return rx.Keys(ctx, owner) })

	twin := k
	twin.ID = newID(berth.PrefixKey, 4)
	s.refuses(berth.Conflict, func(tx ops.Tx) error { return tx.InsertKey(ctx, twin) }, k.Fingerprint)
	s.write(func(tx ops.Tx) error { return tx.DeleteKey(ctx, k.ID) })
	absent(s, get)
	s.refuses(berth.NotFound, func(tx ops.Tx) error { return tx.DeleteKey(ctx, k.ID) }, string(k.ID))
	s.write(func(tx ops.Tx) error { return tx.InsertKey(ctx, twin) })
}
