package digitalocean

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/digitalocean/godo"

	"berth/provider"
)

// A Ref is "action:<action's id>", or "off:<droplet's id>:<Unix time when it
// was asked to shut down>".
const (
	refAction = "action"
	refOff    = "off"
)

// shutdownTime is how long a droplet may take to shut down by itself before
// its power is cut.
const shutdownTime = time.Minute

// SetPower turns a droplet on, or asks its system to shut down. Check cuts the
// power of one that is still on a minute later.
func (p *Provider) SetPower(ctx context.Context, id string, on bool) (provider.Ref, error) {
	ctx = provider.DefaultPriority(ctx, provider.Customer)
	d, err := p.droplet(ctx, id)
	if err != nil {
		return "", err
	}
	wanted, op := statusOff, "shut down droplet"
	if on {
		wanted, op = statusActive, "turn droplet on"
	}
	// A locked droplet may be about to leave the state that it still shows.
	if d.Status == wanted && !d.Locked {
		return "", nil
	}
	if on {
		return p.act(ctx, op, func(ctx context.Context) (*godo.Action, *godo.Response, error) {
			return p.client.DropletActions.PowerOn(ctx, d.ID)
		})
	}
	_, err = p.act(ctx, op, func(ctx context.Context) (*godo.Action, *godo.Response, error) {
		return p.client.DropletActions.Shutdown(ctx, d.ID)
	})
	if err != nil {
		return "", err
	}
	return offRef(d.ID, p.now()), nil
}

// Restart asks a droplet's system to reboot. One that is off is Invalid.
func (p *Provider) Restart(ctx context.Context, id string) (provider.Ref, error) {
	ctx = provider.DefaultPriority(ctx, provider.Customer)
	n, err := dropletNumber(id)
	if err != nil {
		return "", err
	}
	return p.act(ctx, "reboot droplet", func(ctx context.Context) (*godo.Action, *godo.Response, error) {
		return p.client.DropletActions.Reboot(ctx, n)
	})
}

// SetSize resizes a droplet that is off, with its disk or without. A disk can
// only grow. One that is on is Invalid.
func (p *Provider) SetSize(ctx context.Context, id, size string, disk bool) (provider.Ref, error) {
	ctx = provider.DefaultPriority(ctx, provider.Customer)
	d, err := p.droplet(ctx, id)
	if err != nil || d.SizeSlug == size && !d.Locked {
		return "", err
	}
	return p.act(ctx, "resize droplet", func(ctx context.Context) (*godo.Action, *godo.Response, error) {
		return p.client.DropletActions.Resize(ctx, d.ID, size, disk)
	})
}

// SetImage rebuilds a droplet. It is never as wanted already: the same image
// means a fresh disk. First-boot data runs again, except from a snapshot of
// this very droplet, which has it behind itself.
func (p *Provider) SetImage(ctx context.Context, id, from string) (provider.Ref, error) {
	ctx = provider.DefaultPriority(ctx, provider.Customer)
	n, err := dropletNumber(id)
	if err != nil {
		return "", err
	}
	return p.act(ctx, "rebuild droplet", func(ctx context.Context) (*godo.Action, *godo.Response, error) {
		if i := image(from); i.Slug == "" {
			return p.client.DropletActions.RebuildByImageID(ctx, n, i.ID)
		}
		return p.client.DropletActions.RebuildByImageSlug(ctx, n, from)
	})
}

// TakeSnapshot starts a snapshot. Where one of that name is finished, there is
// nothing left to do; while one is under way the answer is Conflict.
func (p *Provider) TakeSnapshot(ctx context.Context, id, name string) (provider.Ref, error) {
	ctx = provider.DefaultPriority(ctx, provider.Customer)
	n, err := dropletNumber(id)
	if err != nil {
		return "", err
	}
	_, err = p.Snapshot(ctx, name)
	if err == nil {
		return "", nil
	}
	if provider.KindOf(err) != provider.NotFound {
		return "", err
	}
	return p.act(ctx, "take snapshot", func(ctx context.Context) (*godo.Action, *godo.Response, error) {
		return p.client.DropletActions.Snapshot(ctx, n, name)
	})
}

// act starts an action and refers to it.
func (p *Provider) act(ctx context.Context, op string, start func(context.Context) (*godo.Action, *godo.Response, error)) (provider.Ref, error) {
	var action *godo.Action
	err := p.once(ctx, op, func(ctx context.Context) (answer *godo.Response, err error) {
		action, answer, err = start(ctx)
		if err == nil && (action == nil || action.ID == 0) {
			err = errors.New("the answer names no action")
		}
		return answer, err
	})
	if err != nil {
		return "", err
	}
	return provider.Ref(refAction + ":" + strconv.Itoa(action.ID)), nil
}

// Check looks at work under way. For a droplet that was asked to shut down a
// minute ago and is still on, it also cuts the power. Looks at many works at
// the same time share their requests.
func (p *Provider) Check(ctx context.Context, ref provider.Ref) (provider.Progress, error) {
	kind, rest, _ := strings.Cut(string(ref), ":")
	switch kind {
	case "":
		return provider.Done, nil
	case refAction:
		if id, err := strconv.Atoi(rest); err == nil && id > 0 {
			return p.checkAction(ctx, id)
		}
	case refOff:
		droplet, since, _ := strings.Cut(rest, ":")
		id, err := strconv.Atoi(droplet)
		seconds, wrong := strconv.ParseInt(since, 10, 64)
		if err == nil && wrong == nil && id > 0 {
			return p.checkOff(ctx, id, time.Unix(seconds, 0))
		}
	}
	return "", notFound("check", fmt.Sprintf("work %.100q", ref))
}

func offRef(id int, asked time.Time) provider.Ref {
	return provider.Ref(fmt.Sprintf("%s:%d:%d", refOff, id, asked.Unix()))
}

const opCheck = "get action"

func (p *Provider) action(ctx context.Context, id int) (action *godo.Action, err error) {
	err = p.read(ctx, opCheck, func(ctx context.Context) (answer *godo.Response, err error) {
		action, answer, err = p.client.Actions.Get(ctx, id)
		return answer, err
	})
	if err == nil && action == nil {
		err = &provider.Error{Kind: provider.Unavailable, Op: opCheck, Message: "the answer holds no action"}
	}
	return action, err
}

func (p *Provider) checkAction(ctx context.Context, id int) (provider.Progress, error) {
	action, err := p.actions.get(ctx, id)
	if err != nil {
		return "", err
	}
	switch action.Status {
	case godo.ActionCompleted:
		return provider.Done, nil
	case godo.ActionInProgress:
		return provider.Running, nil
	case "errored":
		return provider.Failed, nil
	}
	return "", &provider.Error{Kind: provider.Unavailable, Op: opCheck, Message: fmt.Sprintf("an action has the unknown status %.40q", action.Status)}
}

// checkOff goes by the droplet, not by the action: a shutdown that was carried
// out says nothing about whether the system obeyed.
func (p *Provider) checkOff(ctx context.Context, id int, asked time.Time) (provider.Progress, error) {
	d, err := p.stopping.get(ctx, id)
	switch {
	case err != nil:
		return "", err
	case d.Status == statusOff && !d.Locked:
		return provider.Done, nil
	case d.Locked, p.now().Sub(asked) < shutdownTime:
		return provider.Running, nil
	}
	p.log.Info("a droplet did not shut down by itself, its power is cut", "droplet", d.ID)
	ctx = provider.DefaultPriority(ctx, provider.Customer)
	_, err = p.act(ctx, "cut droplet's power", func(ctx context.Context) (*godo.Action, *godo.Response, error) {
		return p.client.DropletActions.PowerOff(ctx, d.ID)
	})
	switch provider.KindOf(err) {
	case "", provider.Conflict, provider.Ambiguous:
		return provider.Running, nil // the next look tells
	}
	return "", err
}
