package sandbox

import (
	"fmt"
	"time"
)

// The types of action on things other than droplets.
const (
	typeAttach   = "attach_volume"
	typeDetach   = "detach_volume"
	typeGrow     = "resize" // of a volume
	typeAssign   = "assign_ip"
	typeUnassign = "unassign_ip"
	typeTransfer = "transfer" // of an image
	typeConvert  = "convert"  // of a backup
)

// errands are the actions on things other than droplets, by type. They change
// nothing but the state, and refuse where it has changed since they were begun.
func errands() map[string]func(*Cloud, *state, *actionRow) error {
	return map[string]func(*Cloud, *state, *actionRow) error{
		typeAttach:   attach,
		typeDetach:   detach,
		typeGrow:     grow,
		typeAssign:   assignIP,
		typeUnassign: unassignIP,
		typeTransfer: transfer,
		typeConvert:  convert,
	}
}

// newErrand begins an action on a thing that is no droplet.
func (s *state) newErrand(kind, resource, of, region string, now time.Time) *actionRow {
	a := &actionRow{
		ID: s.nextID(), Type: kind, Status: actionInProgress, Region: region, Started: now, Resource: resource, Of: of,
	}
	s.Actions[a.ID] = a
	s.forgetActions()
	return a
}

// finishErrand does an errand, unless it failed before, and records how it
// went. What it locked is free afterwards.
func (c *Cloud) finishErrand(a actionRow, failed error) error {
	defer c.redirect()
	return c.write(func(s *state) error {
		row := s.Actions[a.ID]
		if row == nil {
			return fmt.Errorf("action %d is not in the state", a.ID)
		}
		if failed == nil {
			failed = errands()[a.Type](c, s, row)
		}
		now := c.now()
		row.Completed, row.Status = &now, actionCompleted
		if failed != nil {
			row.Status, row.Error = actionErrored, failed.Error()
		}
		s.unlock(a.ID)
		return nil
	})
}

// unlock frees what an action has locked.
func (s *state) unlock(action int) {
	for _, d := range s.Droplets {
		if d.Pending == action {
			d.Pending = 0
		}
	}
	for _, v := range s.Volumes {
		if v.Pending == action {
			v.Pending = 0
		}
	}
	for _, ip := range s.ReservedIPs {
		if ip.Pending == action {
			ip.Pending = 0
		}
	}
}

// about tells whether an action is on the resource with that id.
func about(resource, of string) func(*actionRow) bool {
	return func(a *actionRow) bool { return a.Resource == resource && a.Of == of }
}

// errand begins one and answers with its action.
func (c *Cloud) errand(status int, f func(s *state) (*actionRow, error)) (reply, error) {
	var view actionView
	err := c.begin(func(s *state) ([]*actionRow, error) {
		a, err := f(s)
		if err != nil {
			return nil, err
		}
		view = c.actionView(a)
		return []*actionRow{a}, nil
	})
	if err != nil {
		return reply{}, err
	}
	return reply{status, object{"action": view}}, nil
}
