package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"berth/provider/sandbox/droplet"
)

// The types of action.
const (
	typeCreate        = "create"
	typeDestroy       = "destroy"
	typePowerOn       = "power_on"
	typePowerOff      = "power_off"
	typeShutdown      = "shutdown"
	typeReboot        = "reboot"
	typePowerCycle    = "power_cycle"
	typeSnapshot      = "snapshot"
	typeResize        = "resize"
	typeRebuild       = "rebuild"
	typeRestore       = "restore"
	typeRename        = "rename"
	typePasswordReset = "password_reset"
	typeChangeKernel  = "change_kernel"
	typeBackups       = "enable_backups"
	typeNoBackups     = "disable_backups"
	typeNewPolicy     = "change_backup_policy"
	typeBackup        = "backup" // which nobody asks for: a policy does
	typeEnablePrivate = "enable_private_networking"
	typeEnableIPv6    = "enable_ipv6"
)

// kind is what actions of one type are.
type kind struct {
	// admit refuses a droplet that can't take the action, or fills in what the
	// work needs to know. Nil where no request may ask for the type.
	admit func(*Cloud, *state, *dropletRow, *actionRequest, *actionRow) error

	// run does the work on the machine. It may be run again from the beginning
	// after a crash. It returns what the work changes in the state.
	run func(context.Context, *Cloud, dropletRow, actionRow) (effect, error)
}

// effect changes the state when work has succeeded.
type effect func(*Cloud, *state, *dropletRow)

func kinds() map[string]kind {
	return map[string]kind{
		typeCreate:        {nil, runCreate},
		typeDestroy:       {nil, runDestroy},
		typePowerOn:       {admitAny, runPowerOn},
		typePowerOff:      {admitAny, runPowerOff},
		typeShutdown:      {admitAny, runShutdown},
		typeReboot:        {admitOn, runReboot},
		typePowerCycle:    {admitOn, runPowerCycle},
		typeSnapshot:      {admitSnapshot, runSnapshot},
		typeResize:        {admitResize, runResize},
		typeRebuild:       {admitRebuild, runRebuild},
		typeRestore:       {admitRestore, runRestore},
		typeRename:        {admitRename, runRename},
		typePasswordReset: {admitAny, runPasswordReset},
		typeChangeKernel:  {refuseKernel, nil},
		typeBackups:       {admitBackups, runSetBackups},
		typeNoBackups:     {admitNoBackups, runSetBackups},
		typeNewPolicy:     {admitNewPolicy, runSetBackups},
		typeBackup:        {nil, runSnapshot},
		typeEnablePrivate: {refusePrivate, nil},
		typeEnableIPv6:    {admitIPv6, runEnableIPv6},
	}
}

// begin runs f, which begins actions, and has them carried out once they are on
// disk. If saving fails they are carried out all the same: the caller is told,
// and nothing stays locked.
func (c *Cloud) begin(f func(s *state) ([]*actionRow, error)) error {
	var ids []int
	err := c.write(func(s *state) error {
		begun, err := f(s)
		for _, a := range begun {
			ids = append(ids, a.ID)
			a.Takes = c.takes(a.Type)
			if a.Type == typeDestroy { // not shown any more, unless deleting is to take time
				s.Droplets[a.Droplet].Gone = a.Takes <= 0
			}
		}
		return err
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range ids {
		c.launch(id)
	}
	return err
}

// launch has an action carried out. Before Start, and after Close, it stays in
// progress for the next Start. The caller holds c.mu.
func (c *Cloud) launch(id int) {
	if c.started && !c.closed {
		c.working.Go(func() { c.carryOut(id) })
	}
}

// carryOut does an action's work and records how it went.
func (c *Cloud) carryOut(id int) {
	var a actionRow
	var d dropletRow
	err := c.read(func(s *state) error {
		row := s.Actions[id]
		if row == nil || row.Resource == "" && s.Droplets[row.Droplet] == nil {
			return fmt.Errorf("action %d or its droplet is not in the state", id)
		}
		a = *row
		if a.Resource == "" {
			d = *s.Droplets[a.Droplet]
		}
		return nil
	})
	if err != nil {
		c.log.Error("an action was lost", "error", err)
		return
	}
	if !c.pause(a.Takes) {
		return // closing: the next Start resumes it
	}
	done, err := c.perform(a, d)
	if c.ctx.Err() != nil {
		return
	}
	if err != nil {
		c.log.Error("an action failed", "action", a.ID, "type", a.Type, "droplet", a.Droplet, "error", err)
	}
	if a.Resource != "" {
		err = c.finishErrand(a, err)
	} else {
		err = c.finish(a, done, err)
	}
	if a.Type == typeDestroy && err == nil {
		c.redirect()
		c.dropUserData(d.Data)
	}
	if err != nil {
		c.log.Error("an action's end was not saved", "action", a.ID, "type", a.Type, "error", err)
	}
}

// pause waits, and tells whether the cloud is still open.
func (c *Cloud) pause(d time.Duration) bool {
	if d <= 0 {
		return c.ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-c.ctx.Done():
		return false
	}
}

// perform does an action's work, unless it is scripted to fail.
func (c *Cloud) perform(a actionRow, d dropletRow) (effect, error) {
	if c.faults.failsAction(a.Type) {
		return nil, errors.New("scripted to fail")
	}
	if a.Resource != "" {
		return nil, nil // it changes the state only, see errands
	}
	done, err := kinds()[a.Type].run(c.ctx, c, d, a)
	if err == nil && a.Type == typeCreate && c.faults.vanishes() {
		return runDestroy(c.ctx, c, d, a)
	}
	return done, err
}

// finish records how an action went, and unlocks its droplet.
func (c *Cloud) finish(a actionRow, done effect, failed error) error {
	return c.write(func(s *state) error {
		row, d := s.Actions[a.ID], s.Droplets[a.Droplet]
		if row == nil || d == nil {
			return fmt.Errorf("action %d or its droplet is not in the state", a.ID)
		}
		now := c.now()
		d.Pending, row.Completed, row.Status = 0, &now, actionCompleted
		if failed != nil {
			row.Status, row.Error = actionErrored, failed.Error()
			d.Gone = false // where deleting failed, the droplet is there to be deleted again
			d.Status = c.statusOf(d)
			return nil
		}
		done(c, s, d)
		return nil
	})
}

// statusOf is a droplet's status by whether its machine runs.
func (c *Cloud) statusOf(d *dropletRow) string {
	if c.machines.Running(d.machine()) {
		return statusActive
	}
	return statusOff
}

// turnOn starts a droplet's machine; one that runs already is as wanted.
func (c *Cloud) turnOn(ctx context.Context, d dropletRow) error {
	if err := c.machines.Start(ctx, c.specNow(&d)); err != nil && !errors.Is(err, droplet.ErrRunning) {
		return err
	}
	return nil
}

// fill makes a droplet's disk from an image. The machine must be off.
func (c *Cloud) fill(ctx context.Context, d dropletRow, image *imageRow) error {
	if image.public() {
		return c.machines.Reset(ctx, d.machine())
	}
	return c.machines.Load(ctx, d.machine(), c.imageFile(image.ID))
}

func becomes(status string) effect {
	return func(_ *Cloud, _ *state, d *dropletRow) { d.Status = status }
}

func runCreate(ctx context.Context, c *Cloud, d dropletRow, _ actionRow) (effect, error) {
	if err := c.fill(ctx, d, &d.Image); err != nil {
		return nil, err
	}
	return becomes(statusActive), c.turnOn(ctx, d)
}

func runDestroy(ctx context.Context, c *Cloud, d dropletRow, _ actionRow) (effect, error) {
	return func(c *Cloud, s *state, d *dropletRow) {
		c.forgetBackups(s, d.ID)
		s.forget(d)
		c.purge(s, d.ID)
	}, c.machines.Remove(ctx, d.machine())
}

// forget takes a droplet out of the state, and out of all that names it.
func (s *state) forget(d *dropletRow) {
	delete(s.Droplets, d.ID)
	s.unassign(urn("droplet", d.machine()))
	for _, v := range s.Volumes {
		if v.Droplet == d.ID {
			v.Droplet = 0
		}
	}
	for _, ip := range s.ReservedIPs {
		if ip.Droplet == d.ID {
			ip.Droplet = 0
		}
	}
	for _, f := range s.Firewalls {
		f.Droplets = slices.DeleteFunc(f.Droplets, func(id int) bool { return id == d.ID })
	}
}

func runPowerOn(ctx context.Context, c *Cloud, d dropletRow, _ actionRow) (effect, error) {
	return becomes(statusActive), c.turnOn(ctx, d)
}

func runPowerOff(ctx context.Context, c *Cloud, d dropletRow, _ actionRow) (effect, error) {
	return becomes(statusOff), c.machines.Stop(ctx, d.machine(), true)
}

func runShutdown(ctx context.Context, c *Cloud, d dropletRow, _ actionRow) (effect, error) {
	return becomes(statusOff), c.machines.Stop(ctx, d.machine(), false)
}

func runReboot(ctx context.Context, c *Cloud, d dropletRow, _ actionRow) (effect, error) {
	return c.restart(ctx, d, false)
}

func runPowerCycle(ctx context.Context, c *Cloud, d dropletRow, _ actionRow) (effect, error) {
	return c.restart(ctx, d, true)
}

func (c *Cloud) restart(ctx context.Context, d dropletRow, force bool) (effect, error) {
	if err := c.machines.Stop(ctx, d.machine(), force); err != nil {
		return nil, err
	}
	return becomes(statusActive), c.turnOn(ctx, d)
}

// runSnapshot keeps a droplet's disk, as a snapshot or as a backup.
func runSnapshot(ctx context.Context, c *Cloud, d dropletRow, a actionRow) (effect, error) {
	file := c.imageFile(a.Result)
	stored, err := c.machines.Save(ctx, d.machine(), file)
	if err != nil {
		return nil, errors.Join(err, removeIfThere(file))
	}
	return func(c *Cloud, s *state, d *dropletRow) {
		i := &imageRow{
			ID: a.Result, Name: a.Name, Distribution: d.Image.Distribution, Regions: []string{d.Region},
			MinDisk: d.Disk, Bytes: stored, Droplet: d.ID,
			Created: a.Started, // by which Terraform finds the snapshot that its action made
		}
		if a.Type == typeBackup {
			until := i.Created.Add(a.Plan.retention())
			i.Expires = &until
		}
		s.Images[i.ID] = i
		c.faults.snapshotTaken(a.Result)
	}, nil
}

func removeIfThere(file string) error {
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// runResize has nothing to do on the machine, which is off: it gets its new
// bounds when it starts.
func runResize(_ context.Context, c *Cloud, _ dropletRow, a actionRow) (effect, error) {
	size := c.catalog.size(a.Size)
	return func(_ *Cloud, _ *state, d *dropletRow) {
		d.Size, d.VCPUs, d.Memory = size.Slug, size.VCPUs, size.Memory
		if a.Disk {
			d.Disk = size.Disk
		}
	}, nil
}

func runRebuild(ctx context.Context, c *Cloud, d dropletRow, a actionRow) (effect, error) {
	d.Instance = instance(&a) // first-boot data runs again
	return c.replaceDisk(ctx, d, a)
}

func runRestore(ctx context.Context, c *Cloud, d dropletRow, a actionRow) (effect, error) {
	return c.replaceDisk(ctx, d, a)
}

func (c *Cloud) replaceDisk(ctx context.Context, d dropletRow, a actionRow) (effect, error) {
	if err := c.machines.Stop(ctx, d.machine(), true); err != nil {
		return nil, err
	}
	if err := c.fill(ctx, d, a.Image); err != nil {
		return nil, err
	}
	instance := d.Instance
	return func(_ *Cloud, _ *state, d *dropletRow) {
		d.Image, d.Instance, d.Status = *a.Image, instance, statusActive
	}, c.turnOn(ctx, d)
}

// runEnableIPv6 has nothing to do on the machine, whose network is IPv4 only.
func runEnableIPv6(context.Context, *Cloud, dropletRow, actionRow) (effect, error) {
	return func(_ *Cloud, _ *state, d *dropletRow) { d.Features = append(slices.Clone(d.Features), featureIPv6) }, nil
}

func runRename(_ context.Context, _ *Cloud, _ dropletRow, a actionRow) (effect, error) {
	return func(_ *Cloud, _ *state, d *dropletRow) { d.Name = a.Name }, nil
}
