package burst

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/digitalocean/godo"

	"berth/provider/sandbox"
)

// Plain is how many requests a server takes to create, and to reboot, with a
// client that asks for each droplet and each action by its id every five
// seconds, on the same cloud without limits. It must be called in a
// testing/synctest bubble.
func Plain(t *testing.T, servers int) (create, reboot float64) {
	c := openCloud(t, sandbox.Limits{Hour: -1, Minute: -1, KeyLists: -1}, servers)
	client := godo.NewClient(&http.Client{Transport: c.wire})
	droplets := make([]int, servers)
	create = plainly(t, c, servers, func(i int) error {
		d, _, err := client.Droplets.Create(t.Context(), &godo.DropletCreateRequest{
			Name: fmt.Sprintf("plain-%d", i), Region: "nyc1", Size: "s-1vcpu-1gb",
			Image: godo.DropletCreateImage{Slug: "debian-12-x64"}, SSHKeys: []godo.DropletCreateSSHKey{},
		})
		for err == nil && d.Status != "active" {
			time.Sleep(5 * time.Second)
			d, _, err = client.Droplets.Get(t.Context(), d.ID)
		}
		if err == nil {
			droplets[i] = d.ID
		}
		return err
	})
	reboot = plainly(t, c, servers, func(i int) error {
		a, _, err := client.DropletActions.Reboot(t.Context(), droplets[i])
		for err == nil && a.Status == godo.ActionInProgress {
			time.Sleep(5 * time.Second)
			a, _, err = client.Actions.Get(t.Context(), a.ID)
		}
		return err
	})
	return create, reboot
}

// plainly does something to so many servers at once and returns the requests
// that each took.
func plainly(t *testing.T, c *cloud, servers int, do func(i int) error) float64 {
	before := c.wire.figures().Requests
	var all sync.WaitGroup
	for i := range servers {
		all.Go(func() {
			if err := do(i); err != nil {
				t.Errorf("plain client: %v", err)
			}
		})
	}
	all.Wait()
	return float64(c.wire.figures().Requests-before) / float64(servers)
}
