package storage

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"time"

	"berth"
	"berth/billing"
	"berth/fleet"
	"berth/provider"
	"berth/storage/db"
)

// maxPage is the bound of the fleet's filters.
const maxPage = 200

// Server implements fleet.Rx.
func (rx *Rx) Server(ctx context.Context, id berth.ID) (fleet.Server, error) {
	row, err := byID(ctx, rx, string(id), rx.q.Server)
	return one(row, err, toServer, "no such server: %s", id)
}

// Servers implements fleet.Rx.
func (rx *Rx) Servers(ctx context.Context, owner berth.ID, q fleet.ServerFilter) ([]fleet.Server, error) {
	most, err := limit(q.Limit, maxPage)
	if err != nil {
		return nil, err
	}
	p := db.ServersParams{Owner: string(owner), Contract: string(q.Contract), After: string(q.After), Max: most}
	var rows []db.Server
	switch {
	case q.All:
		rows, err = rx.q.Servers(ctx, p)
	case q.Failed:
		rows, err = rx.q.ServersLeft(ctx, db.ServersLeftParams(p))
	default:
		rows, err = rx.q.ServersOwnedLive(ctx, db.ServersOwnedLiveParams(p))
	}
	return all(rows, err, toServer)
}

// PoolServers implements fleet.Rx.
func (rx *Rx) PoolServers(ctx context.Context, pool berth.ID, q fleet.ServerFilter) ([]fleet.Server, error) {
	most, err := limit(q.Limit, maxPage)
	if err != nil {
		return nil, err
	}
	rows, err := rx.q.PoolServers(ctx, db.PoolServersParams{
		Pool: string(pool), Contract: string(q.Contract), After: string(q.After), Max: most,
	})
	return all(rows, err, toServer)
}

// CountPoolServers implements fleet.Rx.
func (rx *Rx) CountPoolServers(ctx context.Context, pool berth.ID, contract billing.Contract) (int, error) {
	n, err := rx.q.CountPoolServers(ctx, db.CountPoolServersParams{Pool: string(pool), Contract: string(contract)})
	return int(n), err
}

// CountServers implements fleet.Rx.
func (rx *Rx) CountServers(ctx context.Context, owner berth.ID, contract billing.Contract) (int, error) {
	n, err := rx.q.CountServers(ctx, db.CountServersParams{Owner: string(owner), Contract: string(contract)})
	return int(n), err
}

// LiveServers implements fleet.Rx.
func (rx *Rx) LiveServers(ctx context.Context, after berth.ID, n int) ([]fleet.Server, error) {
	most, err := limit(n, maxList)
	if err != nil {
		return nil, err
	}
	rows, err := rx.q.LiveServers(ctx, db.LiveServersParams{After: string(after), Max: most})
	return all(rows, err, toServer)
}

// DueServers implements fleet.Rx.
func (rx *Rx) DueServers(ctx context.Context, now time.Time, n int) ([]fleet.Server, error) {
	most, err := limit(n, maxList)
	if err != nil {
		return nil, err
	}
	rows, err := rx.q.DueServers(ctx, db.DueServersParams{Now: toMicros(now), Max: most})
	return all(rows, err, toServer)
}

// RevivableServers implements fleet.Rx.
func (rx *Rx) RevivableServers(ctx context.Context, now time.Time, after berth.ID, n int) ([]fleet.Server, error) {
	most, err := limit(n, maxList)
	if err != nil {
		return nil, err
	}
	rows, err := rx.q.RevivableServers(ctx, db.RevivableServersParams{Now: toMicros(now), After: string(after), Max: most})
	return all(rows, err, toServer)
}

// InsertServer implements fleet.Tx.
func (tx *Tx) InsertServer(ctx context.Context, s fleet.Server) error {
	row, err := fromServer(s)
	if err != nil {
		return err
	}
	err = tx.q.InsertServer(ctx, db.InsertServerParams(row))
	return conflict(err, "there is a server %s already", s.ID)
}

// UpdateServer implements fleet.Tx.
func (tx *Tx) UpdateServer(ctx context.Context, s fleet.Server) error {
	row, err := fromServer(s)
	if err != nil {
		return err
	}
	n, err := tx.q.UpdateServer(ctx, db.UpdateServerParams(row))
	return changed(n, err, "no such server: %s", s.ID)
}

func fromServer(s fleet.Server) (db.Server, error) {
	keys, err := toText(s.Keys)
	if err != nil {
		return db.Server{}, fmt.Errorf("storage: keys of server %s: %w", s.ID, err)
	}
	forwards, err := toText(s.Forwards)
	if err != nil {
		return db.Server{}, fmt.Errorf("storage: forwards of server %s: %w", s.ID, err)
	}
	addr := ""
	if s.Addr.IsValid() {
		addr = s.Addr.String()
	}
	return db.Server{
		ID:          string(s.ID),
		Owner:       string(s.Owner),
		Label:       s.Label,
		Status:      string(s.Status),
		Region:      s.Region,
		Size:        s.Size,
		Image:       s.Image,
		Snapshot:    string(s.Snapshot),
		Keys:        keys,
		Rate:        int64(s.Lease.Rate),
		PaidUntil:   toMicros(s.Lease.PaidUntil),
		Period:      string(s.Lease.Period),
		Renews:      s.Lease.Renews,
		Renewal:     s.Lease.Renewal.Microseconds(),
		Refundable:  s.Lease.Refundable,
		Bought:      s.Lease.Bought.Microseconds(),
		DueAt:       toMicros(s.DueAt),
		Charge:      s.Charge,
		Price:       int64(s.Price),
		MachineID:   s.MachineID,
		Addr:        addr,
		SshPort:     int64(s.SSHPort),
		HostKey:     s.HostKey,
		Secrets:     toBlob(s.Secrets),
		CustomBoot:  s.CustomBoot,
		Reason:      s.Reason,
		Created:     toMicros(s.Created),
		Delivered:   toMicros(s.Delivered),
		Ended:       toMicros(s.Ended),
		Deposit:     int64(s.Lease.Deposit),
		Metered:     int64(s.Lease.Metered),
		MeteredFrom: toMicros(s.Lease.MeteredFrom),
		GraceUntil:  toMicros(s.Lease.GraceUntil),
		Contract:    string(cmp.Or(s.Contract, billing.Native)),
		Pool:        string(s.Pool),
		DiskGb:      int64(s.DiskGB),
		Forwards:    forwards,
	}, nil
}

func toServer(r db.Server) (fleet.Server, error) {
	keys, err := fromText[berth.ID](r.Keys)
	if err != nil {
		return fleet.Server{}, fmt.Errorf("storage: keys of server %s: %w", r.ID, err)
	}
	forwards, err := fromText[provider.Forward](r.Forwards)
	if err != nil {
		return fleet.Server{}, fmt.Errorf("storage: forwards of server %s: %w", r.ID, err)
	}
	var addr netip.Addr
	if r.Addr != "" {
		if addr, err = netip.ParseAddr(r.Addr); err != nil {
			return fleet.Server{}, fmt.Errorf("storage: address of server %s: %w", r.ID, err)
		}
	}
	return fleet.Server{
		ID:         berth.ID(r.ID),
		Owner:      berth.ID(r.Owner),
		Label:      r.Label,
		Status:     fleet.Status(r.Status),
		Region:     r.Region,
		Size:       r.Size,
		Image:      r.Image,
		Snapshot:   berth.ID(r.Snapshot),
		Keys:       keys,
		Lease:      toLease(r),
		DueAt:      fromMicros(r.DueAt),
		Charge:     r.Charge,
		Price:      berth.Micros(r.Price),
		MachineID:  r.MachineID,
		Addr:       addr,
		SSHPort:    int(r.SshPort),
		HostKey:    r.HostKey,
		Secrets:    fromBlob(r.Secrets),
		CustomBoot: r.CustomBoot,
		Reason:     r.Reason,
		Created:    fromMicros(r.Created),
		Delivered:  fromMicros(r.Delivered),
		Ended:      fromMicros(r.Ended),
		Contract:   billing.Contract(r.Contract),
		Pool:       berth.ID(r.Pool),
		DiskGB:     int(r.DiskGb),
		Forwards:   forwards,
	}, nil
}

func toLease(r db.Server) fleet.Lease {
	return fleet.Lease{
		Rate:        berth.Micros(r.Rate),
		PaidUntil:   fromMicros(r.PaidUntil),
		Period:      fleet.Period(r.Period),
		Renews:      r.Renews,
		Renewal:     fromDuration(r.Renewal),
		Refundable:  r.Refundable,
		Bought:      fromDuration(r.Bought),
		Deposit:     berth.Micros(r.Deposit),
		Metered:     berth.Micros(r.Metered),
		MeteredFrom: fromMicros(r.MeteredFrom),
		GraceUntil:  fromMicros(r.GraceUntil),
	}
}
