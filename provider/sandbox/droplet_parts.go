package sandbox

import (
	"maps"
	"net/http"
	"slices"
)

// listNeighbors shows the droplets that share a droplet's hardware: all of its
// region, since everything runs on one machine.
func (c *Cloud) listNeighbors(r *http.Request) (reply, error) {
	return c.reading(func(s *state) (object, error) {
		d, err := s.droplet(r)
		if err != nil {
			return nil, err
		}
		shown := []dropletView{}
		for _, id := range slices.Sorted(maps.Keys(s.Droplets)) {
			other := s.Droplets[id]
			if id != d.ID && !other.Gone && other.Region == d.Region {
				shown = append(shown, c.view(s, other))
			}
		}
		return object{"droplets": shown}, nil
	})
}

// listKernels lists none: every droplet boots the kernel that is inside it.
func (c *Cloud) listKernels(r *http.Request) (reply, error) {
	return listing(c, r, "kernels", func(s *state) ([]object, error) {
		_, err := s.droplet(r)
		return nil, err
	})
}
