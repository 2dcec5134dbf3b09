package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"berth"
	"berth/fleet"
	"berth/ops"
	"berth/provider/sandbox/droplet"
)

// step is one chapter of the demo.
type step struct {
	name  string // for machines
	title string
	why   string // one sentence
	shell bool   // it needs to log in, which some machines forbid
	run   func(*story, context.Context, *scene) error
}

// teller shows the story as it happens. Its methods are called one at a time.
type teller interface {
	begin(s step, number, of int)
	called(tool string, args map[string]any)
	progressed(percent float64, stage string)
	printed(text string) // a piece of what a command prints
	returned()           // the call has its answer
	say(line string)     // a result, for people
	end(o stepResult)
	close(s summary)
}

// stepResult is how a step went.
type stepResult struct {
	step    step
	took    time.Duration
	facts   map[string]any // for machines
	skipped string         // why it could not be done here
	err     error
}

// summary is how the whole demo went.
type summary struct {
	took    time.Duration
	spent   berth.Micros
	missing string // what this machine could not show, and why
	err     error
}

// story is the demo while it is told.
type story struct {
	node   *node
	agent  *agent
	teller teller
	report droplet.Report // what this machine allows

	spent    berth.Micros
	quote    ops.QuoteOut
	server   ops.CreateServerOut
	page     page
	snapshot berth.ID
	restored ops.CreateServerOut
	wallet   *purse // where the story is about one
}

// tell goes through the steps up to the first that fails.
func (s *story) tell(ctx context.Context, steps []step) error {
	for i, st := range steps {
		s.teller.begin(st, i+1, len(steps))
		o, start := stepResult{step: st, facts: map[string]any{}}, time.Now()
		if st.shell && !s.report.Shells {
			o.skipped = noShells(s.report)
		} else {
			o.err = st.run(s, ctx, &scene{story: s, facts: o.facts})
		}
		o.took = time.Since(start)
		if ctx.Err() != nil {
			return ctx.Err() // interrupted: what the step says of that helps nobody
		}
		s.teller.end(o)
		if o.err != nil {
			return o.err
		}
	}
	return nil
}

func noShells(r droplet.Report) string {
	return fmt.Sprintf("this machine lets no droplet boot, at the step %q: %s", r.Step, r.Reason)
}

// scene is a step while it runs.
type scene struct {
	*story
	facts map[string]any
}

func (c *scene) say(format string, args ...any) { c.teller.say(fmt.Sprintf(format, args...)) }

// call calls a tool and shows what comes of it.
func (c *scene) call(ctx context.Context, tool string, args map[string]any, out any) error {
	c.teller.called(tool, args)
	defer c.teller.returned()
	return c.agent.call(ctx, tool, args, out, c.hear)
}

// hear shows a notice, and notes it for machines.
func (c *scene) hear(n notice) {
	if n.percent < 0 {
		pieces, _ := c.facts["streamed_pieces"].(int)
		c.facts["streamed_pieces"] = pieces + 1
		c.teller.printed(n.message)
		return
	}
	stage := n.message
	if _, after, ok := strings.Cut(n.message, ": "); ok {
		stage = after // "create srv_…: booting"
	}
	stages, _ := c.facts["stages"].([]string)
	c.facts["stages"] = append(stages, stage)
	c.teller.progressed(math.Floor(n.percent), stage)
}

// followFor is how long one call waits for an action that outlasted its tool.
const followFor = 30 // seconds

// finish follows an action that still ran when its tool answered.
func (c *scene) finish(ctx context.Context, a ops.ActionView) error {
	for a.Status == fleet.ActionRunning {
		in := map[string]any{"action_id": a.ID, "wait_seconds": followFor}
		if err := c.call(ctx, "get_action", in, &a); err != nil {
			return err
		}
	}
	if a.Status == fleet.ActionFailed {
		return errors.New(string(a.Kind) + " failed: " + a.Error)
	}
	return nil
}
