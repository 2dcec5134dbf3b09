package instances_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"testing"

	"berth"
	"berth/api/apitest"
	"berth/api/instances"
	"berth/billing"
	"berth/ops/opstest"
)

// object is a JSON object.
type object = map[string]any

// rig is the contract over a whole Berth, which carries out what was begun by
// itself.
type rig struct {
	*opstest.World
	t     *testing.T
	front *apitest.Front
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{World: opstest.New(t), t: t}
	r.Local(0) // the operator acts beside it
	r.front = apitest.Serve(t, r.World, instances.Contract())
	r.Drive()
	return r
}

// prices are the contract's.
func (r *rig) prices() *billing.PriceList { return r.Catalog.Prices[billing.Instances] }

// send sends a request and returns its status, its answer and its headers.
// headers are names and values in turn.
func (r *rig) send(method, path, token string, body any, headers ...string) (int, object, http.Header) {
	r.t.Helper()
	res := r.front.Send(method, path, token, body, headers...)
	var out object
	d := json.NewDecoder(bytes.NewReader(res.Body))
	d.UseNumber()
	if err := d.Decode(&out); err != nil {
		r.t.Fatalf("%s %s: %d: %v", method, path, res.Status, err)
	}
	return res.Status, out, res.Header
}

// must sends a request that has to be answered with a status, and returns its data.
func (r *rig) must(status int, method, path, token string, body any) object {
	r.t.Helper()
	got, out, _ := r.send(method, path, token, body)
	data, ok := out["data"].(object)
	if got != status || !ok {
		r.t.Fatalf("%s %s: status %d, want %d: %v", method, path, got, status, out)
	}
	return data
}

// refused sends a request that has to be refused with a status and a code, for one
// reason or more, and returns what is said of them.
func (r *rig) refused(status int, code berth.Code, method, path, token string, body any) (details string, pointers []string) {
	r.t.Helper()
	got, out, _ := r.send(method, path, token, body)
	list, _ := out["errors"].([]any)
	if got != status || len(list) == 0 || len(out) != 1 {
		r.t.Fatalf("%s %s: status %d, want %d: %v", method, path, got, status, out)
	}
	for _, v := range list {
		e := v.(object)
		if e["status"] != json.Number(e["status"].(string)).String() || e["code"] != string(code) || e["title"] != http.StatusText(status) || e["detail"] == "" {
			r.t.Errorf("%s %s: %v, want the code %s", method, path, e, code)
		}
		details += e["detail"].(string) + "\n"
		if of, ok := e["source"].(object); ok {
			pointers = append(pointers, of["pointer"].(string))
		}
	}
	return details, pointers
}

// node is the id of the host node in a city.
func (r *rig) node(city string) string {
	r.t.Helper()
	for _, v := range r.must(http.StatusOK, "GET", "/hostnodes", "", nil)["hostnodes"].([]any) {
		if n := v.(object); n["location"].(object)["city"] == city {
			return n["id"].(string)
		}
	}
	r.t.Fatalf("no host node in %s", city)
	return ""
}

// order is the document's request, with other attributes in the place of its own;
// nil for left out.
func (r *rig) order(changes object) object {
	attributes := object{
		"name": "my-port-forward-instance", "type": "virtualmachine", "image": "ubuntu2404", "hostnode_id": r.node("Amsterdam"),
		"resources":     object{"vcpu_count": 2, "ram_gb": 4, "storage_gb": 300},
		"port_forwards": []object{{"internal_port": 22, "external_port": 20000}, {"internal_port": 80, "external_port": 20001}},
		"cloud_init": object{
			"runcmd": []string{"echo 'Hello World'", "apt-get install -y nginx"}, "packages": []string{"curl", "git"},
			"package_update": true, "package_upgrade": false,
		},
	}
	if changes["ssh_key_id"] == nil {
		attributes["ssh_key"] = opstest.PublicKey()
	}
	for name, v := range changes {
		if attributes[name] = v; v == nil {
			delete(attributes, name)
		}
	}
	return object{"data": object{"type": "virtualmachine", "attributes": attributes}}
}

// small are resources that the smallest size has.
var small = object{"vcpu_count": 1, "ram_gb": 1, "storage_gb": 20}

// create creates an instance and returns its id.
func (r *rig) create(p opstest.Principal) string {
	r.t.Helper()
	out := r.must(http.StatusCreated, "POST", "/instances", p.Token, r.order(object{"resources": small}))
	return out["id"].(string)
}

// refresh lets Berth read what the cloud can deliver: the three sizes of the
// native list in three regions, the largest in two.
func (r *rig) refresh() {
	r.t.Helper()
	if err := r.Fleet.Refresh(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
}
