package sandbox

import (
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// tagRow is a tag. What bears it says so itself.
type tagRow struct {
	Created time.Time `json:"created"`
}

// maxTags bounds the account's tags. Clients that give each droplet a tag of
// its own leave many behind; the oldest that nothing bears makes room.
const maxTags = 5000

// tagPattern leaves the length to a check of its own: a counted repetition is
// compiled as so many copies, which every start of the program would pay for.
var tagPattern = regexp.MustCompile(`^[a-zA-Z0-9_\-:]+$`)

// addTags makes the tags that do not exist yet.
func (s *state) addTags(names []string, now time.Time) error {
	for _, name := range names {
		if len(name) > maxName || !tagPattern.MatchString(name) {
			return unprocessable("Tag %.80q may only have letters, numbers, colons, dashes and underscores, at most 255", name)
		}
	}
	for _, name := range names {
		if s.Tags[name] != nil {
			continue
		}
		if len(s.Tags) >= maxTags && !s.dropUnusedTag() {
			return unprocessable("The account has %d tags, which is the most", maxTags)
		}
		s.Tags[name] = &tagRow{Created: now}
	}
	return nil
}

// dropUnusedTag forgets the oldest tag that nothing bears, if there is one.
func (s *state) dropUnusedTag() bool {
	use := s.tagUse()
	oldest := ""
	for name, t := range s.Tags {
		if use[name].total() == 0 && (oldest == "" || t.Created.Before(s.Tags[oldest].Created)) {
			oldest = name
		}
	}
	delete(s.Tags, oldest)
	return oldest != ""
}

// bearers counts what bears a tag.
type bearers struct{ droplets, images, volumes, snapshots int }

func (b bearers) total() int { return b.droplets + b.images + b.volumes + b.snapshots }

// tagUse counts what bears each tag.
func (s *state) tagUse() map[string]bearers {
	use := map[string]bearers{}
	count := func(tags []string, add bearers) {
		for _, t := range tags {
			u := use[t]
			use[t] = bearers{u.droplets + add.droplets, u.images + add.images, u.volumes + add.volumes, u.snapshots + add.snapshots}
		}
	}
	for _, d := range s.Droplets {
		if !d.Gone {
			count(d.Tags, bearers{droplets: 1})
		}
	}
	for _, i := range s.Images {
		count(i.Tags, bearers{images: 1})
	}
	for _, v := range s.Volumes {
		count(v.Tags, bearers{volumes: 1})
	}
	for _, v := range s.VolumeSnapshots {
		count(v.Tags, bearers{snapshots: 1})
	}
	return use
}

func tagView(name string, b bearers) object {
	count := func(n int) object { return object{"count": n} }
	return object{"name": name, "resources": object{
		"count":            b.total(),
		"droplets":         count(b.droplets),
		"images":           count(b.images),
		"volumes":          count(b.volumes),
		"volume_snapshots": count(b.snapshots),
		"databases":        count(0),
	}}
}

// distinct is the list without repetitions, in its order.
func distinct[T comparable](names []T) []T {
	var out []T
	for _, n := range names {
		if !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}

func (c *Cloud) createTag(r *http.Request) (reply, error) {
	var body struct {
		Name string `json:"name"`
	}
	if err := decode(r, &body); err != nil {
		return reply{}, err
	}
	var view object
	err := c.write(func(s *state) error {
		if err := s.addTags([]string{body.Name}, c.now()); err != nil {
			return err
		}
		view = tagView(body.Name, s.tagUse()[body.Name])
		return nil
	})
	if err != nil {
		return reply{}, err
	}
	return reply{http.StatusCreated, object{"tag": view}}, nil
}

func (c *Cloud) listTags(r *http.Request) (reply, error) {
	var shown []object
	err := c.read(func(s *state) error {
		use := s.tagUse()
		for _, name := range slices.Sorted(maps.Keys(s.Tags)) {
			shown = append(shown, tagView(name, use[name]))
		}
		return nil
	})
	if err != nil {
		return reply{}, err
	}
	return list(r, "tags", shown)
}

func (c *Cloud) getTag(r *http.Request) (reply, error) {
	name := r.PathValue("tag")
	var view object
	err := c.read(func(s *state) error {
		if s.Tags[name] == nil {
			return notFound()
		}
		view = tagView(name, s.tagUse()[name])
		return nil
	})
	if err != nil {
		return reply{}, err
	}
	return ok(object{"tag": view})
}

func (c *Cloud) deleteTag(r *http.Request) (reply, error) {
	name := r.PathValue("tag")
	err := c.write(func(s *state) error {
		if s.Tags[name] == nil {
			return notFound()
		}
		for _, d := range s.Droplets {
			d.Tags = without(d.Tags, name)
		}
		for _, i := range s.Images {
			i.Tags = without(i.Tags, name)
		}
		for _, v := range s.Volumes {
			v.Tags = without(v.Tags, name)
		}
		for _, v := range s.VolumeSnapshots {
			v.Tags = without(v.Tags, name)
		}
		for _, f := range s.Firewalls {
			f.Tags = without(f.Tags, name)
		}
		delete(s.Tags, name)
		return nil
	})
	if err != nil {
		return reply{}, err
	}
	return noContent()
}

func without(tags []string, name string) []string {
	return slices.DeleteFunc(slices.Clone(tags), func(t string) bool { return t == name })
}

func (c *Cloud) tagResources(r *http.Request) (reply, error) {
	return c.retag(r, func(tags []string, name string) []string { return distinct(append(slices.Clone(tags), name)) })
}

func (c *Cloud) untagResources(r *http.Request) (reply, error) { return c.retag(r, without) }

// retag changes the tags of the resources that the request names: of all, or
// of none where one does not exist.
func (c *Cloud) retag(r *http.Request, change func(tags []string, name string) []string) (reply, error) {
	var body struct {
		Resources []struct {
			ID   reference `json:"resource_id"`
			Type string    `json:"resource_type"`
		} `json:"resources"`
	}
	if err := decode(r, &body); err != nil {
		return reply{}, err
	}
	name := r.PathValue("tag")
	err := c.write(func(s *state) error {
		if s.Tags[name] == nil {
			return notFound()
		}
		var found []*[]string
		for _, res := range body.Resources {
			tags, err := s.tagsOf(string(res.ID), res.Type)
			if err != nil {
				return err
			}
			found = append(found, tags)
		}
		for _, tags := range found {
			*tags = change(*tags, name)
		}
		return nil
	})
	if err != nil {
		return reply{}, err
	}
	return noContent()
}

// tagsOf are the tags of a resource, to be changed in place.
func (s *state) tagsOf(name, kind string) (*[]string, error) {
	id, err := strconv.Atoi(name)
	switch kind {
	case "droplet":
		if d := s.Droplets[id]; err == nil && d != nil && !d.Gone {
			return &d.Tags, nil
		}
	case "image":
		if i := s.Images[id]; err == nil && i != nil {
			return &i.Tags, nil
		}
	case "volume":
		if v := s.Volumes[name]; v != nil {
			return &v.Tags, nil
		}
	case "volume_snapshot":
		if v := s.VolumeSnapshots[name]; v != nil {
			return &v.Tags, nil
		}
	case "database":
		return nil, notOffered("tags on resources of type " + kind)
	default:
		return nil, unprocessable("resource_type %.40q is invalid", kind)
	}
	return nil, notFound()
}
