package instances

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"berth"
	"berth/api"
	"berth/billing"
	"berth/fleet"
	"berth/ops"
)

// The namespaces of the ids, which are of UUID's version 5 (RFC 9562): a host node
// and its location have those of the catalog's slug of their region in each.
var (
	nodeSpace     = uuid.MustParse("efb27e90-5407-448d-a958-dd42dc58cf77")
	locationSpace = uuid.MustParse("3e3dc4c7-0f6e-4759-b4ec-2e3126c1f4ed")
	organization  = uuid.NewSHA1(locationSpace, []byte(engine))
)

// engine is what runs all host nodes, and whose they are.
const engine = "Berth"

type hostnodes struct {
	Nodes []hostnode `json:"hostnodes"`
}

// hostnode is a region as the document has its host nodes.
type hostnode struct {
	ID        string    `json:"id" doc:"The same for the same region, always."`
	Location  string    `json:"location_id"`
	Engine    string    `json:"engine"`
	Uptime    *float64  `json:"uptime_percentage" doc:"Null: nobody has measured it."`
	Available available `json:"available_resources" doc:"The most of each that one instance can have here now."`
	Pricing   *pricing  `json:"pricing" doc:"US dollars an hour. Null where only whole sizes have prices."`
	Where     location  `json:"location"`
}

type available struct {
	GPUs    []gpu `json:"gpus"`
	VCPUs   int   `json:"vcpu_count"`
	RAM     int   `json:"ram_gb"`
	Storage int   `json:"storage_gb"`
	Ports   []int `json:"available_ports,omitempty" doc:"External ports that each instance has for itself."`
}

type gpu struct {
	Name  string      `json:"v0Name"`
	Count int         `json:"availableCount" doc:"For one instance."`
	Price json.Number `json:"price_per_hr" doc:"Of each, in US dollars, beside the rest of the instance."`

	price berth.Micros
}

type pricing struct {
	VCPU    json.Number `json:"per_vcpu_hr"`
	RAM     json.Number `json:"per_gb_ram_hr"`
	Storage json.Number `json:"per_gb_storage_hr"`
}

type location struct {
	UUID           string `json:"uuid"`
	City           string `json:"city"`
	State          string `json:"stateprovince" doc:"Empty where there are none."`
	Country        string `json:"country"`
	NetworkStorage bool   `json:"has_network_storage"`
	Speed          *int   `json:"network_speed_gbps" doc:"Null: not known."`
	UploadSpeed    *int   `json:"network_speed_upload_gbps" doc:"Null: not known."`
	Organization   string `json:"organization"`
	OrgName        string `json:"organizationName"`
	Tier           *int   `json:"tier" doc:"Null: not known."`
}

// nodeID is the id of a region's host node.
func nodeID(r billing.SoldRegion) string {
	return uuid.NewSHA1(nodeSpace, []byte(r.RegionSlug)).String()
}

// find is the region whose host node has an id.
func find(l *billing.PriceList, id string) (billing.SoldRegion, bool) {
	i := slices.IndexFunc(l.Regions, func(r billing.SoldRegion) bool { return nodeID(r) == strings.ToLower(id) })
	if i < 0 {
		return billing.SoldRegion{}, false
	}
	return l.Regions[i], true
}

// nodesOf names the host nodes of regions for a reader.
func nodesOf(l *billing.PriceList, in func(billing.SoldRegion) bool) string {
	var names []string
	for _, r := range l.Regions {
		if in(r) {
			names = append(names, fmt.Sprintf("%s (%s)", nodeID(r), r.Region.Name))
		}
	}
	return strings.Join(names, ", ")
}

// exact is an amount as a JSON number, never by way of a float.
func exact(m berth.Micros) json.Number { return json.Number(m.Decimal().String()) }

func serveNodes(x *api.Exchange) (any, error) {
	all, err := offers(x, map[string]any{})
	if err != nil {
		return nil, err
	}
	out := hostnodes{Nodes: []hostnode{}}
	for _, r := range x.Prices().Regions {
		if r.Unlisted {
			continue
		}
		n, err := viewNode(x.Prices(), r, all)
		if err != nil {
			return nil, err
		}
		out.Nodes = append(out.Nodes, n)
	}
	return document[hostnodes]{out}, nil
}

func serveNode(x *api.Exchange) (any, error) {
	r, ok := find(x.Prices(), x.Request.PathValue("uuid"))
	if !ok {
		return nil, berth.Errorf(berth.NotFound, "there is no such host node: GET /api/v2/hostnodes lists those there are")
	}
	all, err := offers(x, map[string]any{"region": r.Slug})
	if err != nil {
		return nil, err
	}
	out, err := viewNode(x.Prices(), r, all)
	for port := fleet.FirstForward; port <= fleet.LastForward; port++ {
		out.Available.Ports = append(out.Available.Ports, port)
	}
	return document[hostnode]{out}, err
}

// viewNode is a region with what the offers that are there say of it.
func viewNode(l *billing.PriceList, r billing.SoldRegion, all []ops.OfferView) (hostnode, error) {
	where := uuid.NewSHA1(locationSpace, []byte(r.RegionSlug)).String()
	out := hostnode{
		ID: nodeID(r), Location: where, Engine: engine, Available: available{GPUs: []gpu{}},
		Where: location{
			UUID: where, City: r.Region.City, State: r.Region.State, Country: r.Region.CountryName,
			Organization: organization.String(), OrgName: engine,
		},
	}
	if l.Rates != nil {
		out.Pricing = &pricing{exact(l.Rates.VCPU), exact(l.Rates.MemoryGB), exact(l.Rates.DiskGB)}
	}
	for _, o := range all {
		if o.Region.Slug != r.Slug || !toBeHad(o) {
			continue
		}
		if err := out.Available.add(l, o); err != nil {
			return out, err
		}
	}
	return out, nil
}

// add raises what one instance can have by an offer. What only machines with GPUs
// have is not for instances without.
func (a *available) add(l *billing.PriceList, o ops.OfferView) error {
	if o.Specs.GPU == nil {
		v := sized(o.Specs)
		a.VCPUs, a.RAM, a.Storage = max(a.VCPUs, v.VCPUs), max(a.RAM, v.RAM), max(a.Storage, v.Storage)
		return nil
	}
	z, err := l.Size(o.Size)
	if err != nil {
		return err
	}
	price := gpuPrice(l, z)
	i := slices.IndexFunc(a.GPUs, func(g gpu) bool { return g.Name == o.Specs.GPU.Name })
	if i < 0 {
		i = len(a.GPUs)
		a.GPUs = append(a.GPUs, gpu{Name: o.Specs.GPU.Name})
	}
	g := &a.GPUs[i]
	g.Count, g.price = max(g.Count, o.Specs.GPU.Count), max(g.price, price)
	g.Price = exact(g.price)
	return nil
}

// gpuPrice is what an hour of each of a size's GPUs costs beside the rest of it;
// where only whole sizes have prices, its part of the size's.
func gpuPrice(l *billing.PriceList, z billing.Size) berth.Micros {
	if l.Rates != nil {
		return l.Rates.GPUHourly(z.Machine)
	}
	return z.Hourly / berth.Micros(z.Machine.GPU.Count)
}
