package sandbox

import (
	"cmp"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// projectRow is a project. What was assigned to none is in the default one.
type projectRow struct {
	ID          string               `json:"id"`
	Name        string               `json:"name"`
	Description string               `json:"description,omitempty"`
	Purpose     string               `json:"purpose"`
	Environment string               `json:"environment,omitempty"`
	Default     bool                 `json:"default,omitempty"`
	Assigned    map[string]time.Time `json:"assigned,omitempty"` // since when, by URN
	Created     time.Time            `json:"created"`
	Updated     time.Time            `json:"updated"`
}

// projectView is a project as the API shows it.
type projectView struct {
	ID          string `json:"id"`
	OwnerUUID   string `json:"owner_uuid"`
	OwnerID     int    `json:"owner_id"`
	Name        string `json:"name"`
	Description string `json:"description"`
	Purpose     string `json:"purpose"`
	Environment string `json:"environment,omitempty"`
	Default     bool   `json:"is_default"`
	Created     string `json:"created_at"`
	Updated     string `json:"updated_at"`
}

func (p *projectRow) view(s *state) projectView {
	return projectView{
		ID: p.ID, OwnerUUID: s.Account, OwnerID: firstID, Name: p.Name, Description: p.Description, Purpose: p.Purpose,
		Environment: p.Environment, Default: p.Default, Created: timestamp(p.Created), Updated: timestamp(p.Updated),
	}
}

const (
	maxProjects    = 1000
	maxProjectName = 175
	maxAssigned    = 100 // resources in one request
)

func (s *state) addProject(p *projectRow) {
	p.ID = newUUID()
	s.Projects[p.ID] = p
}

func (s *state) defaultProject() *projectRow {
	for _, p := range s.Projects {
		if p.Default {
			return p
		}
	}
	return nil
}

// project is the project that the request's path names; a path without an id
// is about the default one.
func (s *state) project(r *http.Request) (*projectRow, error) {
	p := s.Projects[r.PathValue("project")]
	if r.PathValue("project") == "" {
		p = s.defaultProject()
	}
	if p == nil {
		return nil, notFound()
	}
	return p, nil
}

var urnPattern = regexp.MustCompile(`^do:[a-z0-9]+:[^:].*$`)

// urn names a resource among all of an account.
func urn(kind, id string) string { return "do:" + kind + ":" + id }

// resource is something that can be in a project.
type resource struct {
	urn     string
	shown   string // the URN by which the API calls it
	path    string // where the API shows it
	created time.Time
}

// DigitalOcean has two names for reserved IPs in URNs. Its description knows the
// older one only, its clients use both, and look for the one they used.
const (
	kindReserved = "reservedip"
	kindFloating = "floatingip"
)

// resource is what a URN names, if it exists.
func (s *state) resource(name string) (resource, bool) {
	kind, id, _ := strings.Cut(strings.TrimPrefix(name, "do:"), ":")
	switch kind {
	case "droplet":
		number, err := strconv.Atoi(id)
		if d := s.Droplets[number]; err == nil && d != nil && !d.Gone {
			return resource{urn(kind, id), urn(kind, id), "/v2/droplets/" + id, d.Created}, true
		}
	case "volume":
		if v := s.Volumes[id]; v != nil {
			return resource{urn(kind, id), urn(kind, id), "/v2/volumes/" + id, v.Created}, true
		}
	case kindReserved, kindFloating:
		if ip := s.ReservedIPs[id]; ip != nil {
			return resource{ip.urn(), urn(cmp.Or(ip.Kind, kindFloating), id), "/v2/reserved_ips/" + id, ip.Created}, true
		}
	}
	return resource{}, false
}

// resources are all that can be in a project, by URN.
func (s *state) resources() []resource {
	var names []string
	for id := range s.Droplets {
		names = append(names, urn("droplet", strconv.Itoa(id)))
	}
	for id := range s.Volumes {
		names = append(names, urn("volume", id))
	}
	for ip := range s.ReservedIPs {
		names = append(names, urn(kindFloating, ip))
	}
	var all []resource
	for _, name := range slices.Sorted(slices.Values(names)) {
		if res, ok := s.resource(name); ok {
			all = append(all, res)
		}
	}
	return all
}

// projectOf is the project that a resource is in.
func (s *state) projectOf(name string) *projectRow {
	for _, p := range s.Projects {
		if _, in := p.Assigned[name]; in {
			return p
		}
	}
	return s.defaultProject()
}

// assign puts a resource into a project, and out of any other.
func (s *state) assign(name string, p *projectRow, now time.Time) {
	s.unassign(name)
	if p.Assigned == nil {
		p.Assigned = map[string]time.Time{}
	}
	p.Assigned[name] = now
}

// holds tells whether a project has resources that were assigned to it.
func (s *state) holds(p *projectRow) bool {
	for name := range p.Assigned {
		if _, ok := s.resource(name); ok {
			return true
		}
	}
	return false
}

// unassign forgets a resource, as it is gone or on its way elsewhere.
func (s *state) unassign(name string) {
	for _, p := range s.Projects {
		delete(p.Assigned, name)
	}
}

func (c *Cloud) listProjects(r *http.Request) (reply, error) {
	return listing(c, r, "projects", func(s *state) (shown []projectView, _ error) {
		for _, p := range byAge(s.Projects, func(p *projectRow) time.Time { return p.Created }) {
			shown = append(shown, p.view(s))
		}
		return shown, nil
	})
}

func (c *Cloud) getProject(r *http.Request) (reply, error) {
	return c.reading(func(s *state) (object, error) {
		p, err := s.project(r)
		if err != nil {
			return nil, err
		}
		return object{"project": p.view(s)}, nil
	})
}

// projectRequest asks for a project, or for changes in one.
type projectRequest struct {
	Name        *string `json:"name"`
	Description *string `json:"description"`
	Purpose     *string `json:"purpose"`
	Environment *string `json:"environment"`
	Default     *bool   `json:"is_default"`
}

// change takes over what the request names, or nothing.
func (req *projectRequest) change(s *state, p *projectRow, now time.Time) error {
	changed := *p
	for _, f := range []struct{ to, from *string }{
		{&changed.Name, req.Name},
		{&changed.Description, req.Description},
		{&changed.Purpose, req.Purpose},
		{&changed.Environment, req.Environment},
	} {
		if f.from != nil {
			*f.to = *f.from
		}
	}
	if err := changed.check(s); err != nil {
		return err
	}
	if req.Default != nil && *req.Default != p.Default {
		if p.Default {
			return unprocessable("is_default can't be taken away: make another project the default")
		}
		s.makeDefault(&changed, now)
	}
	changed.Updated = now
	*p = changed
	return nil
}

// makeDefault makes a project the one for what is assigned to none. What is in
// the present one for that reason stays there.
func (s *state) makeDefault(p *projectRow, now time.Time) {
	former := s.defaultProject()
	for _, res := range s.resources() {
		if _, explicit := former.Assigned[res.urn]; !explicit && s.projectOf(res.urn) == former {
			s.assign(res.urn, former, now)
		}
	}
	former.Default, p.Default = false, true
}

func (p *projectRow) check(s *state) error {
	switch {
	case p.Name == "" || len(p.Name) > maxProjectName:
		return unprocessable("name must have between 1 and %d characters", maxProjectName)
	case p.Purpose == "" || len(p.Purpose) > maxName:
		return unprocessable("purpose must have between 1 and %d characters", maxName)
	case len(p.Description) > maxName:
		return unprocessable("description must have at most %d characters", maxName)
	case !slices.Contains([]string{"", "Development", "Staging", "Production"}, p.Environment):
		return unprocessable("environment must be Development, Staging or Production")
	}
	for _, other := range s.Projects {
		if other.ID != p.ID && strings.EqualFold(other.Name, p.Name) {
			return conflict("name is already in use")
		}
	}
	return nil
}

func (c *Cloud) createProject(r *http.Request) (reply, error) {
	var req projectRequest
	if err := decode(r, &req); err != nil {
		return reply{}, err
	}
	req.Default = nil // a new project never is
	return c.writing(http.StatusCreated, func(s *state) (object, error) {
		if len(s.Projects) >= maxProjects {
			return nil, unprocessable("The account has %d projects, which is the most", maxProjects)
		}
		p := &projectRow{Created: c.now()}
		if err := req.change(s, p, c.now()); err != nil {
			return nil, err
		}
		s.addProject(p)
		return object{"project": p.view(s)}, nil
	})
}

func (c *Cloud) updateProject(r *http.Request) (reply, error) {
	var req projectRequest
	if err := decode(r, &req); err != nil {
		return reply{}, err
	}
	if req.Name == nil || req.Description == nil || req.Purpose == nil || req.Environment == nil || req.Default == nil {
		return reply{}, unprocessable("name, description, purpose, environment and is_default are required")
	}
	return c.changeProject(r, &req)
}

func (c *Cloud) patchProject(r *http.Request) (reply, error) {
	var req projectRequest
	if err := decode(r, &req); err != nil {
		return reply{}, err
	}
	return c.changeProject(r, &req)
}

func (c *Cloud) changeProject(r *http.Request, req *projectRequest) (reply, error) {
	return c.writing(http.StatusOK, func(s *state) (object, error) {
		p, err := s.project(r)
		if err != nil {
			return nil, err
		}
		if err := req.change(s, p, c.now()); err != nil {
			return nil, err
		}
		return object{"project": p.view(s)}, nil
	})
}

func (c *Cloud) deleteProject(r *http.Request) (reply, error) {
	return c.writing(http.StatusNoContent, func(s *state) (object, error) {
		p, err := s.project(r)
		switch {
		case err != nil:
			return nil, err
		case p.Default:
			return nil, forbidden("cannot delete the default project")
		case s.holds(p):
			return nil, &refusal{
				status: http.StatusPreconditionFailed, id: "precondition_failed",
				message: "cannot delete a project with resources. move or remove the resources first",
			}
		}
		delete(s.Projects, p.ID)
		return nil, nil
	})
}

// projectByID is the id of a project that a request names, checked; none means
// the default one.
func (s *state) projectByID(id string) (*projectRow, error) {
	if id == "" {
		return s.defaultProject(), nil
	}
	if p := s.Projects[id]; p != nil {
		return p, nil
	}
	return nil, unprocessable("project_id %.40q names no project", id)
}
