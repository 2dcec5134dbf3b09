package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"berth"
)

// renter is a client of the contract of rentals, with an account of its own.
type renter struct {
	*customer
	id     string // of the account, in digits
	native web
}

// register makes an account whose username is name, as the document's examples
// call it.
func register(c *customer, base, name string) *renter {
	c.t.Helper()
	var out struct {
		Token   string `json:"access_token"`
		Account struct{ ID, Username string }
	}
	who := in{"email": name + "@example.com", "password": "correct horse battery"}
	web{base: base}.do(c.t, http.MethodPost, "/v1/auth/register", who, &out)
	if out.Account.Username != name {
		c.t.Fatalf("%s is called %s", name, out.Account.Username)
	}
	_, id, _ := strings.Cut(out.Account.ID, "_")
	return &renter{c.as(out.Token), id, web{base, out.Token}}
}

// made is the id of what an answer holds; path leads to it.
func made(out in, path ...string) string {
	v := out["data"]
	for _, name := range path {
		v = v.(in)[name]
	}
	return v.(in)["id"].(string)
}

// cheap are query parameters that few offers satisfy.
const cheap = "country=US&region=us-west&max_price_per_day=0.30&min_cpu_cores=1&min_ram_gb=1&disk_types=SSD&category=general&available_durations=1,7"

// TestRentals walks every endpoint of the contract of rentals, and everything that
// it refuses.
func TestRentals(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	_, st := h.serve()
	base := "http://" + st.Address
	c := newCustomer(t, "rentals", base+"/api/v1", "", nil)
	lead, jane, dev, other := register(c, base, "team_lead"), register(c, base, "jane_admin"), register(c, base, "new_developer"), register(c, base, "stranger")
	jane.native.do(t, http.MethodPatch, "/v1/me", in{"alias": "Jane Smith"}, nil)

	pool := lead.pools(jane, dev)
	rental := lead.rents(pool, jane)
	c.anonymous(pool)
	lead.refusals(h, other, dev, pool, rental)

	jane.step("member-remove", "DELETE", "/pools/"+pool+"/members/"+dev.id, nil, 200)
	dev.step("rental-get-of-a-pool-that-one-left", "GET", "/rentals/"+rental, nil, 404)
	lead.step("pool-delete", "DELETE", "/pools/"+pool, nil, 200)
	lead.native.do(t, http.MethodDelete, "/v1/servers/srv_"+rental, nil, nil)
	until(t, "the rental is destroyed", func() bool {
		var s server
		lead.native.do(t, http.MethodGet, "/v1/servers/srv_"+rental, nil, &s)
		return s.Status == "destroyed"
	})
	lead.step("rental-get-ended", "GET", "/rentals/"+rental, nil, 200)
	complete(t, "rentals", rentalEndpoints, 200, 201, 400, 401, 402, 403, 404, 405, 409, 429)
	h.verify()
}

// rentalEndpoints are the documented ones.
var rentalEndpoints = []string{
	"GET /pools", "GET /pools/:id", "POST /pools", "PATCH /pools/:id", "DELETE /pools/:id", "GET /pools/invitations/pending",
	"POST /pools/:id/accept", "POST /pools/:id/reject", "POST /pools/:id/members", "PATCH /pools/:id/members/:id",
	"DELETE /pools/:id/members/:id", "GET /rentals", "GET /rentals/:id", "POST /rentals/:id/extend", "GET /servers/available",
	"GET /servers", "GET /servers/:id", "POST /servers/:id/rent",
}

// pools makes a pool with two members, the first of them an admin, by the
// document's own examples.
func (r *renter) pools(jane, dev *renter) (pool string) {
	out := r.step("pool-create", "POST", "/pools", in{
		"name": "Production Team", "description": "Pool for production environment management",
		"settings": in{"auto_approve": true, "max_servers": 20},
	}, 201)
	r.needs(out, "statusCode", "message", "data.id", "data.name", "data.description", "data.owner_id", "data.is_default", "data.settings", "data.created_at")
	pool = made(out)
	r.step("pool-update", "PATCH", "/pools/"+pool, in{
		"description": "Pool for staging and production environments", "settings": in{"auto_approve": false, "max_servers": 15},
	}, 200)

	out = r.step("member-invite", "POST", "/pools/"+pool+"/members", in{"username": "new_developer", "role": "user"}, 201)
	r.needs(out, "data.id", "data.role", "data.is_authorized", "data.invited_at")
	out = dev.step("invitations-pending", "GET", "/pools/invitations/pending", nil, 200)
	r.needs(out["data"].([]any)[0].(in), "id", "pool_id", "pool_name", "pool_description", "role", "invited_by.id", "invited_by.username", "invited_by.alias", "invited_at")
	dev.step("invitation-reject", "POST", "/pools/"+made(in{"data": out["data"].([]any)[0]})+"/reject", nil, 200)
	out = r.do("POST", "/pools/"+pool+"/members", in{"username": "new_developer", "role": "user"}, 201)
	dev.step("invitation-accept", "POST", "/pools/"+made(out)+"/accept", nil, 200)

	out = r.do("POST", "/pools/"+pool+"/members", in{"username": "jane_admin", "role": "user"}, 201)
	jane.do("POST", "/pools/"+made(out)+"/accept", nil, 200)
	r.step("member-update", "PATCH", "/pools/"+pool+"/members/"+jane.id, in{"role": "admin"}, 200)
	return pool
}

// rents browses, rents for a week into a pool, and has an admin extend that.
func (r *renter) rents(pool string, admin *renter) (rental string) {
	out := r.step("servers-available", "GET", "/servers/available?"+cheap, nil, 200)
	offers := out["data"].([]any)
	if len(offers) == 0 {
		r.t.Fatal("there is nothing to rent")
	}
	offer := offers[0].(in)
	r.needs(offer, offered...)
	r.step("servers-available-none", "GET", "/servers/available?cpu_score_type=passmark&min_cpu_score=1&ram_types[]=DDR5&min_total_storage_gb=1&min_bandwidth_mbps=1&min_traffic_tb=1&unlimited_traffic_only=true&featured_only=true", nil, 200)
	r.do("GET", "/servers/available?country=US&max_price_per_day=15&min_cpu_cores=32", nil, 200) // the document's own

	out = r.step("server-rent", "POST", "/servers/"+offer["id"].(string)+"/rent", in{"rental_days": 7, "pool_id": pool}, 201)
	r.needs(out, "data.rental.id", "data.rental.server_id", "data.rental.rental_start", "data.rental.rental_end", "data.rental.hold_days",
		"data.rental.actual_usage_days", "data.rental.status", "data.transaction.id", "data.transaction.amount", "data.transaction.currency")
	rental = made(out, "rental")
	r.native.do(r.t, http.MethodPatch, "/v1/servers/srv_"+rental, in{"label": "node-us-nyc-1"}, nil)
	until(r.t, "the rental is ready", func() bool {
		servers := r.do("GET", "/pools/"+pool, nil, 200)["data"].(in)["servers"].([]any)
		return len(servers) == 1 && servers[0].(in)["is_ready"] == true
	})
	r.look(pool, rental)

	before := admin.native.balance(r.t)
	out = admin.step("rental-extend", "POST", "/rentals/"+rental+"/extend", in{"additional_days": 7}, 200)
	r.needs(out, "data.rental.id", "data.rental.rental_end", "data.rental.status", "data.rental.amount", "data.rental.remaining_days",
		"data.transaction.id", "data.transaction.amount", "data.transaction.currency")
	paid := fmt.Sprint(out["data"].(in)["transaction"].(in)["amount"])
	if after := admin.native.balance(r.t); (before - after).Decimal().String() != paid {
		r.t.Errorf("%s was paid for the extension, and the admin's balance fell from %s to %s", paid, before, after)
	}
	return rental
}

// offered and leased are the documented fields of an offer, and of the server
// within a rental.
var (
	leased = []string{
		"id", "name", "country", "region", "city", "datacenter", "model", "is_vm", "specs.cpu.model", "specs.cpu.cores", "specs.cpu.threads",
		"specs.cpu.score", "specs.cpu.score_type", "specs.ram.capacity_gb", "specs.ram.type", "specs.ram.speed_mhz", "specs.disks.config.count",
		"specs.disks.config.capacity_gb", "specs.disks.config.type", "specs.disks.config.interface", "specs.disks.total_gb", "specs.disks.summary",
		"specs.network.bandwidth_mbps", "specs.network.bandwidth_formatted", "specs.network.traffic_tb", "specs.network.traffic_unlimited",
		"specs.additional.ipv4_count", "specs.additional.ipv6_enabled",
	}
	offered = append([]string{"category", "featured", "popularity_rank", "setup_time_minutes", "pricing.prices", "pricing.price_tiers"}, leased...)
)

// look reads a rental and its pool by every way.
func (r *renter) look(pool, rental string) {
	r.t.Helper()
	out := r.step("pool-list", "GET", "/pools", nil, 200)
	r.needs(out["data"].([]any)[0].(in), "id", "name", "description", "is_default", "settings", "created_at", "updated_at", "owner_id", "user_role", "member_count", "server_count")
	out = r.step("pool-get", "GET", "/pools/"+pool, nil, 200)
	r.needs(out["data"].(in), "id", "name", "description", "is_default", "settings", "created_at", "updated_at", "owner_id", "members.id", "members.role",
		"members.is_authorized", "members.joined_at", "members.user.id", "members.user.username", "members.user.alias",
		"servers.id", "servers.name", "servers.rental_status", "servers.is_ready")
	brief := []string{"id", "rental_start", "rental_end", "status", "amount", "remaining_days", "server_id", "pool_id", "server.id"}
	out = r.step("rental-list", "GET", "/rentals", nil, 200)
	r.needs(out["data"].([]any)[0].(in), brief...)
	out = r.step("server-list", "GET", "/servers", nil, 200)
	r.needs(out["data"].([]any)[0].(in), brief...)
	r.needs(out["data"].([]any)[0].(in)["server"].(in), leased...)
	for _, kind := range []string{"rental", "server"} {
		out = r.step(kind+"-get", "GET", "/"+kind+"s/"+rental, nil, 200)
		r.needs(out["data"].(in), append(brief, "hold_days", "usage_days", "transaction.id", "transaction.amount", "transaction.currency", "transaction.created_at")...)
		r.needs(out["data"].(in)["server"].(in), leased...)
		if days := out["data"].(in)["remaining_days"]; days != 7.0 {
			r.t.Errorf("%v of 7 days remain", days)
		}
	}
}

// anonymous sends what somebody without an account is refused.
func (c *customer) anonymous(pool string) {
	c.step("no-token", "GET", "/pools/"+pool, nil, 402)
	c.step("no-token-and-no-body", "POST", "/pools", nil, 402)
	c.step("no-token-and-an-invalid-body", "POST", "/pools", in{"name": 7}, 400)
	c.as("berth_wrong").step("wrong-token", "GET", "/rentals", nil, 401)
	c.step("no-such-path", "GET", "/rental", nil, 404)
	c.step("no-such-method", "PUT", "/pools", in{"name": "x"}, 405)
}

// refusals sends what the contract refuses.
func (r *renter) refusals(h *house, other, dev *renter, pool, rental string) {
	r.step("pool-create-invalid", "POST", "/pools", in{"description": "without a name"}, 400)
	r.step("servers-available-invalid", "GET", "/servers/available?category=other&min_cpu_cores=many", nil, 400)
	r.step("member-invite-invalid", "POST", "/pools/"+pool+"/members", in{"username": "no name", "role": "owner"}, 400)
	r.step("member-invite-unknown", "POST", "/pools/"+pool+"/members", in{"username": "nobody_here", "role": "user"}, 404)
	r.step("member-invite-twice", "POST", "/pools/"+pool+"/members", in{"username": "new_developer", "role": "user"}, 409)
	r.step("rental-extend-days-not-offered", "POST", "/rentals/"+rental+"/extend", in{"additional_days": 5}, 400)
	r.step("pool-delete-default", "DELETE", "/pools/"+r.id, nil, 409)
	r.step("member-update-no-id", "PATCH", "/pools/"+pool+"/members/somebody", in{"role": "user"}, 404)

	offer := r.do("GET", "/servers/available?"+cheap, nil, 200)["data"].([]any)[0].(in)["id"].(string)
	r.step("server-rent-days-not-offered", "POST", "/servers/"+offer+"/rent", in{"rental_days": 5}, 400)
	r.step("server-rent-unknown", "POST", "/servers/000000000000000000000000/rent", in{"rental_days": 1}, 404)
	dear := r.do("GET", "/servers/available?category=compute&min_cpu_cores=32", nil, 200)["data"].([]any)[0].(in)["id"].(string)
	r.step("server-rent-too-little-money", "POST", "/servers/"+dear+"/rent", in{"rental_days": 30}, 402)

	dev.step("pool-update-by-a-user", "PATCH", "/pools/"+pool, in{"description": "mine"}, 403)
	dev.step("member-invite-by-a-user", "POST", "/pools/"+pool+"/members", in{"username": "stranger", "role": "user"}, 403)
	dev.step("rental-extend-by-a-user", "POST", "/rentals/"+rental+"/extend", in{"additional_days": 1}, 403)
	dev.step("server-rent-into-a-pool-by-a-user", "POST", "/servers/"+offer+"/rent", in{"rental_days": 1, "pool_id": pool}, 403)
	other.step("pool-get-of-others", "GET", "/pools/"+pool, nil, 404)
	other.step("rental-get-of-others", "GET", "/rentals/"+rental, nil, 404)
	other.step("server-rent-into-a-pool-of-others", "POST", "/servers/"+offer+"/rent", in{"rental_days": 1, "pool_id": pool}, 404)
	h.run("account", "update", "stranger@example.com", "--suspended")
	other.step("suspended", "GET", "/rentals", nil, 403)
}

// balance is what the account can spend.
func (c web) balance(t *testing.T) berth.Micros {
	t.Helper()
	var b struct{ Balance berth.Micros }
	c.do(t, http.MethodGet, "/v1/balance", nil, &b)
	return b.Balance
}

// TestTooManyRentalRequests sends more requests than an address may.
func TestTooManyRentalRequests(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.env = append(h.env, "BERTH_RATE_LIMIT=5")
	_, st := h.serve()
	c := newCustomer(t, "rentals", "http://"+st.Address+"/api/v1", "", nil)
	for range 200 {
		res := c.web.get(t, "/pools")
		if res.status != http.StatusTooManyRequests {
			continue
		}
		c.record(t, http.MethodGet, "/pools", nil, res).compare(t, c.contract, "too-many-requests")
		return
	}
	t.Error("200 requests were sent without a refusal")
}
