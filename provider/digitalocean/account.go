package digitalocean

import (
	"context"

	"github.com/digitalocean/godo"

	"berth/provider"
)

// standings are what DigitalOcean calls the standings of an account.
var standings = map[string]provider.Standing{
	"active": provider.Good, "warning": provider.Warned, "locked": provider.Locked,
}

// Account is the account's standing and its droplet limit, with how many
// droplets it has. It takes two requests.
func (p *Provider) Account(ctx context.Context) (provider.Account, error) {
	const op = "read the account"
	ctx = provider.DefaultPriority(ctx, provider.Upkeep)
	var a *godo.Account
	err := p.read(ctx, op, func(ctx context.Context) (answer *godo.Response, err error) {
		a, answer, err = p.client.Account.Get(ctx)
		return answer, err
	})
	if err != nil {
		return provider.Account{}, err
	}
	if a == nil {
		return provider.Account{}, &provider.Error{Kind: provider.Unavailable, Op: op, Message: "the answer holds no account"}
	}
	out := provider.Account{Standing: standings[a.Status], Message: a.StatusMessage, MachineLimit: a.DropletLimit}
	if out.Standing == "" {
		p.log.Warn("the account has an unknown status", "status", a.Status)
		out.Standing = provider.Warned
	}
	out.Machines, err = p.countDroplets(ctx)
	return out, err
}

// countDroplets is how many droplets the account has. A page of one says it.
func (p *Provider) countDroplets(ctx context.Context) (n int, err error) {
	err = p.read(ctx, "count droplets", func(ctx context.Context) (*godo.Response, error) {
		list, answer, err := p.client.Droplets.List(ctx, &godo.ListOptions{PerPage: 1})
		if err == nil {
			n = len(list)
			if answer.Meta != nil {
				n = answer.Meta.Total
			}
		}
		return answer, err
	})
	return n, err
}
