package sandbox

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
)

// actOnImage begins an action on an image. DigitalOcean's description shows the
// action as the whole answer, its clients read it from the member "action".
func (c *Cloud) actOnImage(r *http.Request) (reply, error) {
	var req struct {
		Type   string `json:"type"`
		Region string `json:"region"`
	}
	if err := decode(r, &req); err != nil {
		return reply{}, err
	}
	return c.errand(http.StatusCreated, func(s *state) (*actionRow, error) {
		i := c.image(s, r.PathValue("image"))
		if i == nil {
			return nil, notFound()
		}
		place := c.catalog.region(req.Region)
		switch {
		case req.Type == typeConvert && !i.backup():
			return nil, unprocessable("Only backups can be converted to snapshots.")
		case req.Type == typeConvert:
			return s.newErrand(typeConvert, "image", strconv.Itoa(i.ID), i.Regions[0], c.now()), nil
		case req.Type != typeTransfer:
			return nil, unprocessable("%.40q is no type of action", req.Type)
		case i.public():
			return nil, unprocessable("Only images of your own can be transferred.")
		case place == nil || !place.Available:
			return nil, unprocessable("Region is not available")
		case slices.Contains(i.Regions, place.Slug):
			return nil, unprocessable("The image is available in %s already.", place.Slug)
		}
		a := s.newErrand(typeTransfer, "image", strconv.Itoa(i.ID), i.Regions[0], c.now())
		a.Name = place.Slug
		return a, nil
	})
}

// picture is the image that an action is about.
func (s *state) picture(a *actionRow) (*imageRow, error) {
	id, err := strconv.Atoi(a.Of)
	if err != nil || s.Images[id] == nil {
		return nil, fmt.Errorf("image %s is gone", a.Of)
	}
	return s.Images[id], nil
}

// transfer makes an image available in one more region.
func transfer(_ *Cloud, s *state, a *actionRow) error {
	i, err := s.picture(a)
	if err == nil {
		i.Regions = distinct(append(orEmpty(i.Regions), a.Name))
	}
	return err
}

// convert makes a backup a snapshot, which is kept until it is deleted.
func convert(_ *Cloud, s *state, a *actionRow) error {
	i, err := s.picture(a)
	if err == nil {
		i.Expires = nil
	}
	return err
}

// imageInPath is the id of the image that the request's path names.
func (c *Cloud) imageInPath(r *http.Request) (id string, err error) {
	err = c.read(func(s *state) error {
		i := c.image(s, r.PathValue("image"))
		if i == nil {
			return notFound()
		}
		id = strconv.Itoa(i.ID)
		return nil
	})
	return id, err
}

func (c *Cloud) listImageActions(r *http.Request) (reply, error) {
	id, err := c.imageInPath(r)
	if err != nil {
		return reply{}, err
	}
	return c.actionsWhere(r, about("image", id))
}

func (c *Cloud) getImageAction(r *http.Request) (reply, error) {
	id, err := c.imageInPath(r)
	if err != nil {
		return reply{}, err
	}
	return c.actionWhere(r, about("image", id))
}
