package rentals_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"berth"
	"berth/ops/opstest"
)

// roles are those that every endpoint is tried by, in the order of the table's
// statuses.
var roles = []string{"owner", "admin", "user", "invited", "stranger", "nobody"}

// scene is a pool with a rental and somebody of every role.
type scene struct {
	people map[string]opstest.Principal
	target opstest.Principal // one more user
	words  *strings.Replacer // what stands for the ids in a path or body
}

// scene makes a new pool; rented tells whether its owner has rented into it.
func (r *rig) scene(rented bool) scene {
	s := scene{people: map[string]opstest.Principal{}, target: r.Principal()}
	for _, role := range roles[:5] {
		s.people[role] = r.Principal()
	}
	owner := s.people["owner"]
	pool := r.Pool(owner)
	r.Join(owner, pool, s.people["admin"], "admin")
	r.Join(owner, pool, s.people["user"], "user")
	r.Join(owner, pool, s.target, "user")
	invitation := r.Invite(owner, pool, s.people["invited"], "user")
	rental := "000000000000000000000000"
	if rented {
		rental = r.rental(owner, pool)
	}
	s.words = strings.NewReplacer(
		"POOL", pool.Hex(), "INVITATION", invitation.Hex(), "RENTAL", rental, "OFFER", r.offer(owner),
		"TARGET", s.target.ID.Hex(), "NEWCOMER", r.Principal().Username,
	)
	return s
}

// TestRoles tries every endpoint with the pool, invitation and rental of others,
// by every role.
func TestRoles(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.Local(0)
	anybody := [6]int{200, 200, 200, 200, 200, 402}
	members := [6]int{200, 200, 200, 404, 404, 402}
	owners := [6]int{200, 403, 403, 404, 404, 402}
	admins := [6]int{200, 200, 403, 404, 404, 402}
	whoIsInvited := [6]int{404, 404, 404, 200, 404, 402}
	for _, c := range []struct {
		method, path, body string
		want               [6]int
	}{
		{"GET", "/pools", "", anybody},
		{"GET", "/pools/POOL", "", members},
		{"POST", "/pools", `{"name":"Another"}`, [6]int{201, 201, 201, 201, 201, 402}},
		{"PATCH", "/pools/POOL", `{"description":"new"}`, owners},
		{"DELETE", "/pools/POOL", "", owners},
		{"GET", "/pools/invitations/pending", "", anybody},
		{"POST", "/pools/INVITATION/accept", "", whoIsInvited},
		{"POST", "/pools/INVITATION/reject", "", whoIsInvited},
		{"POST", "/pools/POOL/members", `{"username":"NEWCOMER","role":"user"}`, [6]int{201, 201, 403, 404, 404, 402}},
		{"PATCH", "/pools/POOL/members/TARGET", `{"role":"admin"}`, owners},
		{"DELETE", "/pools/POOL/members/TARGET", "", admins},
		{"DELETE", "/pools/POOL/members/SELF", "", [6]int{409, 200, 200, 404, 404, 402}},
		{"GET", "/rentals", "", anybody},
		{"GET", "/rentals/RENTAL", "", members},
		{"POST", "/rentals/RENTAL/extend", `{"additional_days":1}`, admins},
		{"GET", "/servers/available?featured_only=true&country=DE", "", anybody},
		{"GET", "/servers", "", anybody},
		{"GET", "/servers/RENTAL", "", members},
		{"POST", "/servers/OFFER/rent", `{"rental_days":1}`, [6]int{201, 201, 201, 201, 201, 402}},
		{"POST", "/servers/OFFER/rent", `{"rental_days":1,"pool_id":"POOL"}`, [6]int{201, 201, 403, 404, 404, 402}},
	} {
		for i, role := range roles {
			t.Run(fmt.Sprint(c.method, c.path, " by ", role), func(t *testing.T) {
				s := r.scene(strings.Contains(c.path, "RENTAL"))
				who := s.people[role]
				self := who.ID
				if role == "nobody" {
					self = s.target.ID
				}
				at := func(text string) string { return strings.ReplaceAll(s.words.Replace(text), "SELF", self.Hex()) }
				var body any
				if c.body != "" {
					body = at(c.body)
				}
				before := r.State()
				a := r.send(c.method, at(c.path), who.Token, body)
				if a.status != c.want[i] {
					t.Fatalf("status %d, want %d: %s %s", a.status, c.want[i], a.Message, a.Data)
				}
				if a.status >= 300 && fmt.Sprint(r.State()) != fmt.Sprint(before) {
					t.Errorf("the refusal changed something: %v, was %v", r.State(), before)
				}
				r.Settle()
			})
		}
	}
	r.Verify()
}

// TestAnotherRoles tries what depends on who rents and whom it is about.
func TestAnotherRoles(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.scene(false)
	owner, admin, user := s.people["owner"], s.people["admin"], s.people["user"]
	pool := berth.ID(berth.PrefixPool + "_" + s.words.Replace("POOL"))
	second := r.Principal()
	r.Join(owner, pool, second, "admin")

	rental := r.rental(admin, pool)
	for _, p := range []opstest.Principal{owner, admin, second, user} {
		r.must(p, "GET", "/rentals/"+rental, nil, http.StatusOK, nil)
	}
	for _, p := range []opstest.Principal{owner, admin, second} {
		before := r.Balance(p.ID).Available()
		r.must(p, "POST", "/rentals/"+rental+"/extend", in{"additional_days": 1}, http.StatusOK, nil)
		if r.Balance(p.ID).Available() >= before {
			t.Errorf("who extended has %s, as before", before)
		}
	}
	members := "/pools/" + pool.Hex() + "/members/"
	r.must(admin, "DELETE", members+second.ID.Hex(), nil, http.StatusForbidden, nil) // admins remove users only
	r.must(admin, "DELETE", members+owner.ID.Hex(), nil, http.StatusForbidden, nil)
	r.must(owner, "DELETE", members+second.ID.Hex(), nil, http.StatusOK, nil)
	r.must(second, "GET", "/rentals/"+rental, nil, http.StatusNotFound, nil)
	r.must(admin, "DELETE", members+admin.ID.Hex(), nil, http.StatusOK, nil) // whose rental leaves with it
	r.must(owner, "GET", "/rentals/"+rental, nil, http.StatusNotFound, nil)
	var d struct {
		PoolID string `json:"pool_id"`
	}
	if r.must(admin, "GET", "/rentals/"+rental, nil, http.StatusOK, &d); d.PoolID != admin.ID.Hex() {
		t.Errorf("it is in the pool %s, want the default pool %s", d.PoolID, admin.ID.Hex())
	}
}
