package ops_test

import (
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/go-cmp/cmp"

	"berth"
	"berth/account"
	"berth/ops"
	"berth/ops/opstest"
)

// refusal is a call that has to be refused.
type refusal struct {
	name  string
	args  opstest.Args
	creds []ops.Credential
	code  berth.Code
	field string // that Fields must name, if any
	twin  string // with not_found: what stands for the id, to compare with an unknown one
}

// TestRefusals tries every operation of the table with every kind of input
// that it must refuse: each is answered by a typed error, in the same words on
// every front, and changes nothing.
func TestRefusals(t *testing.T) {
	w := opstest.New(t)
	w.Local(0)
	f := newFronts(t, w)
	cast := cast{
		owner: w.Principal(), other: w.Principal(),
		suspended: w.Principal(func(p *account.Principal, _ *account.APIKey) { p.Suspended = true }),
	}
	cast.makeThings(w)
	for _, op := range w.System.Table().All() {
		t.Run(op.Name, func(t *testing.T) {
			cases := refusals(w, cast, op)
			before := w.State()
			for _, c := range cases {
				t.Run(c.name, func(t *testing.T) {
					e := f.refuse(t, op, c)
					if after := w.State(); !cmp.Equal(before, after) {
						t.Errorf("it changed something: %s", cmp.Diff(before, after))
					}
					check(t, c, e)
				})
			}
		})
	}
	w.Verify()
}

// check checks an error for what every caller needs of it.
func check(t *testing.T, c refusal, e *berth.Error) {
	t.Helper()
	if e.Code != c.code {
		t.Errorf("code %s, want %s: %s", e.Code, c.code, e.Message)
	}
	if e.Message == "" || e.Hint == "" {
		t.Errorf("message %q, hint %q", e.Message, e.Hint)
	}
	for _, leak := range []string{"ops.", "json:", "Go struct", "sql", "storage:", "%!"} {
		if strings.Contains(e.Message, leak) {
			t.Errorf("the message speaks of our insides: %s", e.Message)
		}
	}
	if len(e.Message) > 2000 {
		t.Errorf("the message has %d bytes", len(e.Message))
	}
	if e.Foreign != (c.twin != "") {
		t.Errorf("foreign = %v", e.Foreign)
	}
	if c.field != "" && !slices.ContainsFunc(e.Fields, func(f berth.Field) bool { return strings.HasPrefix(f.Name, c.field) }) {
		t.Errorf("fields = %v, want one about %s", e.Fields, c.field)
	}
}

// cast are the people of the test, and one thing of each kind of the owner's
// and of somebody else's.
type cast struct {
	owner, other, suspended opstest.Principal
	own, foreign            map[string]berth.ID
}

var kinds = []string{berth.PrefixServer, berth.PrefixSnapshot, berth.PrefixKey, berth.PrefixAction, berth.PrefixAPIKey, berth.PrefixPayment, berth.PrefixPool, berth.PrefixInvitation}

func (c *cast) makeThings(w *opstest.World) {
	c.own, c.foreign = map[string]berth.ID{}, map[string]berth.ID{}
	for _, kind := range kinds {
		c.own[kind] = w.Subject(c.owner, kind)
		c.foreign[kind] = w.Subject(c.other, kind)
	}
}

// refusals are all calls of an operation that must be refused.
func refusals(w *opstest.World, c cast, op *ops.Operation) []refusal {
	base := w.Example(c.owner, op)
	creds := c.owner.Creds
	if op.Access == ops.Operator {
		creds = opstest.Operator
	}
	list := append(badInputs(op, base, creds), badCallers(c, op, base)...)
	if op.Access == ops.Operator {
		return list
	}
	for _, name := range opstest.Subjects(op) {
		list = append(list, badSubjects(c, base, creds, name)...)
	}
	return list
}

// with is args with one more or another input.
func with(args opstest.Args, name string, v any) opstest.Args {
	out := maps.Clone(args)
	out[name] = v
	return out
}

func without(args opstest.Args, name string) opstest.Args {
	out := maps.Clone(args)
	delete(out, name)
	return out
}

func badInputs(op *ops.Operation, base opstest.Args, creds []ops.Credential) []refusal {
	list := []refusal{{name: "unknown property", args: with(base, "colour", "red"), field: "colour"}}
	for _, name := range op.Input.Required {
		list = append(list, refusal{name: "without " + name, args: without(base, name), field: name})
	}
	for name, s := range op.Input.Properties {
		for what, v := range badValues(s) {
			list = append(list, refusal{name: name + " " + what, args: with(base, name, v), field: name})
		}
	}
	for i := range list {
		list[i].creds, list[i].code = creds, berth.InvalidInput
		switch { // what the catalog lists is looked up rather than checked by the schema
		case strings.HasSuffix(list[i].name, "not in the list") && list[i].field == "size" && len(base) > 0:
			list[i].code, list[i].field = berth.UnknownSize, ""
		case strings.HasSuffix(list[i].name, "not in the list") && list[i].field == "region":
			list[i].code, list[i].field = berth.UnknownRegion, ""
		case strings.HasSuffix(list[i].name, "not in the list") && list[i].field == "image":
			list[i].code, list[i].field = berth.UnknownImage, ""
		}
	}
	slices.SortFunc(list, func(a, b refusal) int { return strings.Compare(a.name, b.name) })
	return list
}

// badValues are values that a schema must refuse, by what is wrong with them.
func badValues(s *huma.Schema) map[string]any {
	bad := map[string]any{}
	switch s.Type {
	case huma.TypeString:
		bad["mistyped"] = map[string]any{"a": 1}
		longest := 64
		if s.MaxLength != nil {
			longest = *s.MaxLength
		}
		bad["oversized"] = strings.Repeat("x", longest+1)
		if len(s.Enum) > 0 {
			bad["not in the list"] = "zzz"
		}
		if s.Pattern != "" {
			bad["against the pattern"] = "no good!"
		}
		if s.Format == "date-time" {
			bad["no time"] = "yesterday"
		}
	case huma.TypeInteger, huma.TypeNumber:
		bad["mistyped"], bad["fraction"] = "many", 1.5
		bad["huge"], bad["hugely negative"] = 1e300, -1e300
		if s.Minimum != nil {
			bad["too small"] = *s.Minimum - 1
		}
		if s.Maximum != nil {
			bad["too large"] = *s.Maximum + 1
		}
	case huma.TypeBoolean:
		bad["mistyped"] = "maybe"
	case huma.TypeArray:
		bad["mistyped"], bad["item mistyped"] = 42.0, []any{map[string]any{}}
		bad["too many"] = slices.Repeat([]any{"x"}, 10_000)
	case huma.TypeObject:
		bad["mistyped"] = "no object"
		if values, ok := s.AdditionalProperties.(*huma.Schema); ok && values.Type != "" {
			bad["value mistyped"] = map[string]any{"a": []any{}}
		}
		many := map[string]any{}
		for i := range 10_000 {
			many["N"+strings.Repeat("A", i%50)+string(rune('A'+i%26))+strings.Repeat("B", i/50)] = "x"
		}
		bad["too many"] = many
	}
	return bad
}

func badCallers(c cast, op *ops.Operation, base opstest.Args) []refusal {
	var list []refusal
	switch op.Access {
	case ops.Identified:
		list = append(list, refusal{name: "no credential", code: berth.PaymentRequired})
	case ops.Operator:
		list = append(list,
			refusal{name: "no credential", code: berth.Forbidden},
			refusal{name: "an agent", creds: c.owner.Creds, code: berth.Forbidden},
			refusal{name: "the local agent", creds: []ops.Credential{{Scheme: ops.LocalScheme}}, code: berth.Forbidden})
	}
	bearer := func(token string) []ops.Credential { return []ops.Credential{{Scheme: ops.BearerScheme, Token: token}} }
	list = append(list,
		refusal{name: "no token", creds: bearer(""), code: berth.Unauthenticated},
		refusal{name: "wrong token", creds: bearer(c.owner.Token[:len(c.owner.Token)-4] + "AAAA"), code: berth.Unauthenticated},
		refusal{name: "garbage token", creds: bearer("Basic \x00 garbage"), code: berth.Unauthenticated},
		refusal{name: "long token", creds: bearer(strings.Repeat("berth_", 10_000)), code: berth.Unauthenticated},
		refusal{name: "unknown scheme", creds: []ops.Credential{{Scheme: "magic"}}, code: berth.Unauthenticated},
		refusal{name: "a right and a wrong token", creds: append(bearer(c.owner.Token), bearer("nonsense")...), code: berth.Unauthenticated})
	if op.Access != ops.Anyone {
		list = append(list, refusal{name: "suspended", creds: c.suspended.Creds, code: berth.Suspended})
	}
	for i := range list {
		list[i].args = base
	}
	return list
}

func badSubjects(c cast, base opstest.Args, creds []ops.Credential, name string) []refusal {
	kind := idOf(base[name]).Prefix()
	foreign := string(c.foreign[kind])
	list := []refusal{
		{name: "foreign", args: with(base, name, foreign), twin: foreign},
		{name: "unknown", args: with(base, name, string(opstest.Unknown(kind)))},
		{name: "malformed", args: with(base, name, kind+"_XYZ")},
		{name: "nonsense", args: with(base, name, "../../etc")},
		{name: "a prefix", args: with(base, name, kind+"_")},
		{name: "an account's id", args: with(base, name, string(c.owner.ID))},
		{name: "an id and more", args: with(base, name, string(c.own[kind])+"00")},
	}
	for other, id := range c.own {
		if other != kind && !takes(base, other) {
			list = append(list, refusal{name: "own, but a " + other, args: with(base, name, string(id))})
		}
	}
	for i := range list {
		list[i].creds, list[i].code = creds, berth.NotFound
	}
	return list
}

// takes tells of the operation that takes servers and snapshots.
func takes(base opstest.Args, kind string) bool {
	_, either := base["minutes"]
	return either && kind == berth.PrefixSnapshot && base["id"] != nil
}

// TestForeignLooksUnknown compares what is said of somebody else's thing with
// what is said of one that does not exist, wherever an id can be given.
func TestForeignLooksUnknown(t *testing.T) {
	w := opstest.New(t)
	c := cast{owner: w.Principal(), other: w.Principal()}
	c.makeThings(w)
	quote := w.Must(c.other.Creds, "quote", opstest.Args{"size": "small", "region": "nyc1"}).Out.(ops.QuoteOut).QuoteID
	type place struct {
		op   string
		args opstest.Args
		in   string // where the id goes; empty: into the quote_id
		kind string
	}
	buy := opstest.Args{"size": "small", "region": "nyc1"}
	places := []place{
		{"create_server", buy, "snapshot_id", berth.PrefixSnapshot},
		{"create_server", buy, "ssh_key_ids", berth.PrefixKey},
		{"create_server", buy, "pool_id", berth.PrefixPool},
		{"list_servers", opstest.Args{}, "pool_id", berth.PrefixPool},
		{"list_actions", opstest.Args{}, "subject", berth.PrefixServer},
		{"update_server", opstest.Args{"server_id": string(c.own[berth.PrefixServer])}, "pool_id", berth.PrefixPool},
		{"create_server", buy, "", berth.PrefixQuote},
		{"rebuild_server", opstest.Args{"server_id": string(c.own[berth.PrefixServer])}, "snapshot_id", berth.PrefixSnapshot},
		{"quote", opstest.Args{"operation": "create_server", "size": "small", "region": "nyc1"}, "snapshot_id", berth.PrefixSnapshot},
		{"quote", opstest.Args{"operation": "extend", "minutes": 60}, "id", berth.PrefixServer},
		{"quote", opstest.Args{"operation": "extend", "days": 1}, "id", berth.PrefixSnapshot},
		{"extend", opstest.Args{"days": 1}, "id", berth.PrefixSnapshot},
	}
	for _, op := range w.System.Table().All() {
		if op.Access == ops.Operator {
			continue
		}
		for _, name := range opstest.Subjects(op) {
			base := w.Example(c.owner, op)
			places = append(places, place{op.Name, base, name, idOf(base[name]).Prefix()})
		}
	}
	for _, p := range places {
		t.Run(p.op+" "+p.in+" "+p.kind, func(t *testing.T) {
			foreign := c.foreign[p.kind]
			if p.kind == berth.PrefixQuote {
				foreign = quote
			}
			ask := func(id berth.ID) *berth.Error {
				call := &ops.Call{Op: p.op, Args: p.args, Creds: c.owner.Creds, Front: "http", Quote: id}
				if p.in != "" {
					call.Args, call.Quote = with(p.args, p.in, string(id)), ""
				}
				_, err := w.System.Dispatch(t.Context(), call)
				return wantError(t, err, berth.NotFound)
			}
			a, b := ask(foreign), ask(opstest.Unknown(p.kind))
			if !a.Foreign || b.Foreign {
				t.Errorf("foreign: %v and %v", a.Foreign, b.Foreign)
			}
			if got, want := words(a, foreign), words(b, opstest.Unknown(p.kind)); got != want {
				t.Errorf("somebody else's: %s\nunknown:        %s", got, want)
			}
		})
	}
}

// words are what an error says, with the id taken out.
func words(e *berth.Error, id berth.ID) string {
	return strings.ReplaceAll(string(e.Code)+" "+e.Message+" "+e.Hint, string(id), "ID")
}

// TestEverythingIsBounded looks for inputs without a bound.
func TestEverythingIsBounded(t *testing.T) {
	for _, op := range opstest.New(t).System.Table().All() {
		for name, s := range op.Input.Properties {
			if !bounded(s) {
				t.Errorf("%s: %s has no bound", op.Name, name)
			}
		}
	}
}

func bounded(s *huma.Schema) bool {
	switch s.Type {
	case huma.TypeString:
		return s.MaxLength != nil || len(s.Enum) > 0
	case huma.TypeInteger, huma.TypeNumber:
		return s.Minimum != nil && s.Maximum != nil && *s.Maximum <= math.MaxInt64/2
	case huma.TypeArray:
		return s.MaxItems != nil && (s.Items.Type != huma.TypeObject || bounded(s.Items))
	case huma.TypeObject:
		for _, p := range s.Properties {
			if !bounded(p) {
				return false
			}
		}
		return s.MaxProperties != nil || s.AdditionalProperties == false
	}
	return true
}
