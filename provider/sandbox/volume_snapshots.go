package sandbox

import (
	"net/http"
	"time"
)

// volumeSnapshotRow is a snapshot of a volume, which may be gone.
type volumeSnapshotRow struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Volume    string    `json:"volume"`
	Region    string    `json:"region"`
	Gigabytes int       `json:"gigabytes"` // of the volume then
	Tags      []string  `json:"tags,omitempty"`
	Created   time.Time `json:"created"`
}

func (v *volumeSnapshotRow) view() snapshotView {
	return snapshotView{
		ID: v.ID, Name: v.Name, ResourceID: v.Volume, ResourceType: "volume", Regions: []string{v.Region},
		MinDiskSize: v.Gigabytes, SizeGigabytes: 0, Created: timestamp(v.Created), Tags: orEmpty(v.Tags),
	}
}

func volumeSnapshotAge(v *volumeSnapshotRow) time.Time { return v.Created }

func (c *Cloud) listVolumeSnapshots(r *http.Request) (reply, error) {
	return listing(c, r, "snapshots", func(s *state) (shown []snapshotView, _ error) {
		v, err := s.volume(r)
		if err != nil {
			return nil, err
		}
		for _, snap := range byAge(s.VolumeSnapshots, volumeSnapshotAge) {
			if snap.Volume == v.ID {
				shown = append(shown, snap.view())
			}
		}
		return shown, nil
	})
}

func (c *Cloud) createVolumeSnapshot(r *http.Request) (reply, error) {
	var req struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	}
	if err := decode(r, &req); err != nil {
		return reply{}, err
	}
	if req.Name == "" || len(req.Name) > maxName {
		return reply{}, unprocessable("name must have between 1 and %d characters", maxName)
	}
	if len(req.Tags) > maxDropletTags {
		return reply{}, unprocessable("Tags must be at most %d", maxDropletTags)
	}
	return c.writing(http.StatusCreated, func(s *state) (object, error) {
		v, err := s.volume(r)
		switch {
		case err != nil:
			return nil, err
		case len(s.VolumeSnapshots) >= maxVolumeSnapshots:
			return nil, unprocessable("The account has %d snapshots of volumes, which is the most", maxVolumeSnapshots)
		}
		if err := s.addTags(req.Tags, c.now()); err != nil {
			return nil, err
		}
		snap := &volumeSnapshotRow{
			ID: newUUID(), Name: req.Name, Volume: v.ID, Region: v.Region, Gigabytes: v.Gigabytes,
			Tags: distinct(req.Tags), Created: c.now(),
		}
		s.VolumeSnapshots[snap.ID] = snap
		return object{"snapshot": snap.view()}, nil
	})
}

func (c *Cloud) getVolumeSnapshot(r *http.Request) (reply, error) {
	return c.reading(func(s *state) (object, error) {
		snap := s.VolumeSnapshots[r.PathValue("snapshot")]
		if snap == nil {
			return nil, notFound()
		}
		return object{"snapshot": snap.view()}, nil
	})
}

func (c *Cloud) deleteVolumeSnapshot(r *http.Request) (reply, error) {
	return c.writing(http.StatusNoContent, func(s *state) (object, error) {
		if s.VolumeSnapshots[r.PathValue("snapshot")] == nil {
			return nil, notFound()
		}
		delete(s.VolumeSnapshots, r.PathValue("snapshot"))
		return nil, nil
	})
}
