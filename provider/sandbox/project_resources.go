package sandbox

import (
	"net/http"
	"strings"
	"time"
)

// assignmentView is a resource in a project as the API shows it.
type assignmentView struct {
	URN      string `json:"urn"`
	Assigned string `json:"assigned_at,omitempty"`
	Links    object `json:"links,omitempty"`
	Status   string `json:"status"`
}

func assignment(r *http.Request, res resource, at time.Time, status string) assignmentView {
	return assignmentView{res.shown, timestamp(at), object{"self": href(r, res.path)}, status}
}

func (c *Cloud) listProjectResources(r *http.Request) (reply, error) {
	return listing(c, r, "resources", func(s *state) (shown []assignmentView, _ error) {
		p, err := s.project(r)
		if err != nil {
			return nil, err
		}
		for _, res := range s.resources() {
			if s.projectOf(res.urn) != p {
				continue
			}
			at, explicit := p.Assigned[res.urn]
			if !explicit {
				at = res.created
			}
			shown = append(shown, assignment(r, res, at, "ok"))
		}
		return shown, nil
	})
}

// assignResources moves resources into a project. Of one that does not exist the
// answer says so, and the others are moved.
func (c *Cloud) assignResources(r *http.Request) (reply, error) {
	var body struct {
		Resources []string `json:"resources"`
	}
	if err := decode(r, &body); err != nil {
		return reply{}, err
	}
	if len(body.Resources) > maxAssigned {
		return reply{}, unprocessable("resources must be at most %d", maxAssigned)
	}
	for _, name := range body.Resources {
		if !urnPattern.MatchString(name) {
			return reply{}, unprocessable("%.80q is no URN, such as do:droplet:1", name)
		}
	}
	return c.writing(http.StatusOK, func(s *state) (object, error) {
		p, err := s.project(r)
		if err != nil {
			return nil, err
		}
		shown := []assignmentView{}
		for _, name := range body.Resources {
			res, ok := s.resource(name)
			if !ok {
				shown = append(shown, assignmentView{URN: name, Status: "not_found"})
				continue
			}
			status := "assigned"
			if s.projectOf(res.urn) == p {
				status = "already_assigned"
			}
			s.assign(res.urn, p, c.now())
			if kind, ip, _ := strings.Cut(strings.TrimPrefix(name, "do:"), ":"); s.ReservedIPs[ip] != nil {
				s.ReservedIPs[ip].Kind, res.shown = kind, urn(kind, ip)
			}
			shown = append(shown, assignment(r, res, p.Assigned[res.urn], status))
		}
		return object{"resources": shown}, nil
	})
}
