package digitalocean

import (
	"context"
	"math"
	"strings"
	"time"

	"github.com/digitalocean/godo"

	"berth/provider"
)

// Snapshot is the finished snapshot with a name. One under way is NotFound.
func (p *Provider) Snapshot(ctx context.Context, name string) (provider.Snapshot, error) {
	found, err := p.Snapshots(ctx, name)
	if err != nil {
		return provider.Snapshot{}, err
	}
	for _, s := range found {
		if s.Name == name {
			return s, nil
		}
	}
	return provider.Snapshot{}, notFound("find snapshot", "finished snapshot of that name")
}

// Snapshots are the finished snapshots whose name begins with prefix.
// DigitalOcean can't search by name: all the account's are read, once for all
// who want to see them at the time.
func (p *Provider) Snapshots(ctx context.Context, prefix string) ([]provider.Snapshot, error) {
	all, err := p.snapshots.get(ctx, struct{}{})
	if err != nil {
		return nil, err
	}
	var found []provider.Snapshot
	for _, s := range all {
		if strings.HasPrefix(s.Name, prefix) {
			found = append(found, p.snapshot(s))
		}
	}
	return found, nil
}

// DeleteSnapshot removes a snapshot by its id.
func (p *Provider) DeleteSnapshot(ctx context.Context, id string) error {
	if id == "" || strings.Trim(id, "0123456789") != "" {
		return nil // no snapshot of a droplet has such an id: it is gone
	}
	ctx = provider.DefaultPriority(ctx, provider.Customer)
	return p.remove(ctx, "delete snapshot", func(ctx context.Context) (*godo.Response, error) {
		return p.client.Snapshots.Delete(ctx, id)
	})
}

// gigabyte is DigitalOcean's, by which it charges.
const gigabyte = 1e9

func (p *Provider) snapshot(s godo.Snapshot) provider.Snapshot {
	created, err := time.Parse(time.RFC3339, s.Created)
	if err != nil {
		p.log.Warn("a snapshot's time of creation can't be read", "snapshot", s.ID, "created", s.Created)
	}
	return provider.Snapshot{
		ID: s.ID, Name: s.Name, Bytes: int64(math.Ceil(s.SizeGigaBytes * gigabyte)),
		MinDiskGB: s.MinDiskSize, Regions: s.Regions, Created: created,
	}
}
