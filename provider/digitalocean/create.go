package digitalocean

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/digitalocean/godo"

	"berth/provider"
)

const opCreate = "create droplet"

// Create makes the droplet that bears spec.Tag, as the interface says.
//
// It looks for the tag, unless the caller knows that it was never asked for, and
// then sends one request. When that gets no clear answer
// it looks for the tag for up to fifteen seconds and then returns an error of
// kind Ambiguous. Called again within two minutes it only looks.
func (p *Provider) Create(ctx context.Context, spec provider.Spec) (provider.Machine, error) {
	if spec.Tag == "" || len(spec.UserData) > provider.MaxUserData {
		return provider.Machine{}, &provider.Error{
			Kind: provider.Invalid, Op: opCreate, Message: "a tag is needed, and no more than 64 KiB of user data",
		}
	}
	ctx = provider.DefaultPriority(ctx, provider.Customer)
	a, leave, err := p.creates.enter(ctx, spec.Tag)
	if err != nil {
		return provider.Machine{}, err
	}
	defer leave()
	id, recent := p.creates.recent(a)
	if spec.First && !recent {
		return p.create(ctx, spec, a)
	}
	m, found, err := p.tagged(ctx, spec.Tag)
	switch {
	case found:
		return m, nil
	case recent: // also where looking failed: the machine stays in doubt
		return p.recentlyCreated(ctx, spec.Tag, id)
	case err != nil:
		return provider.Machine{}, err
	}
	return p.create(ctx, spec, a)
}

// create sends the request.
func (p *Provider) create(ctx context.Context, spec provider.Spec, a *attempt) (provider.Machine, error) {
	keys, err := p.sshKeys(ctx)
	if err != nil {
		return provider.Machine{}, err
	}
	body := &godo.DropletCreateRequest{
		Name: name(spec.Tag), Region: spec.Region, Size: spec.Size, Image: image(spec.Image),
		SSHKeys: keys, UserData: string(spec.UserData), Tags: append([]string{spec.Tag}, spec.Tags...),
	}
	var made *godo.Droplet
	p.creates.note(a, 0)
	err = p.once(ctx, opCreate, func(ctx context.Context) (answer *godo.Response, err error) {
		made, answer, err = p.client.Droplets.Create(ctx, body)
		if err == nil && (made == nil || made.ID == 0) {
			err = errors.New("the answer names no droplet")
		}
		return answer, err
	})
	switch provider.KindOf(err) {
	case "":
		p.creates.note(a, made.ID)
		return p.machine(made), nil
	case provider.Ambiguous:
		p.creates.note(a, 0) // the time to wait runs from now
		p.log.Warn("a create got no clear answer, its droplet is looked for", "tag", spec.Tag, "error", err)
		return p.lookFor(ctx, spec.Tag, err)
	}
	p.creates.clear(a)
	if provider.KindOf(err) == provider.Invalid && strings.Contains(strings.ToLower(err.Error()), "ssh key") {
		p.forgetKey(ctx)
	}
	if e, ok := errors.AsType[*provider.Error](err); ok && e.Kind == provider.OutOfCapacity {
		e.Available = p.regionsWith(ctx, spec.Size, spec.Region)
	}
	return provider.Machine{}, err
}

// recentlyCreated finds the droplet of a create that was sent a short time
// ago and that is in no list yet.
func (p *Provider) recentlyCreated(ctx context.Context, tag string, id int) (provider.Machine, error) {
	if id != 0 {
		if m, err := p.Machine(ctx, strconv.Itoa(id)); err == nil {
			return m, nil
		}
	}
	return p.lookFor(ctx, tag, &provider.Error{
		Kind: provider.Ambiguous, Op: opCreate, Message: "a create was sent a short time ago and its droplet is not to be seen",
	})
}

// lookPauses are the pauses between looks for a droplet that may exist.
var lookPauses = [...]time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second}

// lookFor looks for a droplet by its tag some times. Where it does not show,
// the error is doubt.
func (p *Provider) lookFor(ctx context.Context, tag string, doubt error) (provider.Machine, error) {
	for _, pause := range lookPauses {
		if sleep(ctx, pause) != nil {
			break
		}
		m, found, err := p.tagged(ctx, tag)
		if found {
			return m, nil
		}
		if err != nil {
			p.log.Warn("could not look for a droplet", "tag", tag, "error", err)
		}
	}
	return provider.Machine{}, doubt
}

// tagged is the droplet that bears a machine's own tag. Of several, which
// should not be, it is the oldest.
func (p *Provider) tagged(ctx context.Context, tag string) (m provider.Machine, found bool, err error) {
	all, err := p.droplets(ctx, tag)
	if err != nil || len(all) == 0 {
		return provider.Machine{}, false, err
	}
	if len(all) > 1 {
		p.log.Error("several droplets bear one machine's tag", "tag", tag, "droplets", len(all))
	}
	oldest := slices.MinFunc(all, func(a, b godo.Droplet) int { return cmp.Compare(a.ID, b.ID) })
	return p.machine(&oldest), true, nil
}

// name is the droplet's name for a tag: names may not have all that tags may.
func name(tag string) string {
	return strings.NewReplacer("_", "-", ":", "-").Replace(tag)
}

// image is an image's slug, or a snapshot's id.
func image(s string) godo.DropletCreateImage {
	if id, err := strconv.Atoi(s); err == nil {
		return godo.DropletCreateImage{ID: id}
	}
	return godo.DropletCreateImage{Slug: s}
}
