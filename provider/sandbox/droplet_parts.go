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

// none lists nothing of a kind of which a droplet has none.
func (c *Cloud) none(r *http.Request, name string) (reply, error) {
	return listing(c, r, name, func(s *state) ([]object, error) {
		_, err := s.droplet(r)
		return nil, err
	})
}

// listKernels lists none: every droplet boots the kernel that is inside it.
func (c *Cloud) listKernels(r *http.Request) (reply, error) { return c.none(r, "kernels") }

// listBackups lists none: the sandbox makes no backups, and refuses to enable
// them.
func (c *Cloud) listBackups(r *http.Request) (reply, error) { return c.none(r, "backups") }

func (c *Cloud) getBackupPolicy(r *http.Request) (reply, error) {
	return c.reading(func(s *state) (object, error) {
		d, err := s.droplet(r)
		if err != nil {
			return nil, err
		}
		return object{"policy": object{"droplet_id": d.ID, "backup_enabled": false}}, nil
	})
}

// listBackupPolicies shows the policies by droplet, of which there are none.
func (c *Cloud) listBackupPolicies(*http.Request) (reply, error) {
	return ok(object{"policies": object{}, "links": object{}, "meta": object{"total": 0}})
}

func (c *Cloud) listSupportedPolicies(*http.Request) (reply, error) {
	return ok(object{"supported_policies": []object{}})
}
