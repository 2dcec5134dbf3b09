package fleet

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"berth"
	"berth/account"
	"berth/billing"
)

// CreateOrder asks for a server.
type CreateOrder struct {
	Owner     account.Principal
	Contract  billing.Contract
	Pool      berth.ID // empty: the owner's own
	Label     string   // empty: one is made from the server's id
	Size      string
	Region    string
	Image     string       // empty: the catalog's default; with Snapshot it has no effect
	Period    Period       // empty: Minute
	Minutes   int          // for the period Minute
	Days      int          // for the period Day: an offered duration
	Deposit   berth.Micros // for the period Deposit; zero: what the price list says
	Keys      []berth.ID   // duplicates count once
	AllKeys   bool         // also all others that the owner has registered
	Snapshot  berth.ID     // restore from it
	UserData  string       // cloud-init data, run as root on first boot
	CloudInit CloudInit    // or this, in place of it
	Forwards  []Forward    // which ports lead to which
	AutoRenew bool
	Count     int // how many servers of this kind are ordered at once; zero: one
}

// parts are the things that an order names.
type parts struct {
	size     billing.Size
	region   billing.Region
	image    string // the catalog's slug
	snapshot Snapshot
	keys     []Key
	userData string
}

// PlanCreate tells whether the order can be carried out, whole, and what it costs
// in all.
// Errors are *berth.Error: InvalidInput, UnknownSize, UnknownRegion,
// UnknownImage, SnapshotTooLarge, OutOfCapacity, LimitReached, Conflict,
// NotFound, TooLarge.
func (f *Fleet) PlanCreate(ctx context.Context, rx Rx, o CreateOrder) (billing.Price, error) {
	p, err := f.resolve(ctx, rx, o)
	if err != nil {
		return billing.Price{}, err
	}
	price, err := f.createPrice(o)
	if err != nil {
		return billing.Price{}, err
	}
	if err := f.checkBoot(ctx, rx, o, p); err != nil {
		return billing.Price{}, err
	}
	if err := f.checkCapacity(f.prices(o.Contract), p.size, p.region, o.Owner.Tariff); err != nil {
		return billing.Price{}, err
	}
	if err := f.checkRoom(o.count()); err != nil {
		return billing.Price{}, err
	}
	return times(price, o.count()), f.checkServerLimit(ctx, rx, o)
}

// resolve finds what an order names.
func (f *Fleet) resolve(ctx context.Context, rx Rx, o CreateOrder) (p parts, err error) {
	if err := f.checkNames(o); err != nil {
		return parts{}, err
	}
	if p.userData, err = o.userData(); err != nil {
		return parts{}, err
	}
	list := f.prices(o.Contract)
	if p.size, err = list.Size(o.Size); err != nil {
		return parts{}, err
	}
	if p.region, err = list.Region(o.Region); err != nil {
		return parts{}, err
	}
	if o.Snapshot == "" {
		image, err := list.Image(o.Image)
		if err != nil {
			return parts{}, err
		}
		p.image = image.Slug
	} else {
		if p.snapshot, err = f.checkRestorable(ctx, rx, list, o.Owner.ID, o.Snapshot, p.region.Slug, p.size); err != nil {
			return parts{}, err
		}
		p.image = p.snapshot.Image
	}
	p.keys, err = f.orderedKeys(ctx, rx, o)
	return p, err
}

// orderedKeys are the keys that an order names, each once.
func (f *Fleet) orderedKeys(ctx context.Context, rx Rx, o CreateOrder) ([]Key, error) {
	ids := o.Keys
	if o.AllKeys {
		all, err := rx.Keys(ctx, o.Owner.ID)
		if err != nil {
			return nil, fmt.Errorf("list the keys of %s: %w", o.Owner.ID, err)
		}
		ids = append(slices.Clone(ids), keyIDs(all)...)
	}
	ids = unique(ids)
	if most := f.Catalog.Limits.KeysPerServer; len(ids) > most {
		return nil, invalid("ssh_key_ids", "%d keys are more than the %d that a server can have", len(ids), most)
	}
	return ownKeys(ctx, rx, o.Owner.ID, ids)
}

// keyIDs are the ids of keys.
func keyIDs(keys []Key) []berth.ID {
	var ids []berth.ID
	for _, k := range keys {
		ids = append(ids, k.ID)
	}
	return ids
}

// ownKeys are the owner's keys with those ids.
func ownKeys(ctx context.Context, rx Rx, owner berth.ID, ids []berth.ID) ([]Key, error) {
	var keys []Key
	for _, id := range ids {
		k, err := rx.Key(ctx, id)
		foreign := err == nil && k.Owner != owner
		if foreign || isNotFound(err) {
			return nil, missing("SSH key", id, foreign)
		}
		if err != nil {
			return nil, fmt.Errorf("read key %s: %w", id, err)
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// unique is ids without repetitions, in their order.
func unique(ids []berth.ID) []berth.ID {
	out := make([]berth.ID, 0, len(ids))
	for _, id := range ids {
		if !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

// checkServerLimit refuses more servers than the principal may have.
func (f *Fleet) checkServerLimit(ctx context.Context, rx Rx, o CreateOrder) error {
	limit := cmp.Or(o.Owner.ServerLimit, f.prices(o.Contract).Servers)
	n, err := rx.CountServers(ctx, o.Owner.ID, o.Contract)
	if err != nil {
		return fmt.Errorf("count servers: %w", err)
	}
	if n+o.count() <= limit {
		return nil
	}
	e := berth.Errorf(berth.LimitReached, "%d servers are live, and %d is the limit", n, limit)
	if o.count() > 1 {
		e = berth.Errorf(berth.LimitReached, "%d servers are live, and with %d more they are beyond the limit of %d", n, o.count(), limit)
	}
	return e.Hinted("Destroy one first, or ask the operator to raise the limit.")
}
