package rentals_test

import (
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"berth"
	"berth/ops/opstest"
)

// roles are those that every endpoint is tried by, in the order of the table's
// statuses.
var roles = []string{"owner", "admin", "user", "invited", "stranger", "nobody"}

// scene is a pool, maybe with a rental, and somebody of every role.
type scene struct {
	*rig
	pool   berth.ID
	people map[string]opstest.Principal
	words  *strings.Replacer // what stands for the ids in a path or body
}

// scene makes a new pool; rented tells whether its owner has rented into it.
func (r *rig) scene(rented bool) scene {
	s := scene{rig: r, people: map[string]opstest.Principal{}}
	for _, role := range roles[:5] {
		s.people[role] = r.Principal()
	}
	owner := s.people["owner"]
	s.pool = r.Pool(owner)
	r.Join(owner, s.pool, s.people["admin"], "admin")
	r.Join(owner, s.pool, s.people["user"], "user")
	invitation, rental := r.Invite(owner, s.pool, s.people["invited"], "user"), "000000000000000000000000"
	if rented {
		rental = r.rental(owner, s.pool)
	}
	s.words = strings.NewReplacer("POOL", s.pool.Hex(), "INVITATION", invitation.Hex(), "RENTAL", rental, "OFFER", r.offer(owner))
	return s
}

// at is a path or body as somebody sends it: about itself, a new member of the
// pool, or somebody who is none.
func (s scene) at(text string, who opstest.Principal) string {
	if strings.Contains(text, "SELF") && who.ID == "" {
		text = strings.ReplaceAll(text, "SELF", "TARGET")
	}
	if strings.Contains(text, "TARGET") {
		text = strings.ReplaceAll(text, "TARGET", s.Member(s.people["owner"], s.pool).Hex())
	}
	if strings.Contains(text, "NEWCOMER") {
		text = strings.ReplaceAll(text, "NEWCOMER", s.Principal().Username)
	}
	return s.words.Replace(strings.ReplaceAll(text, "SELF", who.ID.Hex()))
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
		t.Run(c.method+c.path, func(t *testing.T) {
			s := r.scene(strings.Contains(c.path, "RENTAL"))
			for i, role := range slices.Backward(roles) { // the owner's call may end what the call is about
				s.try(t, role, c.method, c.path, c.body, c.want[i])
			}
		})
	}
	r.Verify()
}

// try makes a call in a role. A refused one changes nothing.
func (s scene) try(t *testing.T, role, method, path, body string, want int) {
	t.Helper()
	who := s.people[role]
	path = s.at(path, who)
	var sent any
	if body != "" {
		sent = s.at(body, who)
	}
	before := s.State()
	a := s.send(method, path, who.Token, sent)
	if a.status != want {
		t.Fatalf("by %s: status %d, want %d: %s %s", role, a.status, want, a.Message, a.Data)
	}
	if a.status >= 300 && !reflect.DeepEqual(s.State(), before) {
		t.Errorf("the refusal by %s changed something: %v, was %v", role, s.State(), before)
	}
	s.Settle()
}

// TestAnotherRoles tries what depends on who rents and whom it is about.
func TestAnotherRoles(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.scene(false)
	owner, admin, user := s.people["owner"], s.people["admin"], s.people["user"]
	pool := s.pool
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
