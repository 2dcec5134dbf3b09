package digitalocean

import (
	"context"
	"net/netip"
	"strconv"
	"time"

	"github.com/digitalocean/godo"

	"berth/provider"
)

// The statuses of a droplet.
const (
	statusNew     = "new"
	statusActive  = "active"
	statusOff     = "off"
	statusArchive = "archive"
)

// Machine is the droplet with an id. Shortly after a create DigitalOcean may
// still say NotFound.
func (p *Provider) Machine(ctx context.Context, id string) (provider.Machine, error) {
	d, err := p.droplet(ctx, id)
	if err != nil {
		return provider.Machine{}, err
	}
	return p.machine(d), nil
}

// Machines are all droplets that bear a tag, read 200 at a time.
func (p *Provider) Machines(ctx context.Context, tag string) ([]provider.Machine, error) {
	all, err := p.droplets(ctx, tag)
	if err != nil {
		return nil, err
	}
	machines := make([]provider.Machine, len(all))
	for i := range all {
		machines[i] = p.machine(&all[i])
	}
	return machines, nil
}

// Delete ends a droplet. Its snapshots stay.
func (p *Provider) Delete(ctx context.Context, id string) error {
	n, err := strconv.Atoi(id)
	if err != nil {
		return nil // no droplet has such an id: it is gone
	}
	ctx = provider.DefaultPriority(ctx, provider.Customer)
	err = p.remove(ctx, "delete droplet", func(ctx context.Context) (*godo.Response, error) {
		return p.client.Droplets.Delete(ctx, n)
	})
	if err == nil {
		p.creates.deleted(n)
	}
	return err
}

func (p *Provider) droplet(ctx context.Context, id string) (*godo.Droplet, error) {
	n, err := dropletNumber(id)
	if err != nil {
		return nil, err
	}
	return p.dropletByID(ctx, n)
}

// dropletNumber is a droplet's id as DigitalOcean has it, or NotFound where no
// droplet has such an id.
func dropletNumber(id string) (int, error) {
	n, err := strconv.Atoi(id)
	if err != nil || n <= 0 {
		return 0, notFound(opGetDroplet, "droplet "+strconv.Quote(id))
	}
	return n, nil
}

const opGetDroplet = "get droplet"

func (p *Provider) dropletByID(ctx context.Context, id int) (d *godo.Droplet, err error) {
	err = p.read(ctx, opGetDroplet, func(ctx context.Context) (answer *godo.Response, err error) {
		d, answer, err = p.client.Droplets.Get(ctx, id)
		return answer, err
	})
	if err == nil && d == nil {
		err = &provider.Error{Kind: provider.Unavailable, Op: opGetDroplet, Message: "the answer holds no droplet"}
	}
	return d, err
}

func (p *Provider) droplets(ctx context.Context, tag string) ([]godo.Droplet, error) {
	return pages(ctx, p, "list droplets", func(ctx context.Context, page *godo.ListOptions) ([]godo.Droplet, *godo.Response, error) {
		return p.client.Droplets.ListByTag(ctx, tag, page)
	})
}

// machine is a droplet as the interface shows it.
func (p *Provider) machine(d *godo.Droplet) provider.Machine {
	m := provider.Machine{
		ID: strconv.Itoa(d.ID), Tags: d.Tags, Busy: d.Locked, SSHPort: p.sshPort,
		Size: d.SizeSlug, DiskGB: d.Disk,
	}
	for _, t := range d.Tags {
		if name(t) == d.Name {
			m.Tag = t
			break
		}
	}
	if d.Region != nil {
		m.Region = d.Region.Slug
	}
	// A droplet without networks has no address yet, which is no error.
	if text, err := d.PublicIPv4(); err == nil && text != "" {
		if m.Addr, err = netip.ParseAddr(text); err != nil {
			p.log.Warn("a droplet's address can't be read", "droplet", d.ID, "address", text)
		}
	}
	var err error
	if m.Created, err = time.Parse(time.RFC3339, d.Created); err != nil {
		p.log.Warn("a droplet's time of creation can't be read", "droplet", d.ID, "created", d.Created)
	}
	m.State = p.state(d, m.Addr)
	return m
}

func (p *Provider) state(d *godo.Droplet, addr netip.Addr) provider.State {
	switch d.Status {
	case statusActive:
		if !addr.IsValid() {
			return provider.Creating // active comes before the address, now and then
		}
		return provider.On
	case statusOff, statusArchive:
		return provider.Off
	case statusNew:
	default:
		p.log.Warn("a droplet has an unknown status", "droplet", d.ID, "status", d.Status)
	}
	return provider.Creating
}
