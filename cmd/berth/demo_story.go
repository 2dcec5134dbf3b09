package main

import (
	"context"
	"fmt"
	"time"

	"berth"
	"berth/fleet"
	"berth/ops"
)

// chapters is the story, in its order.
func chapters() []step {
	return []step{
		{"start", "Start Berth, with its cloud in a box", "All of it runs in this process and a temporary directory, without a network.", false, (*story).begin},
		{"prices", "See what there is and what it costs", "An agent looks before it buys; looking is free.", false, (*story).prices},
		{"quote", "Ask for an exact price", "A quote says what a purchase costs to the last micro-dollar, and is honoured for ten minutes.", false, (*story).askPrice},
		{"create", "Buy a server", "The price is held now and charged when the server answers SSH; progress comes as it happens.", false, (*story).create},
		{"exec", "Run commands on it", "Commands run as root over SSH with a pinned host key; their output streams while they run.", true, (*story).exec},
		{"page", "Put a web page on it and serve it", "Files travel by SFTP, a background run serves them, and this machine fetches the page.", true, (*story).serve},
		{"extend", "Buy more time", "A prepaid server ends when its minutes do, unless somebody extends it.", false, (*story).extend},
		{"snapshot", "Take a snapshot", "A snapshot keeps the disk, for 72 hours free.", false, (*story).takeSnapshot},
		{"destroy", "Destroy the server", "What is no longer needed need not be kept; its last state is kept as a snapshot as well.", false, (*story).destroy},
		{"restore", "Buy another from the snapshot", "A snapshot comes back as a new server, with a new address and new keys.", false, (*story).restore},
		{"file", "Look for the file", "The page that was uploaded to the first server must be on the second.", true, (*story).findFile},
		{"destroy_restored", "Destroy that one too", "Nothing is left running at the end.", false, (*story).destroyRestored},
		{"statement", "Read the statement", "Every movement of the agent's money, with the balance after it.", false, (*story).statement},
		{"verify", "Verify the ledger", "The operator checks the books: every invariant, over every account.", false, (*story).verify},
	}
}

// open starts the cloud, and waits until all is ready.
func (s *story) open(ctx context.Context) error {
	a := s.node.app
	a.begin(ctx)
	select {
	case err := <-a.started:
		s.report = a.cloud.Report()
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// begin starts everything, and connects as an agent host would.
func (s *story) begin(ctx context.Context, c *scene) error {
	if err := s.open(ctx); err != nil {
		return err
	}
	n := s.node
	key, err := n.app.playKey(ctx)
	if err != nil {
		return err
	}
	url := "http://" + n.address + "/mcp"
	if s.agent, err = newAgent(ctx, url+"?toolsets=all", key, n.log); err != nil {
		return err
	}
	c.facts["url"], c.facts["tools"], c.facts["credit"] = url, s.agent.tools, playCredit
	c.facts["shells"], c.facts["mode"] = s.report.Shells, s.report.Mode
	c.say("An MCP client is connected to %s: %d tools. Its account has %s USD of play money.", url, s.agent.tools, playCredit)
	if s.report.Shells {
		c.say("Servers here are real Linux environments (%s mode), with SSH at port %d.", s.report.Mode, s.report.SSHPort)
		return nil
	}
	c.facts["missing"] = noShells(s.report)
	c.say("MISSING: %s.", noShells(s.report))
	c.say("So servers have no shell here. All that needs none is shown.")
	return nil
}

func (s *story) prices(ctx context.Context, c *scene) error {
	var sizes ops.SizesOut
	if err := c.call(ctx, "list_sizes", map[string]any{}, &sizes); err != nil {
		return err
	}
	for _, z := range sizes.Sizes {
		c.say("%-8s %d vCPU  %5d MB  %4d GB disk   %s + %s an hour", z.Slug, z.VCPUs, z.MemoryMB, z.DiskGB, z.CreateFee, z.Hourly)
	}
	var regions ops.RegionsOut
	if err := c.call(ctx, "list_regions", map[string]any{}, &regions); err != nil {
		return err
	}
	for _, r := range regions.Regions {
		c.say("%-8s %s", r.Slug, r.Name)
	}
	c.facts["sizes"], c.facts["regions"] = len(sizes.Sizes), len(regions.Regions)
	return nil
}

// purchase is what the demo buys.
func purchase() map[string]any {
	return map[string]any{"size": "small", "region": "nyc1", "minutes": 60}
}

func (s *story) askPrice(ctx context.Context, c *scene) error {
	in := purchase()
	in["operation"] = "create_server"
	if err := c.call(ctx, "quote", in, &s.quote); err != nil {
		return err
	}
	for _, l := range s.quote.Breakdown {
		c.say("%-12s %4s × %-8s %10s", l.Item, l.Quantity, l.UnitPrice, l.Amount)
	}
	c.say("%-28s %10s USD, honoured until %s", "total", s.quote.Total, clock(s.quote.ExpiresAt))
	c.facts["quote_id"], c.facts["total"] = s.quote.QuoteID, s.quote.Total
	return nil
}

// clock is a time of day as people here read it.
func clock(t time.Time) string { return t.Local().Format(time.TimeOnly) }

func (s *story) create(ctx context.Context, c *scene) error {
	in := purchase()
	in["label"], in["quote_id"], in["idempotency_key"] = "demo", s.quote.QuoteID, "demo-create"
	if err := c.buy(ctx, in, &s.server); err != nil {
		return err
	}
	if s.server.TotalCharged != s.quote.Total {
		return fmt.Errorf("%s was charged, %s was quoted", s.server.TotalCharged, s.quote.Total)
	}
	return nil
}

// buy creates a server and waits until it is active.
func (c *scene) buy(ctx context.Context, in map[string]any, out *ops.CreateServerOut) error {
	if err := c.call(ctx, "create_server", in, out); err != nil {
		return err
	}
	if out.Action.Status == fleet.ActionRunning {
		if err := c.finish(ctx, out.Action); err != nil {
			return err
		}
		if err := c.call(ctx, "get_server", map[string]any{"server_id": out.ID}, &out.ServerView); err != nil {
			return err
		}
	}
	if out.Status != fleet.Active || out.IP == nil {
		return fmt.Errorf("%s is %s, not active with an address", out.ID, out.Status)
	}
	c.say("%s is active until %s, for %s USD.", out.ID, clock(out.PaidUntil), out.TotalCharged)
	if c.report.Shells {
		c.say("%s", out.SSHCommand)
	} else {
		c.say("No SSH answers here, so a machine that is on is all that could be delivered.")
	}
	c.facts["server_id"], c.facts["ip"], c.facts["charged"] = out.ID, *out.IP, out.TotalCharged
	return nil
}

func (s *story) extend(ctx context.Context, c *scene) error {
	var out ops.ExtendOut
	if err := c.call(ctx, "extend", map[string]any{"id": s.server.ID, "minutes": 60}, &out); err != nil {
		return err
	}
	if out.PaidUntil == nil || !out.PaidUntil.After(s.server.PaidUntil) {
		return fmt.Errorf("%s was not extended: it is paid until %v, as before", out.ID, out.PaidUntil)
	}
	c.say("Paid until %s instead of %s, for %s USD.", clock(*out.PaidUntil), clock(s.server.PaidUntil), out.Charged)
	c.facts["minutes_added"], c.facts["charged"], c.facts["paid_until"] = out.MinutesAdded, out.Charged, out.PaidUntil
	return nil
}

func (s *story) takeSnapshot(ctx context.Context, c *scene) error {
	var out ops.SnapshotOut
	if err := c.call(ctx, "snapshot", map[string]any{"server_id": s.server.ID, "name": "demo"}, &out); err != nil {
		return err
	}
	if err := c.finish(ctx, out.Action); err != nil {
		return err
	}
	s.snapshot = out.ID
	c.say("%s is kept for %d hours, for %s USD.", out.ID, out.ExpiresIn, out.Charged)
	c.facts["snapshot_id"], c.facts["charged"] = out.ID, out.Charged
	return nil
}

func (s *story) destroy(ctx context.Context, c *scene) error { return c.end(ctx, s.server.ID) }

func (s *story) destroyRestored(ctx context.Context, c *scene) error {
	if err := c.end(ctx, s.restored.ID); err != nil {
		return err
	}
	left := s.machinesLeft(ctx)
	c.facts["machines_left"] = left
	if left > 0 {
		return fmt.Errorf("%d machines are left at the provider", left)
	}
	c.say("The provider has no machine of ours left.")
	return nil
}

// goneTimeout is how long the provider may take to clear away a machine that it
// no longer shows.
const goneTimeout = 10 * time.Second

// machinesLeft is how many machines the provider still has when all should be
// gone.
func (s *story) machinesLeft(ctx context.Context) int {
	ctx, cancel := context.WithTimeout(ctx, goneTimeout)
	defer cancel()
	for {
		left := s.node.app.cloud.Live()
		if left == 0 {
			return 0
		}
		select {
		case <-ctx.Done():
			return left
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// end destroys a server.
func (c *scene) end(ctx context.Context, server berth.ID) error {
	var out ops.DestroyOut
	if err := c.call(ctx, "destroy_server", map[string]any{"server_id": server}, &out); err != nil {
		return err
	}
	if err := c.finish(ctx, out.Action); err != nil {
		return err
	}
	c.say("%s is gone.", server)
	c.facts["server_id"] = server
	if out.Snapshot != nil {
		c.say("Its last state is %s, kept for %d hours.", out.Snapshot.ID, out.Snapshot.ExpiresIn)
		c.facts["final_snapshot_id"] = out.Snapshot.ID
	}
	return nil
}

func (s *story) restore(ctx context.Context, c *scene) error {
	in := purchase()
	in["label"], in["snapshot_id"], in["idempotency_key"] = "demo-restored", s.snapshot, "demo-restore"
	return c.buy(ctx, in, &s.restored)
}
