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

// Plain is how many requests a server takes with a client that asks for each
// droplet by its id every five seconds, on the same cloud without limits. It
// must be called in a testing/synctest bubble.
func Plain(t *testing.T, servers int) float64 {
	c := openCloud(t, sandbox.Limits{Hour: -1, Minute: -1, KeyLists: -1}, servers)
	client := godo.NewClient(&http.Client{Transport: c.wire})
	var all sync.WaitGroup
	for i := range servers {
		all.Go(func() {
			d, _, err := client.Droplets.Create(t.Context(), &godo.DropletCreateRequest{
				Name: fmt.Sprintf("plain-%d", i), Region: "nyc1", Size: "s-1vcpu-1gb",
				Image: godo.DropletCreateImage{Slug: "debian-12-x64"}, SSHKeys: []godo.DropletCreateSSHKey{},
			})
			for err == nil && d.Status != "active" {
				time.Sleep(5 * time.Second)
				d, _, err = client.Droplets.Get(t.Context(), d.ID)
			}
			if err != nil {
				t.Errorf("plain client: %v", err)
			}
		})
	}
	all.Wait()
	return float64(c.wire.figures().Requests) / float64(servers)
}
