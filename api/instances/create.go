package instances

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"berth"
	"berth/api"
	"berth/billing"
	"berth/fleet"
	"berth/ops"
)

// wait is how long an answer waits for an instance to be as it is to be.
const wait = 45 * time.Second

// create is the document's request for an instance.
type create struct {
	Data createData `json:"data"`
}

type createData struct {
	Type       string     `json:"type,omitempty" enum:"virtualmachine"`
	Attributes attributes `json:"attributes"`
}

type attributes struct {
	Name      string            `json:"name" minLength:"1" maxLength:"64" pattern:"^[a-zA-Z0-9._-]+$" patternDescription:"letters, digits, dots, underscores and dashes"`
	Type      string            `json:"type,omitempty" enum:"virtualmachine"`
	Image     string            `json:"image" minLength:"1" maxLength:"64" example:"ubuntu2404"`
	Node      string            `json:"hostnode_id" minLength:"1" maxLength:"64"`
	Resources wanted            `json:"resources"`
	Forwards  []ops.PortForward `json:"port_forwards,omitempty" maxItems:"20"`
	KeyID     string            `json:"ssh_key_id,omitempty" maxLength:"64" doc:"Either this, or ssh_key."`
	Key       string            `json:"ssh_key,omitempty" maxLength:"8192" doc:"A whole public key, which is registered too."`
	CloudInit *ops.CloudInitIn  `json:"cloud_init,omitempty"`
}

// wanted are the least resources that an instance is to have.
type wanted struct {
	VCPUs   int                  `json:"vcpu_count" minimum:"1" maximum:"10000"`
	RAM     int                  `json:"ram_gb" minimum:"1" maximum:"100000"`
	Storage int                  `json:"storage_gb" minimum:"1" maximum:"1000000"`
	GPUs    map[string]gpuWanted `json:"gpus,omitempty" doc:"By v0Name. At most one kind."`
}

type gpuWanted struct {
	Count int `json:"count" minimum:"1" maximum:"1000"`
}

var createForm = ops.NewForm[create]()

// created is what the document answers, with what was granted.
type created struct {
	Summary
	Granted
}

func serveCreate(x *api.Exchange) (any, error) {
	in, err := api.Body(x, createForm)
	if err != nil {
		return nil, err
	}
	of := in.Data.Attributes
	if (of.KeyID == "") == (of.Key == "") {
		return nil, wrong("ssh_key", "give either ssh_key_id or ssh_key")
	}
	if _, err := x.Prices().Image(of.Image); err != nil {
		return nil, err
	}
	node, ok := find(x.Prices(), of.Node)
	if !ok {
		there := nodesOf(x.Prices(), func(r billing.SoldRegion) bool { return !r.Unlisted })
		return nil, wrong("hostnode_id", fmt.Sprintf("there is no host node %.64q. Those there are: %s", of.Node, there))
	}
	fit, err := of.Resources.fitting(x)
	if err != nil {
		return nil, err
	}
	if of.Key != "" {
		if of.KeyID, err = register(x, of.Name, of.Key); err != nil {
			return nil, err
		}
	}
	out, err := buy(x, of, node, fit)
	if err != nil {
		return nil, err
	}
	v, err := view(x.Prices(), out.ServerView)
	return document[created]{created{v.Summary, v.Granted}}, err
}

// fitting are the offers that have the resources, of all host nodes, the cheapest
// first. GPUs are not for who did not ask for them.
func (w wanted) fitting(x *api.Exchange) ([]ops.OfferView, error) {
	const mbPerGB = 1024
	filters := map[string]any{"min_vcpus": w.VCPUs, "min_memory_mb": w.RAM * mbPerGB, "min_disk_gb": w.Storage}
	for name, g := range w.GPUs {
		filters["gpu"], filters["min_gpus"] = name, g.Count
	}
	if err := w.check(x.Prices()); err != nil {
		return nil, err
	}
	list, err := offers(x, filters)
	if err != nil {
		return nil, err
	}
	if len(w.GPUs) == 0 {
		list = slices.DeleteFunc(list, func(o ops.OfferView) bool { return o.Specs.GPU != nil })
	}
	if len(list) == 0 {
		return nil, wrong("resources", fmt.Sprintf("no instance has %s. At most %s", w, most(x.Prices(), w.GPUs)))
	}
	return list, nil
}

// check refuses GPUs that there are none of, and more than one kind of them.
func (w wanted) check(l *billing.PriceList) error {
	if len(w.GPUs) > 1 {
		return wrong("resources.gpus", "an instance has GPUs of one kind")
	}
	kinds := map[string]bool{}
	for _, z := range l.NewSizes() {
		if g := z.Machine.GPU; g.Count > 0 {
			kinds[g.Name] = true
		}
	}
	for name := range w.GPUs {
		if !kinds[name] {
			return wrong("resources.gpus", fmt.Sprintf("there are no GPUs %.64q. Those there are: %s; GET /api/v2/hostnodes tells where", name, strings.Join(slices.Sorted(maps.Keys(kinds)), ", ")))
		}
	}
	return nil
}

// String says what is wanted, for a reader.
func (w wanted) String() string {
	text := fmt.Sprintf("%d vCPUs, %d GB of memory and %d GB of storage", w.VCPUs, w.RAM, w.Storage)
	for name, g := range w.GPUs {
		text += fmt.Sprintf(" with %d × %s", g.Count, name)
	}
	return text
}

// most says how much of each resource there is at all, in sizes with such GPUs, or
// with none.
func most(l *billing.PriceList, gpus map[string]gpuWanted) string {
	w := wanted{GPUs: map[string]gpuWanted{}}
	for _, z := range l.NewSizes() {
		m := z.Machine
		_, asked := gpus[m.GPU.Name]
		if (m.GPU.Count > 0) != (len(gpus) > 0) || m.GPU.Count > 0 && !asked {
			continue
		}
		v := sized(ops.OfferSpecs{VCPUs: m.VCPUs, MemoryMB: m.MemoryMB, DiskGB: m.DiskGB})
		w.VCPUs, w.RAM, w.Storage = max(w.VCPUs, v.VCPUs), max(w.RAM, v.RAM), max(w.Storage, v.Storage)
		if asked {
			w.GPUs[m.GPU.Name] = gpuWanted{max(w.GPUs[m.GPU.Name].Count, m.GPU.Count)}
		}
	}
	return w.String()
}

// register finds a public key among the account's, or adds it under a name.
func register(x *api.Exchange, name, line string) (string, error) {
	public, _, err := fleet.ParseKey(line)
	if err != nil {
		return "", err
	}
	id, err := registered(x, public)
	if id != "" || err != nil {
		return id, err
	}
	out, err := api.Run[ops.AddKeyOut](x, "add_ssh_key", map[string]any{"name": name, "public_key": line})
	if err != nil && berth.CodeOf(err) == berth.Conflict { // by another request just now
		return registered(x, public)
	}
	return string(out.ID), err
}

// registered is the id of a key among the account's, empty for none.
func registered(x *api.Exchange, public string) (string, error) {
	out, err := api.Run[ops.KeysOut](x, "list_ssh_keys", nil)
	i := slices.IndexFunc(out.Keys, func(k ops.KeyView) bool { return k.PublicKey == public })
	if i < 0 {
		return "", err
	}
	return string(out.Keys[i].ID), err
}

// buy buys the first of the offers of a host node that can be had. A repetition
// under an idempotency key finds the one that was bought, by trying them in the
// same order.
func buy(x *api.Exchange, of attributes, node billing.SoldRegion, fit []ops.OfferView) (ops.CreateServerOut, error) {
	args, err := of.args()
	if err != nil {
		return ops.CreateServerOut{}, err
	}
	for _, o := range fit {
		if o.Region.Slug != node.Slug {
			continue
		}
		args["offer_id"] = string(o.ID)
		out, _, tried := api.RunFor[ops.CreateServerOut](x, "create_server", args, wait)
		if tried == nil || !elsewhere(tried) {
			return out, tried
		}
		if err == nil || berth.CodeOf(tried) == berth.IdempotencyConflict {
			err = tried
		}
	}
	if err != nil && berth.CodeOf(err) == berth.IdempotencyConflict {
		return ops.CreateServerOut{}, err
	}
	return ops.CreateServerOut{}, none(x.Prices(), of.Resources, fit)
}

// args are create_server's inputs, but for the offer.
func (of attributes) args() (args map[string]any, err error) {
	text, err := json.Marshal(map[string]any{
		"label": of.Name, "image": of.Image, "lease": "hourly", "ssh_key_ids": []string{of.KeyID}, "port_forwards": of.Forwards, "cloud_init": of.CloudInit,
	})
	if err == nil {
		err = json.Unmarshal(text, &args)
	}
	return args, err
}

// elsewhere tells whether another offer may do where one did not.
func elsewhere(err error) bool {
	var e *berth.Error
	return errors.As(err, &e) && (e.Code == berth.IdempotencyConflict || e.Code == berth.OutOfCapacity && e.RetryAfter == 0)
}

// none says that a host node can't make what is wanted now, and which can.
func none(l *billing.PriceList, w wanted, fit []ops.OfferView) error {
	where := nodesOf(l, func(r billing.SoldRegion) bool {
		return slices.ContainsFunc(fit, func(o ops.OfferView) bool { return o.Region.Slug == r.Slug && toBeHad(o) })
	})
	if where == "" {
		where = "none at present"
	}
	return berth.Errorf(berth.OutOfCapacity, "%s are not to be had at this host node now", w).Hinted("host nodes that have them: %s", where)
}
