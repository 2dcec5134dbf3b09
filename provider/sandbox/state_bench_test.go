package sandbox

import (
	"fmt"
	"strings"
	"testing"
)

// BenchmarkWrite is one change that is on disk when it returns, in an account of
// 500 droplets with 8 KiB of first-boot data and four actions each.
func BenchmarkWrite(b *testing.B) {
	c, err := Open(Options{Dir: b.TempDir(), Machines: &Empty{}, DropletLimit: 1000})
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := c.Close(); err != nil {
			b.Error(err)
		}
	}()
	err = c.write(func(s *state) error {
		for i := range 500 {
			data, err := c.keepUserData(strings.Repeat("echo 'a line' \n", 8<<10/15))
			if err != nil {
				return err
			}
			d := &dropletRow{
				ID: s.nextID(), Name: fmt.Sprintf("d%d", i), Region: "nyc3", Size: "s-1vcpu-1gb", Status: statusActive,
				Data: data, Image: c.catalog.distributions[0], Tags: []string{"all"},
			}
			s.Droplets[d.ID] = d
			for range 4 {
				d.Pending = 0
				a := s.newAction(typeReboot, d, c.now())
				a.Status = actionCompleted
			}
			d.Pending = 0
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	n := 0
	for b.Loop() {
		n++
		err := c.write(func(s *state) error {
			s.Droplets[firstID+1].Name = fmt.Sprintf("renamed%d", n)
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}
