package hourly

import (
	"maps"
	"net/http"
	"time"

	"berth"
	"berth/api"
	"berth/fleet"
	"berth/ops"
)

// most is how many things a list has: more than any account keeps.
const most = 10_000

type deploy struct {
	Label  string `json:"label" minLength:"1" maxLength:"64" pattern:"^[a-zA-Z0-9._-]+$"`
	Plan   string `json:"planId" minLength:"1" maxLength:"64"`
	Region string `json:"regionId" minLength:"1" maxLength:"64"`
}

type deployMany struct {
	Label  string `json:"label" minLength:"1" maxLength:"64" pattern:"^[a-zA-Z0-9._-]+$" doc:"The servers' labels end in -1, -2 and so on."`
	Count  int    `json:"count" minimum:"1" maximum:"10"`
	Plan   string `json:"planId" minLength:"1" maxLength:"64"`
	Region string `json:"regionId" minLength:"1" maxLength:"64"`
}

var (
	deployForm     = ops.NewForm[deploy]()
	deployManyForm = ops.NewForm[deployMany]()
)

// order is create_server's input for a server of a plan in a region.
func order(label, plan, region string) map[string]any {
	return map[string]any{"label": label, "size": plan, "region": region, "lease": "hourly", "all_ssh_keys": true}
}

// server is a server as the document has it. What stands after createdAt is told
// of one server by itself, where there is something to tell.
type server struct {
	ID        berth.ID  `json:"id"`
	Label     string    `json:"label"`
	Status    string    `json:"status" enum:"PROVISIONING,ACTIVE,SUSPENDED,DESTROYING,DESTROYED,ERROR"`
	Region    string    `json:"region"`
	Plan      string    `json:"plan"`
	IPv4      *string   `json:"ipv4" doc:"Null until there is one."`
	Hourly    string    `json:"hourlyPrice" doc:"US dollars; it never changes for this server."`
	CreatedAt time.Time `json:"createdAt"`

	RootPassword string `json:"rootPassword,omitempty"`
	SSHPort      int    `json:"sshPort,omitempty" doc:"Where it is not 22."`
	Error        string `json:"error,omitempty" doc:"Why the server failed."`
}

type oneServer struct {
	Server server `json:"server"`
}

type servers struct {
	Servers []server `json:"servers"`
}

// statuses are the document's words for a server's states. Whoever turns a server
// off does so elsewhere; here it looks like any that is off and can come back.
var statuses = map[fleet.Status]string{
	fleet.Provisioning: "PROVISIONING", fleet.Active: "ACTIVE", fleet.Off: "SUSPENDED", fleet.Suspended: "SUSPENDED",
	fleet.Destroying: "DESTROYING", fleet.Destroyed: "DESTROYED", fleet.Failed: "ERROR",
}

func serverRoutes() []api.ContractRoute {
	example := order("my-bot", "vc2-1c-1gb", "ams")
	many := maps.Clone(example)
	many["count"] = 1
	gone, unable := []int{http.StatusNotFound}, []int{http.StatusConflict, http.StatusServiceUnavailable}
	return []api.ContractRoute{
		{Method: "GET", Path: "/servers", Status: http.StatusOK, Summary: "List all servers that are not destroyed", Answer: servers{}, Serve: serveList},
		{Method: "GET", Path: "/servers/{id}", Status: http.StatusOK, Summary: "Look at a server", Answer: oneServer{}, Errors: gone, Serve: serveGet},
		{
			Method: "POST", Path: "/servers", Status: http.StatusAccepted, Summary: "Deploy a server",
			Body: deploy{}, Answer: oneServer{}, Errors: unable, Serve: serveDeploy, Probe: api.Probe{Op: "create_server", Args: example},
		},
		{
			Method: "POST", Path: "/servers/bulk", Status: http.StatusAccepted, Summary: "Deploy up to 10 servers",
			Body: deployMany{}, Answer: servers{}, Errors: unable, Serve: serveDeployMany, Probe: api.Probe{Op: "create_servers", Args: many},
		},
		{
			Method: "DELETE", Path: "/servers/{id}", Status: http.StatusAccepted, Summary: "Destroy a server",
			Answer: done{}, Errors: append(gone, http.StatusConflict), Serve: serveDestroy,
		},
	}
}

// viewServer is a server without what is told of one by itself.
func viewServer(v ops.ServerView) server {
	return server{
		ID: v.ID, Label: v.Label, Status: statuses[v.Status], Region: v.Region, Plan: v.Size, IPv4: v.IP,
		Hourly: rate(v.Hourly), CreatedAt: v.CreatedAt,
	}
}

func viewServers(list []ops.ServerView) servers {
	out := servers{make([]server, len(list))}
	for i, v := range list {
		out.Servers[i] = viewServer(v)
	}
	return out
}

func serveList(x *api.Exchange) (any, error) {
	all, err := api.All(x, "list_servers", map[string]any{"failed": true}, most, ops.ServersOut.Page)
	return viewServers(all), err
}

func serveGet(x *api.Exchange) (any, error) {
	v, err := api.Run[ops.ServerView](x, "get_server", map[string]any{"server_id": x.Request.PathValue("id"), "reveal_credentials": true})
	if err != nil {
		return nil, err
	}
	out := viewServer(v)
	out.RootPassword, out.Error = v.RootPassword, v.Error
	if v.SSHPort != sshPort {
		out.SSHPort = v.SSHPort
	}
	return oneServer{out}, nil
}

// sshPort is where clients look for SSH unless they are told otherwise.
const sshPort = 22

func serveDeploy(x *api.Exchange) (any, error) {
	in, err := api.Body(x, deployForm)
	if err = unsold(x, err); err != nil {
		return nil, err
	}
	out, err := api.Run[ops.CreateServerOut](x, "create_server", order(in.Label, in.Plan, in.Region))
	return oneServer{viewServer(out.ServerView)}, err
}

func serveDeployMany(x *api.Exchange) (any, error) {
	in, err := api.Body(x, deployManyForm)
	if err = unsold(x, err); err != nil {
		return nil, err
	}
	args := order(in.Label, in.Plan, in.Region)
	args["count"] = in.Count
	out, err := api.Run[ops.FleetOut](x, "create_servers", args)
	return viewServers(out.Servers), err
}

func serveDestroy(x *api.Exchange) (any, error) {
	_, err := api.Run[ops.DestroyOut](x, "destroy_server", map[string]any{"server_id": x.Request.PathValue("id"), "discard": true})
	return done{true}, err
}
