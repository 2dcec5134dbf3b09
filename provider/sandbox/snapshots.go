package sandbox

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
)

// snapshotView is a snapshot as the API shows it: the account's own images
// once more, under another form.
type snapshotView struct {
	ID            string   `json:"id"`
	Name          string   `json:"name"`
	ResourceID    string   `json:"resource_id"`
	ResourceType  string   `json:"resource_type"`
	Regions       []string `json:"regions"`
	MinDiskSize   int      `json:"min_disk_size"`
	SizeGigabytes float64  `json:"size_gigabytes"`
	Created       string   `json:"created_at"`
	Tags          []string `json:"tags"`
}

func (i *imageRow) snapshot() snapshotView {
	return snapshotView{
		ID: strconv.Itoa(i.ID), Name: i.Name, ResourceID: strconv.Itoa(i.Droplet), ResourceType: "droplet",
		Regions: orEmpty(i.Regions), MinDiskSize: i.MinDisk, SizeGigabytes: i.gigabytes(),
		Created: timestamp(i.Created), Tags: orEmpty(i.Tags),
	}
}

func (c *Cloud) listSnapshots(r *http.Request) (reply, error) {
	kind := r.URL.Query().Get("resource_type")
	return listing(c, r, "snapshots", func(s *state) (shown []snapshotView, _ error) {
		for _, id := range slices.Sorted(maps.Keys(s.Images)) {
			if (kind == "" || kind == "droplet") && !s.Images[id].backup() && !c.faults.hidesSnapshot(id) {
				shown = append(shown, s.Images[id].snapshot())
			}
		}
		for _, v := range byAge(s.VolumeSnapshots, volumeSnapshotAge) {
			if kind == "" || kind == "volume" {
				shown = append(shown, v.view())
			}
		}
		return shown, nil
	})
}

// ofVolume tells whether the path names the snapshot of a volume: it has a UUID,
// that of a droplet a number.
func ofVolume(r *http.Request) bool {
	_, err := strconv.Atoi(r.PathValue("snapshot"))
	return err != nil
}

func (c *Cloud) getSnapshot(r *http.Request) (reply, error) {
	if ofVolume(r) {
		return c.getVolumeSnapshot(r)
	}
	id, err := pathID(r, "snapshot")
	if err != nil {
		return reply{}, err
	}
	return c.reading(func(s *state) (object, error) {
		i := s.Images[id]
		if i == nil || i.backup() || c.faults.hidesSnapshot(id) {
			return nil, notFound()
		}
		return object{"snapshot": i.snapshot()}, nil
	})
}

func (c *Cloud) deleteSnapshot(r *http.Request) (reply, error) {
	if ofVolume(r) {
		return c.deleteVolumeSnapshot(r)
	}
	id, err := pathID(r, "snapshot")
	if err != nil {
		return reply{}, err
	}
	return c.dropImage(id)
}

// listDropletSnapshots shows the snapshots of one droplet, in the form that
// images have.
func (c *Cloud) listDropletSnapshots(r *http.Request) (reply, error) {
	id, err := pathID(r, "droplet")
	if err != nil {
		return reply{}, err
	}
	var shown []imageView
	err = c.read(func(s *state) error {
		if d := s.Droplets[id]; d == nil || d.Gone {
			return notFound()
		}
		for _, i := range s.snapshotsOf(id) {
			if !c.faults.hidesSnapshot(i) {
				shown = append(shown, s.Images[i].view())
			}
		}
		return nil
	})
	if err != nil {
		return reply{}, err
	}
	return list(r, "snapshots", shown)
}

// snapshotsOf are the ids of a droplet's snapshots, by age.
func (s *state) snapshotsOf(droplet int) []int {
	return s.imagesOf(droplet, func(i *imageRow) bool { return !i.backup() })
}
