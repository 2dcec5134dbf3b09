package sandbox

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// backupPlan says when a droplet is backed up.
type backupPlan struct {
	Plan    string    `json:"plan"`              // "daily" or "weekly"
	Weekday string    `json:"weekday,omitempty"` // of a weekly plan, such as "SUN"
	Hour    int       `json:"hour"`              // at which the window opens, UTC
	Next    time.Time `json:"next"`              // when the next window opens
}

// backupPolicy is what DigitalOcean offers under a plan's name.
type backupPolicy struct {
	Name      string   `json:"name"`
	Hours     []int    `json:"possible_window_starts"`
	Window    int      `json:"window_length_hours"`
	Retention int      `json:"retention_period_days"`
	Days      []string `json:"possible_days"`
}

const (
	planDaily  = "daily"
	planWeekly = "weekly"

	featureBackups = "backups"
	backupWindow   = 4 * time.Hour
	day            = 24 * time.Hour
)

// weekdays are DigitalOcean's names for time.Sunday and those that follow.
var weekdays = []string{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"}

// backupPolicies are the plans on offer.
func backupPolicies() []backupPolicy {
	hours := func() []int { return []int{0, 4, 8, 12, 16, 20} }
	return []backupPolicy{
		{planWeekly, hours(), int(backupWindow / time.Hour), 28, slices.Clone(weekdays)},
		{planDaily, hours(), int(backupWindow / time.Hour), 7, []string{}},
	}
}

func (p *backupPlan) policy() backupPolicy {
	all := backupPolicies()
	return all[slices.IndexFunc(all, func(b backupPolicy) bool { return b.Name == p.Plan })]
}

// retention is how long a backup of this plan is kept.
func (p *backupPlan) retention() time.Duration { return time.Duration(p.policy().Retention) * day }

// opens is when the first window opens after a time.
func (p *backupPlan) opens(after time.Time) time.Time {
	after = after.UTC()
	at := time.Date(after.Year(), after.Month(), after.Day(), p.Hour, 0, 0, 0, time.UTC)
	for !at.After(after) || p.Plan == planWeekly && weekdays[at.Weekday()] != p.Weekday {
		at = at.AddDate(0, 0, 1)
	}
	return at
}

// policyRequest asks for a plan.
type policyRequest struct {
	Plan    string `json:"plan"`
	Weekday string `json:"weekday"`
	Hour    *int   `json:"hour"`
}

// backupPlan is the plan asked for; nil asks for the usual one, once a week.
func (req *policyRequest) backupPlan(now time.Time) (*backupPlan, error) {
	p := &backupPlan{Plan: planWeekly, Weekday: weekdays[0]}
	if req != nil {
		p.Plan = req.Plan
		if req.Weekday != "" {
			p.Weekday = req.Weekday
		}
		if req.Hour != nil {
			p.Hour = *req.Hour
		}
	}
	switch {
	case p.Plan != planDaily && p.Plan != planWeekly:
		return nil, unprocessable("backup_policy: plan must be daily or weekly")
	case !slices.Contains(p.policy().Hours, p.Hour):
		return nil, unprocessable("backup_policy: hour must be one of 0, 4, 8, 12, 16, 20")
	case p.Plan == planWeekly && !slices.Contains(weekdays, p.Weekday):
		return nil, unprocessable("backup_policy: weekday must be one of SUN, MON, TUE, WED, THU, FRI, SAT")
	case p.Plan == planDaily:
		p.Weekday = ""
	}
	p.Next = p.opens(now)
	return p, nil
}

// windowView is when a backup is due, as the API shows it.
type windowView struct {
	Start string `json:"start"`
	End   string `json:"end"`
}

// window is a droplet's next one; without backups there is none.
func (d *dropletRow) window() *windowView {
	if d.Backup == nil {
		return nil
	}
	return &windowView{timestamp(d.Backup.Next), timestamp(d.Backup.Next.Add(backupWindow))}
}

// policyView is a droplet's plan as the API shows it.
func (d *dropletRow) policyView() object {
	v := object{"droplet_id": d.ID, "backup_enabled": d.Backup != nil}
	if p := d.Backup; p != nil {
		offered := p.policy()
		shown := object{
			"plan": p.Plan, "hour": p.Hour,
			"window_length_hours": offered.Window, "retention_period_days": offered.Retention,
		}
		if p.Plan == planWeekly {
			shown["weekday"] = p.Weekday
		}
		v["backup_policy"], v["next_backup_window"] = shown, d.window()
	}
	return v
}

// setBackups gives a droplet a plan, or takes its plan away.
func (d *dropletRow) setBackups(p *backupPlan) {
	d.Backup = p
	d.Features = slices.DeleteFunc(slices.Clone(d.Features), func(f string) bool { return f == featureBackups })
	if p != nil {
		d.Features = append(d.Features, featureBackups)
	}
}

func admitBackups(c *Cloud, _ *state, d *dropletRow, req *actionRequest, a *actionRow) (err error) {
	if d.Backup != nil {
		return unprocessable("Backups are already enabled for this Droplet.")
	}
	a.Plan, err = req.Policy.backupPlan(c.now())
	return err
}

func admitNewPolicy(c *Cloud, _ *state, d *dropletRow, req *actionRequest, a *actionRow) (err error) {
	switch {
	case d.Backup == nil:
		return unprocessable(msgNoBackups)
	case req.Policy == nil:
		return unprocessable("backup_policy is required")
	}
	a.Plan, err = req.Policy.backupPlan(c.now())
	return err
}

func admitNoBackups(_ *Cloud, _ *state, d *dropletRow, _ *actionRequest, _ *actionRow) error {
	if d.Backup == nil {
		return unprocessable(msgNoBackups)
	}
	return nil
}

// runSetBackups serves all three actions: the one that ends backups has no plan.
// What has been taken is kept for its time.
func runSetBackups(_ context.Context, _ *Cloud, _ dropletRow, a actionRow) (effect, error) {
	return func(_ *Cloud, _ *state, d *dropletRow) { d.setBackups(a.Plan) }, nil
}

func (c *Cloud) listBackups(r *http.Request) (reply, error) {
	return listing(c, r, "backups", func(s *state) (shown []imageView, _ error) {
		d, err := s.droplet(r)
		if err != nil {
			return nil, err
		}
		for _, id := range s.backupsOf(d.ID) {
			shown = append(shown, s.Images[id].view())
		}
		return shown, nil
	})
}

func (c *Cloud) getBackupPolicy(r *http.Request) (reply, error) {
	return c.reading(func(s *state) (object, error) {
		d, err := s.droplet(r)
		if err != nil {
			return nil, err
		}
		return object{"policy": d.policyView()}, nil
	})
}

// listBackupPolicies shows a page of all droplets' policies, by droplet.
func (c *Cloud) listBackupPolicies(r *http.Request) (reply, error) {
	return c.reading(func(s *state) (object, error) {
		var ids []int
		for _, id := range slices.Sorted(maps.Keys(s.Droplets)) {
			if !s.Droplets[id].Gone {
				ids = append(ids, id)
			}
		}
		shown := object{}
		page := cut(r, len(ids))
		for _, id := range ids[page.from:page.to] {
			shown[strconv.Itoa(id)] = s.Droplets[id].policyView()
		}
		return object{"policies": shown, "links": page.links, "meta": object{"total": len(ids)}}, nil
	})
}

func (c *Cloud) listSupportedPolicies(*http.Request) (reply, error) {
	return ok(object{"supported_policies": backupPolicies()})
}
