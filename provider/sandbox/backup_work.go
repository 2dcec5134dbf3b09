package sandbox

import (
	"errors"
	"os"
	"slices"
	"time"
)

// lookout is how often the cloud looks for backups that are due or too old. It
// bounds how late after its window opens a backup begins.
const lookout = time.Minute

// keepBackups takes and forgets backups in their time, until the cloud closes.
func (c *Cloud) keepBackups() {
	for c.pause(lookout) {
		if err := errors.Join(c.takeBackups(), c.dropOldBackups()); err != nil {
			c.log.Error("backups could not be kept", "error", err)
		}
	}
}

// takeBackups begins the backups that are due. A droplet with other work under
// way waits for as long as its window is open. A window that has passed, as no
// cloud was running, is left out as if it had not been.
func (c *Cloud) takeBackups() error {
	due := false
	err := c.read(func(s *state) error {
		for _, d := range s.Droplets {
			due = due || c.backupDue(d)
		}
		return nil
	})
	if err != nil || !due {
		return err
	}
	return c.begin(func(s *state) (begun []*actionRow, _ error) {
		for _, d := range s.Droplets {
			if !c.backupDue(d) {
				continue
			}
			now := c.now()
			if now.Before(d.Backup.Next.Add(backupWindow)) {
				a := s.newAction(typeBackup, d, now)
				a.Name, a.Result, a.Plan = d.Name+" "+now.UTC().Format(time.DateOnly), s.nextID(), d.Backup
				begun = append(begun, a)
			}
			next := *d.Backup
			next.Next = next.opens(now)
			d.Backup = &next
		}
		return begun, nil
	})
}

func (c *Cloud) backupDue(d *dropletRow) bool {
	if d.Backup == nil || d.Gone || c.now().Before(d.Backup.Next) {
		return false
	}
	return !c.busy(d) || !c.now().Before(d.Backup.Next.Add(backupWindow))
}

// dropOldBackups forgets the backups that were kept for their time.
func (c *Cloud) dropOldBackups() error {
	var old []int
	err := c.read(func(s *state) error {
		for id, i := range s.Images {
			if i.backup() && !c.now().Before(*i.Expires) {
				old = append(old, id)
			}
		}
		return nil
	})
	for _, id := range old {
		var gone *refusal // somebody else has deleted it
		if _, dropErr := c.dropImage(id); dropErr != nil && !errors.As(dropErr, &gone) {
			err = errors.Join(err, dropErr)
		}
	}
	return err
}

// backupsOf are the ids of a droplet's backups, by age.
func (s *state) backupsOf(droplet int) []int {
	return s.imagesOf(droplet, (*imageRow).backup)
}

// forgetBackups deletes the backups of a droplet that is gone: like the real
// ones they go with it, unless they were made snapshots. A crash in the middle
// has the droplet's deletion carried out again.
func (c *Cloud) forgetBackups(s *state, droplet int) {
	for _, id := range s.backupsOf(droplet) {
		delete(s.Images, id)
		if err := os.Remove(c.imageFile(id)); err != nil {
			c.log.Warn("could not remove a backup's file", "image", id, "error", err)
		}
	}
}

// imagesOf are the ids of a droplet's images of a kind, by age.
func (s *state) imagesOf(droplet int, wanted func(*imageRow) bool) []int {
	ids := []int{}
	for id, i := range s.Images {
		if i.Droplet == droplet && wanted(i) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}
