package sandbox

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// imageRow is an image. The account's own are snapshots and backups of droplets,
// with a file that holds the droplet's disk.
type imageRow struct {
	ID           int       `json:"id"`
	Name         string    `json:"name"`
	Slug         string    `json:"slug,omitempty"` // a distribution's only
	Distribution string    `json:"distribution"`
	Description  string    `json:"description,omitempty"`
	Regions      []string  `json:"regions"`
	MinDisk      int       `json:"min_disk"` // GB
	Bytes        int64     `json:"bytes"`    // what is stored
	Droplet      int       `json:"droplet,omitempty"`
	Tags         []string  `json:"tags,omitempty"`
	Created      time.Time `json:"created"`

	Expires *time.Time `json:"expires,omitempty"` // a backup's only: until when it is kept
}

// imageView is an image as the API shows it.
type imageView struct {
	ID            int      `json:"id"`
	Name          string   `json:"name"`
	Type          string   `json:"type"`
	Distribution  string   `json:"distribution"`
	Slug          *string  `json:"slug"`
	Public        bool     `json:"public"`
	Regions       []string `json:"regions"`
	Created       string   `json:"created_at"`
	MinDiskSize   int      `json:"min_disk_size"`
	SizeGigabytes float64  `json:"size_gigabytes"`
	Description   string   `json:"description"`
	Tags          []string `json:"tags"`
	Status        string   `json:"status"`
}

const (
	imageBase     = "base"
	imageSnapshot = "snapshot"
	imageBackup   = "backup"
	gigabyte      = 1 << 30
)

// distributions are the images that every account has. Whatever a droplet is
// made from, the programs in it are those of the machine that the sandbox runs
// on, which their descriptions say.
func distributions() []imageRow {
	released := time.Date(2025, time.January, 2, 15, 4, 5, 0, time.UTC)
	row := func(id int, slug, distribution, name string) imageRow {
		return imageRow{
			ID: id, Slug: slug, Distribution: distribution, Name: name,
			Description: distribution + " " + name + ", shown by a sandbox with the programs of its host",
			Regions:     openRegions(), MinDisk: 7, Bytes: 3 * gigabyte / 4, Created: released,
		}
	}
	return []imageRow{
		row(155133621, "ubuntu-24-04-x64", "Ubuntu", "24.04 (LTS) x64"),
		row(129211873, "ubuntu-22-04-x64", "Ubuntu", "22.04 (LTS) x64"),
		row(159651797, "debian-12-x64", "Debian", "12 x64"),
		row(194000013, "debian-13-x64", "Debian", "13 x64"),
		row(169513126, "fedora-41-x64", "Fedora", "41 x64"),
	}
}

func (i *imageRow) public() bool { return i.Slug != "" }

func (i *imageRow) backup() bool { return i.Expires != nil }

// snapshots counts the account's images that are no backups.
func (s *state) snapshots() int {
	n := 0
	for _, i := range s.Images {
		if !i.backup() {
			n++
		}
	}
	return n
}

// gigabytes is the stored size in hundredths of a gigabyte, rounded up.
func (i *imageRow) gigabytes() float64 {
	return math.Ceil(float64(i.Bytes)/gigabyte*100) / 100
}

func (i *imageRow) view() imageView {
	v := imageView{
		ID: i.ID, Name: i.Name, Type: imageSnapshot, Distribution: i.Distribution, Regions: orEmpty(i.Regions),
		Created: timestamp(i.Created), MinDiskSize: i.MinDisk, SizeGigabytes: i.gigabytes(),
		Description: i.Description, Tags: orEmpty(i.Tags), Status: "available",
	}
	if i.public() {
		slug := i.Slug
		v.Type, v.Slug, v.Public = imageBase, &slug, true
	}
	if i.backup() {
		v.Type = imageBackup
	}
	return v
}

// orEmpty is a copy that JSON never shows as null.
func orEmpty(s []string) []string { return append([]string{}, s...) }

// images are the distributions and the account's own, these by age.
func (c *Cloud) images(s *state) []imageRow {
	all := slices.Clone(c.catalog.distributions)
	for _, id := range slices.Sorted(maps.Keys(s.Images)) {
		all = append(all, *s.Images[id])
	}
	return all
}

// image is the image with that id, or with that slug, or nil.
func (c *Cloud) image(s *state, name string) *imageRow {
	id, err := strconv.Atoi(name)
	for _, i := range c.images(s) {
		if err == nil && i.ID == id || name != "" && i.Slug == name {
			return &i
		}
	}
	return nil
}

// imageFile is where a snapshot's disk is kept.
func (c *Cloud) imageFile(id int) string {
	return filepath.Join(c.dir, "images", fmt.Sprintf("%d.snapshot", id))
}

// sweepImages removes the files that a crash left behind: those of no snapshot
// that exists or is being taken.
func (c *Cloud) sweepImages() error {
	wanted := map[string]bool{}
	for id := range c.state.Images {
		wanted[c.imageFile(id)] = true
	}
	for _, a := range c.state.Actions {
		if a.Result != 0 && a.Status == actionInProgress {
			wanted[c.imageFile(a.Result)] = true
		}
	}
	dir := filepath.Join(c.dir, "images")
	found, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("sandbox: look for snapshots: %w", err)
	}
	for _, entry := range found {
		if file := filepath.Join(dir, entry.Name()); !wanted[file] {
			c.log.Info("removing a file that belongs to no snapshot", "file", file)
			err = errors.Join(err, os.Remove(file))
		}
	}
	return err
}

func (c *Cloud) listImages(r *http.Request) (reply, error) {
	q := r.URL.Query()
	kind, tag, private := q.Get("type"), q.Get("tag_name"), q.Get("private") == "true"
	var shown []imageView
	err := c.read(func(s *state) error {
		for _, i := range c.images(s) {
			switch {
			case kind == "distribution" && !i.public(), kind == "application":
			case private && i.public():
			case tag != "" && !slices.Contains(i.Tags, tag):
			case !i.public() && c.faults.hidesSnapshot(i.ID):
			default:
				shown = append(shown, i.view())
			}
		}
		return nil
	})
	if err != nil {
		return reply{}, err
	}
	return list(r, "images", shown)
}

func (c *Cloud) getImage(r *http.Request) (reply, error) {
	var view imageView
	err := c.read(func(s *state) error {
		i := c.image(s, r.PathValue("image"))
		if i == nil {
			return notFound()
		}
		view = i.view()
		return nil
	})
	if err != nil {
		return reply{}, err
	}
	return ok(object{"image": view})
}

func (c *Cloud) updateImage(r *http.Request) (reply, error) {
	id, err := pathID(r, "image")
	if err != nil {
		return reply{}, err
	}
	var body struct {
		Name        string  `json:"name"`
		Description *string `json:"description"`
	}
	if err := decode(r, &body); err != nil {
		return reply{}, err
	}
	if len(body.Name) > maxName {
		return reply{}, unprocessable("Name is too long (maximum is %d characters)", maxName)
	}
	var view imageView
	err = c.write(func(s *state) error {
		i := s.Images[id]
		if i == nil {
			return notFound()
		}
		i.Name = cmp.Or(body.Name, i.Name)
		if body.Description != nil {
			i.Description = *body.Description
		}
		view = i.view()
		return nil
	})
	if err != nil {
		return reply{}, err
	}
	return ok(object{"image": view})
}

func (c *Cloud) deleteImage(r *http.Request) (reply, error) {
	id, err := pathID(r, "image")
	if err != nil {
		return reply{}, err
	}
	return c.dropImage(id)
}

// dropImage forgets a snapshot, then removes its file. A crash between the two
// leaves a file that nothing names.
func (c *Cloud) dropImage(id int) (reply, error) {
	err := c.write(func(s *state) error {
		if s.Images[id] == nil {
			return notFound()
		}
		delete(s.Images, id)
		return nil
	})
	if err != nil {
		return reply{}, err
	}
	if err := os.Remove(c.imageFile(id)); err != nil {
		c.log.Warn("could not remove a snapshot's file", "image", id, "error", err)
	}
	return noContent()
}
