package storagetest

import (
	"berth"
	"berth/account"
	"berth/ops"
)

func principals(s suite) {
	ctx := s.Context()
	p := account.Principal{
		ID:          newID(berth.PrefixAccount, 1),
		Kind:        account.Email,
		Email:       "ada@example.com",
		Tariff:      account.Retail,
		Budget:      account.Budget{Total: 7 * berth.Dollar, PerCall: 3},
		ServerLimit: 5,
		Suspended:   true,
		Created:     at(1),
		Username:    "Ada-L",
		Alias:       "Ada Lovelace",
		TokensFrom:  at(2),
	}
	filled(s, p)
	local := account.Principal{ID: newID(berth.PrefixAccount, 2), Kind: account.Local, Tariff: account.Cost, Created: at(2)}
	// Accounts without an e-mail don't collide.
	bare := account.Principal{ID: newID(berth.PrefixAccount, 3), Kind: account.Email, Tariff: account.Cost, Created: at(3)}

	byID := func(rx ops.Rx) (account.Principal, error) { return rx.Principal(ctx, p.ID) }
	byEmail := func(rx ops.Rx) (account.Principal, error) { return rx.PrincipalByEmail(ctx, p.Email) }
	theLocal := func(rx ops.Rx) (account.Principal, error) { return rx.LocalPrincipal(ctx) }
	absent(s, byID, "no such account", string(p.ID))
	absent(s, byEmail, p.Email)
	absent(s, theLocal)
	absent(s, func(rx ops.Rx) (account.Principal, error) { return rx.PrincipalByEmail(ctx, "") })

	for _, each := range []account.Principal{p, local, bare} {
		s.write(func(tx ops.Tx) error { return tx.InsertPrincipal(ctx, each) })
	}
	fetch(s, "by id", p, byID)
	fetch(s, "by e-mail", p, byEmail)
	fetch(s, "local", local, theLocal)
	fetch(s, "by username", p, func(rx ops.Rx) (account.Principal, error) { return rx.PrincipalByUsername(ctx, "aDa-l") })
	absent(s, func(rx ops.Rx) (account.Principal, error) { return rx.PrincipalByUsername(ctx, "") })
	absent(s, func(rx ops.Rx) (account.Principal, error) { return rx.PrincipalByEmail(ctx, "") })

	for _, page := range []struct {
		after berth.ID
		limit int
		want  []account.Principal
	}{
		{"", 10, []account.Principal{p, local, bare}},
		{"", 2, []account.Principal{p, local}},
		{local.ID, 2, []account.Principal{bare}},
		{bare.ID, 2, []account.Principal{}},
	} {
		fetch(s, "page", page.want, func(rx ops.Rx) ([]account.Principal, error) {
			return rx.Principals(ctx, page.after, page.limit)
		})
	}

	twin := account.Principal{ID: newID(berth.PrefixAccount, 4), Kind: account.Email, Email: p.Email, Tariff: account.Cost}
	s.refuses(berth.Conflict, func(tx ops.Tx) error { return tx.InsertPrincipal(ctx, twin) }, p.Email)
	namesake := account.Principal{ID: twin.ID, Kind: account.Email, Email: "n@example.com", Tariff: account.Cost, Username: "ada-L"}
	s.refuses(berth.Conflict, func(tx ops.Tx) error { return tx.InsertPrincipal(ctx, namesake) }, "username", namesake.Username)
	local.ID = twin.ID
	s.refuses(berth.Conflict, func(tx ops.Tx) error { return tx.InsertPrincipal(ctx, local) }, "local")
	bare.Email = p.Email
	s.refuses(berth.Conflict, func(tx ops.Tx) error { return tx.UpdatePrincipal(ctx, bare) }, p.Email)
	s.refuses(berth.NotFound, func(tx ops.Tx) error {
		return tx.UpdatePrincipal(ctx, account.Principal{
			ID: twin.ID, Kind: account.Email, Tariff: account.Cost,
		})
	}, string(twin.ID))

	p = account.Principal{ID: p.ID, Kind: account.Email, Email: "lovelace@example.com", Tariff: account.Cost, Created: at(9)}
	s.write(func(tx ops.Tx) error { return tx.UpdatePrincipal(ctx, p) })
	fetch(s, "updated", p, byID)

	s.write(func(tx ops.Tx) error { return tx.LockPrincipal(ctx, p.ID) })
	fetch(s, "locked", p, byID)
	s.refuses(berth.NotFound, func(tx ops.Tx) error { return tx.LockPrincipal(ctx, twin.ID) }, string(twin.ID))
}

func apiKeys(s suite) {
	ctx := s.Context()
	owner, other := s.principal("a@example.com"), s.principal("b@example.com")
	k := account.APIKey{
		ID:        newID(berth.PrefixAPIKey, 1),
		Principal: owner,
		Name:      "laptop",
		Hash:      []byte{0, 1, 255},
		Budget:    account.Budget{Total: 5, PerCall: 4},
		Created:   at(1),
		Revoked:   at(2),
	}
	filled(s, k)
	newer := account.APIKey{ID: newID(berth.PrefixAPIKey, 3), Principal: owner, Name: "ci", Hash: []byte{1}, Created: at(3)}
	foreign := account.APIKey{ID: newID(berth.PrefixAPIKey, 4), Principal: other, Hash: []byte{2}, Created: at(4)}
	byID := func(rx ops.Rx) (account.APIKey, error) { return rx.APIKey(ctx, k.ID) }
	absent(s, byID, string(k.ID))

	for _, each := range []account.APIKey{k, newer, foreign} {
		s.write(func(tx ops.Tx) error { return tx.InsertAPIKey(ctx, each) })
	}
	fetch(s, "by id", k, byID)
	fetch(s, "of the owner", []account.APIKey{newer, k}, func(rx ops.Rx) ([]account.APIKey, error) {
		return rx.APIKeys(ctx, owner)
	})
	s.refuses(berth.Conflict, func(tx ops.Tx) error { return tx.InsertAPIKey(ctx, k) })

	k = account.APIKey{ID: k.ID, Principal: other, Name: "renamed", Hash: []byte{9}, Created: at(5)}
	s.write(func(tx ops.Tx) error { return tx.UpdateAPIKey(ctx, k) })
	fetch(s, "updated", k, byID)
	k.ID = newID(berth.PrefixAPIKey, 9)
	s.refuses(berth.NotFound, func(tx ops.Tx) error { return tx.UpdateAPIKey(ctx, k) }, string(k.ID))
}

func managedKeys(s suite) {
	ctx := s.Context()
	k := account.ManagedKey{Principal: s.principal("a@example.com"), PublicKey: "ssh-ed25519 AAAA", Sealed: []byte("sealed\x00")}
	filled(s, k)
	get := func(rx ops.Rx) (account.ManagedKey, error) { return rx.ManagedKey(ctx, k.Principal) }
	absent(s, get, string(k.Principal))
	s.write(func(tx ops.Tx) error { return tx.InsertManagedKey(ctx, k) })
	fetch(s, "managed key", k, get)
	s.refuses(berth.Conflict, func(tx ops.Tx) error { return tx.InsertManagedKey(ctx, k) })
}
