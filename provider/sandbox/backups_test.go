package sandbox

import (
	"errors"
	"net/http"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/digitalocean/godo"
)

// wednesday is a Wednesday, at half past nine.
var wednesday = time.Date(2026, time.March, 4, 9, 30, 0, 0, time.UTC)

func TestBackupWindows(t *testing.T) {
	at := func(day, hour int) time.Time { return time.Date(2026, time.March, day, hour, 0, 0, 0, time.UTC) }
	for name, c := range map[string]struct {
		plan backupPlan
		want time.Time
	}{
		"later today":      {backupPlan{Plan: planDaily, Hour: 12}, at(4, 12)},
		"tomorrow":         {backupPlan{Plan: planDaily, Hour: 8}, at(5, 8)},
		"on Sunday":        {backupPlan{Plan: planWeekly, Weekday: "SUN"}, at(8, 0)},
		"this day, later":  {backupPlan{Plan: planWeekly, Weekday: "WED", Hour: 20}, at(4, 20)},
		"this day of next": {backupPlan{Plan: planWeekly, Weekday: "WED", Hour: 4}, at(11, 4)},
	} {
		if got := c.plan.opens(wednesday); !got.Equal(c.want) {
			t.Errorf("%s: opens at %v, want %v", name, got, c.want)
		}
	}
	noon := backupPlan{Plan: planDaily, Hour: 12}
	if got := noon.opens(at(4, 12)); !got.Equal(at(5, 12)) {
		t.Errorf("when a window opens the next is at %v", got)
	}
}

// TestBackups follows a droplet's backups from the first to the last.
func TestBackups(t *testing.T) {
	at := &clock{t: wednesday}
	r := newRig(t, func(o *Options) { o.Now = at.now })
	hour := 12
	d := r.create("web", func(q *godo.DropletCreateRequest) {
		q.Backups, q.BackupPolicy = true, &godo.DropletBackupPolicyRequest{Plan: "daily", Hour: &hour}
	})
	opens := time.Date(2026, time.March, 4, 12, 0, 0, 0, time.UTC)
	if !slices.Contains(d.Features, "backups") || d.NextBackupWindow == nil || !d.NextBackupWindow.Start.Equal(godo.Timestamp{Time: opens}) ||
		d.NextBackupWindow.End.Sub(opens) != 4*time.Hour {
		t.Errorf("features %v, window %+v", d.Features, d.NextBackupWindow)
	}
	r.machines.put(d.ID, "precious")
	r.backUp()
	if got := r.get(d.ID); len(got.BackupIDs) != 0 {
		t.Errorf("backups %v before the window opened", got.BackupIDs)
	}
	for day := range 8 {
		at.set(opens.AddDate(0, 0, day).Add(time.Minute))
		r.backUp()
		r.backUp() // nothing more to do
	}
	kept := r.backups(d.ID)
	if len(kept) != 7 || kept[0].Type != "backup" || kept[0].Public || kept[0].Name != "web 2026-03-05" {
		t.Fatalf("%d backups are kept: %+v", len(kept), kept)
	}
	if got := r.get(d.ID); len(got.BackupIDs) != 7 || len(got.SnapshotIDs) != 0 || got.Status != statusActive {
		t.Errorf("backups %v and snapshots %v of a droplet that is %s", got.BackupIDs, got.SnapshotIDs, got.Status)
	}
	if all, _, err := r.client.Snapshots.List(t.Context(), nil); err != nil || len(all) != 0 {
		t.Errorf("snapshots %v, %v", all, err)
	}
	_, _, err := r.client.Snapshots.Get(t.Context(), godo.Stringify(kept[0].ID))
	refused(t, err, http.StatusNotFound, msgNotFound)

	r.machines.put(d.ID, "spoiled")
	r.completed(r.client.DropletActions.Restore(t.Context(), d.ID, kept[0].ID))
	if got := r.machines.machine(d.ID); got.disk != "precious" || !got.on {
		t.Errorf("restored to %q, on: %v", got.disk, got.on)
	}
	r.completed(r.client.ImageActions.Convert(t.Context(), kept[1].ID))
	if _, err := r.client.Images.Delete(t.Context(), kept[2].ID); err != nil {
		t.Error(err)
	}
	if got := r.get(d.ID); len(got.BackupIDs) != 5 || !slices.Equal(got.SnapshotIDs, []int{kept[1].ID}) {
		t.Errorf("backups %v and snapshots %v after one was converted and one deleted", got.BackupIDs, got.SnapshotIDs)
	}
	if _, err := r.client.Droplets.Delete(t.Context(), d.ID); err != nil {
		t.Fatal(err)
	}
	r.settle()
	files, err := os.ReadDir(r.dir + "/images")
	if err != nil || len(files) != 1 {
		t.Errorf("%d files are left with the droplet gone, %v", len(files), err)
	}
}

// backUp lets the cloud look whether backups are due.
func (r *rig) backUp() {
	r.t.Helper()
	if err := errors.Join(r.takeBackups(), r.dropOldBackups()); err != nil {
		r.t.Error(err)
	}
	r.settle()
}

func (r *rig) backups(droplet int) []godo.Image {
	r.t.Helper()
	all, _, err := r.client.Droplets.Backups(r.t.Context(), droplet, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	return all
}

func TestBackupsAreSwitched(t *testing.T) {
	at := &clock{t: wednesday}
	r := newRig(t, func(o *Options) { o.Now = at.now })
	d, acts, hour := r.create("x"), r.client.DropletActions, 20
	r.completed(acts.EnableBackups(t.Context(), d.ID))
	p, _, err := r.client.Droplets.GetBackupPolicy(t.Context(), d.ID)
	if err != nil || !p.BackupEnabled || p.BackupPolicy.Plan != "weekly" || p.BackupPolicy.Weekday != "SUN" || p.BackupPolicy.RetentionPeriodDays != 28 {
		t.Errorf("the usual policy is %+v, %v", p, err)
	}
	_, _, err = acts.EnableBackups(t.Context(), d.ID)
	refused(t, err, http.StatusUnprocessableEntity, "Backups are already enabled for this Droplet.")
	r.completed(acts.ChangeBackupPolicy(t.Context(), d.ID, &godo.DropletBackupPolicyRequest{Plan: "daily", Hour: &hour}))
	all, _, err := r.client.Droplets.ListBackupPolicies(t.Context(), nil)
	if err != nil || len(all) != 1 || all[d.ID].BackupPolicy.Plan != "daily" || all[d.ID].BackupPolicy.Hour != 20 || all[d.ID].NextBackupWindow == nil {
		t.Errorf("policies %v, %v", all, err)
	}
	offered, _, err := r.client.Droplets.ListSupportedBackupPolicies(t.Context())
	if err != nil || len(offered) != 2 || offered[0].Name != "weekly" || len(offered[0].PossibleDays) != 7 || offered[1].RetentionPeriodDays != 7 {
		t.Errorf("policies on offer %v, %v", offered, err)
	}
	r.completed(acts.DisableBackups(t.Context(), d.ID))
	if got := r.get(d.ID); slices.Contains(got.Features, "backups") || got.NextBackupWindow != nil {
		t.Errorf("features %v, window %v without backups", got.Features, got.NextBackupWindow)
	}
	at.set(wednesday.AddDate(0, 1, 0))
	r.backUp()
	if kept := r.backups(d.ID); len(kept) != 0 {
		t.Errorf("backups %v of a droplet that has none", kept)
	}
}

// TestBackupsThatWait holds that a droplet with other work under way is backed
// up later in its window, and a window that has passed is left out.
func TestBackupsThatWait(t *testing.T) {
	at := &clock{t: wednesday}
	r := newRig(t, func(o *Options) { o.Now = at.now })
	d := r.create("x", func(q *godo.DropletCreateRequest) { q.Backups = true })
	opens := d.NextBackupWindow.Start.Time
	release := r.machines.hold()
	a, _, err := r.client.DropletActions.Snapshot(t.Context(), d.ID, "mine")
	if err != nil {
		t.Fatal(err)
	}
	at.set(opens.Add(time.Minute))
	if err := r.takeBackups(); err != nil {
		t.Error(err)
	}
	if got := r.get(d.ID).NextBackupWindow.Start.Time; !got.Equal(opens) {
		t.Errorf("a busy droplet's window moved from %v to %v", opens, got)
	}
	release()
	r.did(actionCompleted, a, nil)
	r.backUp()
	if kept := r.backups(d.ID); len(kept) != 1 {
		t.Errorf("%d backups when the other work was done", len(kept))
	}
	at.set(opens.AddDate(0, 0, 8))
	r.backUp()
	if kept, next := r.backups(d.ID), r.get(d.ID).NextBackupWindow.Start.Time; len(kept) != 1 || !next.Equal(opens.AddDate(0, 0, 14)) {
		t.Errorf("%d backups after a missed window, the next at %v", len(kept), next)
	}
}

// TestBackupsComeByThemselves lets the time pass.
func TestBackupsComeByThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := Open(Options{Dir: t.TempDir(), Machines: &Empty{}})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		plan := &backupPlan{Plan: planDaily, Hour: 4}
		plan.Next = plan.opens(time.Now())
		err = c.write(func(s *state) error {
			d := &dropletRow{ID: s.nextID(), Name: "x", Region: "nyc3", Size: "s-1vcpu-1gb", Status: statusActive}
			d.setBackups(plan)
			s.Droplets[d.ID] = d
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * day)
		synctest.Wait()
		if n := len(c.state.Images); n != 3 {
			t.Errorf("%d backups in three days", n)
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}
