package instances

import (
	"encoding/json"
	"time"

	"berth"
	"berth/api"
	"berth/billing"
	"berth/fleet"
	"berth/ops"
)

// kind is the one type of instance that there is.
const kind = "virtualmachine"

// Summary is an instance as the document has it.
type Summary struct {
	Type   string   `json:"type" enum:"virtualmachine"`
	ID     berth.ID `json:"id" example:"srv_0193f2a4c1d05e6f7a8b9c0d"`
	Name   string   `json:"name"`
	Status string   `json:"status" enum:"provisioning,running,stopped,suspended,deleting,deleted,error"`
}

// Granted is what an instance has, which can be more than was asked for, and what
// it costs.
type Granted struct {
	Resources resources   `json:"resources"`
	Price     json.Number `json:"price_per_hr" doc:"US dollars; it never changes for this instance."`
}

type resources struct {
	VCPUs   int              `json:"vcpu_count"`
	RAM     int              `json:"ram_gb"`
	Storage int              `json:"storage_gb"`
	GPUs    map[string]count `json:"gpus"`
}

type count struct {
	Count int `json:"count"`
}

// instance is all of an instance.
type instance struct {
	Summary
	Granted
	Image    string            `json:"image"`
	Node     string            `json:"hostnode_id"`
	IP       *string           `json:"ip_address" doc:"Null until there is one."`
	SSHPort  int               `json:"ssh_port,omitempty"`
	Forwards []ops.PortForward `json:"port_forwards"`
	Created  time.Time         `json:"created_at"`
	Error    string            `json:"error,omitempty" doc:"Why it failed."`
	Note     string            `json:"note,omitempty"`
}

type instances struct {
	Instances []instance `json:"instances"`
}

// statuses are the contract's words for a server's states, of which the document
// has one.
var statuses = map[fleet.Status]string{
	fleet.Provisioning: "provisioning", fleet.Active: "running", fleet.Off: "stopped", fleet.Suspended: "suspended",
	fleet.Destroying: "deleting", fleet.Destroyed: "deleted", fleet.Failed: "error",
}

// sized are a machine's resources in the document's units.
func sized(s ops.OfferSpecs) resources {
	const mbPerGB = 1024
	out := resources{VCPUs: s.VCPUs, RAM: s.MemoryMB / mbPerGB, Storage: s.DiskGB, GPUs: map[string]count{}}
	if s.GPU != nil {
		out.GPUs[s.GPU.Name] = count{s.GPU.Count}
	}
	return out
}

func summarise(v ops.ServerView) Summary { return Summary{kind, v.ID, v.Label, statuses[v.Status]} }

// view is an instance with what its size has. Its disk can be larger, once it has
// been resized natively.
func view(l *billing.PriceList, v ops.ServerView) (instance, error) {
	z, err := l.Size(v.Size)
	if err != nil {
		return instance{}, err
	}
	m := z.Machine
	specs := ops.OfferSpecs{VCPUs: m.VCPUs, MemoryMB: m.MemoryMB, DiskGB: max(v.DiskGB, m.DiskGB)}
	if m.GPU.Count > 0 {
		specs.GPU = &ops.OfferGPU{Name: m.GPU.Name, Count: m.GPU.Count}
	}
	out := instance{
		Summary: summarise(v), Granted: Granted{sized(specs), exact(v.Hourly)}, Image: v.Image, IP: v.IP, SSHPort: v.SSHPort,
		Forwards: v.PortForwards, Created: v.CreatedAt, Error: v.Error, Note: v.Note,
	}
	if out.Forwards == nil {
		out.Forwards = []ops.PortForward{}
	}
	for _, r := range l.Regions {
		if r.Slug == v.Region {
			out.Node = nodeID(r)
		}
	}
	return out, nil
}

func serveList(x *api.Exchange) (any, error) {
	found, err := api.All(x, "list_servers", map[string]any{"failed": true}, mostListed, ops.ServersOut.Page)
	if err != nil {
		return nil, err
	}
	out := instances{make([]instance, len(found))}
	for i, v := range found {
		if out.Instances[i], err = view(x.Prices(), v); err != nil {
			return nil, err
		}
	}
	return document[instances]{out}, nil
}

// named is the input that names the instance in the path.
func named(x *api.Exchange) map[string]any {
	return map[string]any{"server_id": x.Request.PathValue("id")}
}

func serveGet(x *api.Exchange) (any, error) {
	v, err := api.Run[ops.ServerView](x, "get_server", named(x))
	if err != nil {
		return nil, err
	}
	out, err := view(x.Prices(), v)
	return document[instance]{out}, err
}

// power starts or stops an instance, and tells what it is when that is done or has
// taken too long.
func power(action string) func(*api.Exchange) (any, error) {
	return func(x *api.Exchange) (any, error) {
		args := named(x)
		args["action"] = action
		out, _, err := api.RunFor[ops.WorkOut](x, "power_server", args, wait)
		return document[Summary]{summarise(out.Server)}, err
	}
}

// serveDelete gives up the disk as well. The work goes on.
func serveDelete(x *api.Exchange) (any, error) {
	before, err := api.Run[ops.ServerView](x, "get_server", named(x))
	if err != nil {
		return nil, err
	}
	args := named(x)
	args["discard"] = true
	out, err := api.Run[ops.DestroyOut](x, "destroy_server", args)
	before.Status = out.Status
	return document[Summary]{summarise(before)}, err
}
