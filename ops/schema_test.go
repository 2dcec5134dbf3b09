package ops

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"berth"
)

// bindIn has an input of every type that operations use.
type bindIn struct {
	ServerID string            `json:"server_id" subject:"srv" minLength:"1" maxLength:"64"`
	Size     string            `json:"size,omitempty" catalog:"size" maxLength:"64"`
	Mode     string            `json:"mode,omitempty" enum:"text,base64" default:"text"`
	Count    int               `json:"count,omitempty" minimum:"1" maximum:"100" default:"7"`
	Offset   int64             `json:"offset,omitempty" minimum:"-9007199254740991" maximum:"9007199254740991"`
	Force    bool              `json:"force,omitempty"`
	Keys     []string          `json:"keys,omitempty" maxItems:"3"`
	Days     []int             `json:"days,omitempty" maxItems:"3"`
	Region   string            `json:"region,omitempty" catalog:"region" more:"list_offers" maxLength:"64" doc:"Anywhere."`
	Env      map[string]string `json:"env,omitempty" maxProperties:"3"`
	Cap      *string           `json:"cap,omitempty" maxLength:"20"`

	Disk  *bindDisk           `json:"disk,omitempty"`
	Disks map[string]bindDisk `json:"disks,omitempty" maxProperties:"3"`
}

// bindDisk is an input inside another.
type bindDisk struct {
	GB   int      `json:"gb" minimum:"1"`
	Kind string   `json:"kind,omitempty" default:"ssd" maxLength:"20"`
	Tags []string `json:"tags,omitempty" maxItems:"3"`
}

func bindTable() *Operation {
	table := NewTable(Choices{"size": {"small", "large"}, "region": {"nyc1", "ams3"}})
	Add(table, Op[bindIn, struct{}]{
		Name: "bind", Doc: Doc{Example: `{"server_id":"srv_0193f2a4c1d05e6f7a8b9c0d"}`},
		Subject: func(in bindIn) berth.ID { return berth.ID(in.ServerID) },
		Read:    func(context.Context, Rx, *Request, bindIn) (struct{}, error) { return struct{}{}, nil },
	})
	return table.Lookup("bind")
}

func TestBind(t *testing.T) {
	text := "5.00"
	plain := bindIn{ServerID: "s", Mode: "text", Count: 7}
	alter := func(change func(*bindIn)) bindIn {
		in := plain
		change(&in)
		return in
	}
	for name, tt := range map[string]struct {
		args map[string]any
		want bindIn
	}{
		"defaults":            {map[string]any{"server_id": "s"}, plain},
		"nulls are dropped":   {map[string]any{"server_id": "s", "count": nil, "mode": nil, "env": nil}, plain},
		"id for server_id":    {map[string]any{"id": "s"}, plain},
		"number as text":      {map[string]any{"server_id": "s", "count": "42"}, alter(func(i *bindIn) { i.Count = 42 })},
		"text with spaces":    {map[string]any{"server_id": "s", "count": " 42 "}, alter(func(i *bindIn) { i.Count = 42 })},
		"whole float":         {map[string]any{"server_id": "s", "count": 42.0}, alter(func(i *bindIn) { i.Count = 42 })},
		"whole float as text": {map[string]any{"server_id": "s", "count": "42.0"}, alter(func(i *bindIn) { i.Count = 42 })},
		"Go's integers":       {map[string]any{"server_id": "s", "count": 42, "offset": int64(-3)}, alter(func(i *bindIn) { i.Count, i.Offset = 42, -3 })},
		"json.Number":         {map[string]any{"server_id": "s", "count": json.Number("42")}, alter(func(i *bindIn) { i.Count = 42 })},
		"large number":        {map[string]any{"server_id": "s", "offset": 9007199254740991.0}, alter(func(i *bindIn) { i.Offset = 9007199254740991 })},
		"true as text":        {map[string]any{"server_id": "s", "force": "true"}, alter(func(i *bindIn) { i.Force = true })},
		"1 as text":           {map[string]any{"server_id": "s", "force": "1"}, alter(func(i *bindIn) { i.Force = true })},
		"false as text":       {map[string]any{"server_id": "s", "force": "false"}, plain},
		"one for a list":      {map[string]any{"server_id": "s", "keys": "a"}, alter(func(i *bindIn) { i.Keys = []string{"a"} })},
		"list as text":        {map[string]any{"server_id": "s", "keys": `["a","b"]`}, alter(func(i *bindIn) { i.Keys = []string{"a", "b"} })},
		"list of Go's":        {map[string]any{"server_id": "s", "keys": []string{"a", "b"}}, alter(func(i *bindIn) { i.Keys = []string{"a", "b"} })},
		"a number for a list": {map[string]any{"server_id": "s", "days": "7"}, alter(func(i *bindIn) { i.Days = []int{7} })},
		"numbers of a query":  {map[string]any{"server_id": "s", "days": []string{"7", "30"}}, alter(func(i *bindIn) { i.Days = []int{7, 30} })},
		"object as text":      {map[string]any{"server_id": "s", "env": `{"A":"1"}`}, alter(func(i *bindIn) { i.Env = map[string]string{"A": "1"} })},
		"pointer":             {map[string]any{"server_id": "s", "cap": "5.00"}, alter(func(i *bindIn) { i.Cap = &text })},
		"inside an object":    {map[string]any{"server_id": "s", "disk": map[string]any{"gb": "5", "kind": nil, "tags": "a"}}, alter(func(i *bindIn) { i.Disk = &bindDisk{5, "ssd", []string{"a"}} })},
		"inside text":         {map[string]any{"server_id": "s", "disk": `{"gb":5,"tags":null}`}, alter(func(i *bindIn) { i.Disk = &bindDisk{5, "ssd", nil} })},
		"objects by name":     {map[string]any{"server_id": "s", "disks": map[string]any{"a": map[string]any{"gb": 1}}}, alter(func(i *bindIn) { i.Disks = map[string]bindDisk{"a": {1, "ssd", nil}} })},
		"numbers in a list":   {map[string]any{"server_id": "s", "days": []any{"7", 30.0}}, alter(func(i *bindIn) { i.Days = []int{7, 30} })},
		"the catalog changed": {map[string]any{"server_id": "s", "size": "huge"}, alter(func(i *bindIn) { i.Size = "huge" })},
	} {
		t.Run(name, func(t *testing.T) {
			before := clone(tt.args)
			got, err := bindTable().bind(tt.args)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("bound to another input: %s", diff)
			}
			if !reflect.DeepEqual(tt.args, before) {
				t.Errorf("the caller's arguments became %v", tt.args)
			}
		})
	}
}

func clone(m map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range m {
		out[k] = v
	}
	return out
}

func TestBindRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		args  map[string]any
		field string
	}{
		"missing":             {map[string]any{}, ""},
		"null for required":   {map[string]any{"server_id": nil}, ""},
		"both names":          {map[string]any{"server_id": "s", "id": "t"}, "id"},
		"empty":               {map[string]any{"server_id": ""}, "server_id"},
		"number for text":     {map[string]any{"server_id": 42.0}, "server_id"},
		"text for a number":   {map[string]any{"server_id": "s", "count": "many"}, "count"},
		"a fraction":          {map[string]any{"server_id": "s", "count": 1.5}, "count"},
		"not a number":        {map[string]any{"server_id": "s", "count": "NaN"}, "count"},
		"infinity":            {map[string]any{"server_id": "s", "count": "Inf"}, "count"},
		"beyond float64":      {map[string]any{"server_id": "s", "count": "1e999"}, "count"},
		"hexadecimal":         {map[string]any{"server_id": "s", "count": "0x10"}, ""},
		"a thousand wrong":    {map[string]any{"server_id": "s", "days": make([]any, 1000)}, "days"},
		"too many":            {map[string]any{"server_id": "s", "keys": []any{"a", "b", "c", "d"}}, "keys"},
		"yes":                 {map[string]any{"server_id": "s", "force": "yes"}, "force"},
		"an object in a list": {map[string]any{"server_id": "s", "keys": []any{map[string]any{}}}, "keys"},
		"a list in an object": {map[string]any{"server_id": "s", "env": map[string]any{"A": []any{}}}, "env"},
		"wrong inside":        {map[string]any{"server_id": "s", "disk": map[string]any{"gb": 0}}, "disk.gb"},
		"unknown inside":      {map[string]any{"server_id": "s", "disk": map[string]any{"gb": 1, "colour": "red"}}, "disk.colour"},
		"wrong by name":       {map[string]any{"server_id": "s", "disks": map[string]any{"a": map[string]any{"gb": 0}}}, "disks.a.gb"},
		"broken JSON":         {map[string]any{"server_id": "s", "env": `{"A":`}, "env"},
		"another enum":        {map[string]any{"server_id": "s", "mode": "binary"}, "mode"},
		"unknown":             {map[string]any{"server_id": "s", "colour": "red"}, "colour"},
	} {
		t.Run(name, func(t *testing.T) {
			in, err := bindTable().bind(tt.args)
			var e *berth.Error
			if !errors.As(err, &e) {
				t.Fatalf("bound to %+v, %v", in, err)
			}
			if e.Code != berth.InvalidInput || len(e.Fields) == 0 || len(e.Fields) > maxComplaints || e.Hint == "" {
				t.Errorf("error = %+v", e)
			}
			if tt.field != "" && !slices.ContainsFunc(e.Fields, func(f berth.Field) bool { return strings.HasPrefix(f.Name, tt.field) }) {
				t.Errorf("fields = %v, want one about %s", e.Fields, tt.field)
			}
		})
	}
}

// TestPublishedChoices: a schema closes the catalog's lists, but for those that
// another operation shows more of.
func TestPublishedChoices(t *testing.T) {
	p := bindTable().Input.Properties
	if got := p["size"].Enum; !slices.Equal(got, []any{"small", "large"}) {
		t.Errorf("sizes are one of %v", got)
	}
	if r := p["region"]; r.Enum != nil || r.Description != "nyc1, ams3, or see list_offers. Anywhere." || r.MaxLength == nil {
		t.Errorf("regions are %+v", r)
	}
}

// anything draws what a JSON decoder, a query string or a Go caller may bring.
func anything() *rapid.Generator[any] {
	scalar := rapid.OneOf(
		rapid.Just[any](nil), rapid.Bool().AsAny(), rapid.Float64().AsAny(), rapid.Int().AsAny(), rapid.Int64().AsAny(),
		rapid.String().AsAny(), rapid.SampledFrom([]any{"42", "42.0", "true", "[1]", `["a"]`, `{"a":"b"}`, "null", "NaN", json.Number("1e999"), json.Number("x")}),
		rapid.SliceOfN(rapid.String(), 0, 4).AsAny(),
	)
	return rapid.OneOf(scalar,
		rapid.Map(rapid.SliceOfN(scalar, 0, 5), func(v []any) any { return v }),
		rapid.Map(rapid.MapOfN(rapid.String(), scalar, 0, 5), func(v map[string]any) any { return v }))
}

// TestBindNeverPanics also says that what was bound is within its bounds, and
// that binding it again changes nothing.
func TestBindNeverPanics(t *testing.T) {
	op := bindTable()
	names := append(slices.Clone(op.InputOrder), "id", "snapshot_id", "colour")
	rapid.Check(t, func(t *rapid.T) {
		args := rapid.MapOfN(rapid.SampledFrom(names), anything(), 0, 6).Draw(t, "args")
		if rapid.Bool().Draw(t, "named") {
			args["server_id"] = "s"
		}
		checkBind(t, op, args)
	})
}

func checkBind(t interface {
	Helper()
	Fatalf(string, ...any)
}, op *Operation, args map[string]any,
) {
	t.Helper()
	if _, err := op.TakeEnvelope(clone(args)); err != nil && berth.CodeOf(err) != berth.InvalidInput {
		t.Fatalf("the envelope of %v: %v", args, err)
	}
	bound, err := op.bind(args)
	if err != nil {
		if berth.CodeOf(err) != berth.InvalidInput {
			t.Fatalf("%v: %v", args, err)
		}
		return
	}
	in := bound.(bindIn)
	if in.Count < 1 || in.Count > 100 || len(in.Keys) > 3 || len(in.Env) > 3 || in.ServerID == "" {
		t.Fatalf("out of bounds: %+v", in)
	}
	text, err := json.Marshal(in)
	if err != nil {
		t.Fatalf("%+v can't be written: %v", in, err)
	}
	var again map[string]any
	if err := json.Unmarshal(text, &again); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	same, err := op.bind(again)
	if err != nil {
		t.Fatalf("%s is refused the second time: %v", text, err)
	}
	first, err1 := canonical(bound)
	second, err2 := canonical(same)
	if !bytes.Equal(first, second) || errors.Join(err1, err2) != nil {
		t.Fatalf("%+v became %+v", bound, same)
	}
}

func FuzzBind(f *testing.F) {
	for _, seed := range []string{
		`{"server_id":"s","count":"42"}`, `{"id":"s","keys":"a"}`, `{"server_id":"s","env":"{\"A\":\"1\"}"}`,
		`{"server_id":"s","offset":1e300}`, `{"server_id":"s","count":1e18,"mode":null}`, `{"server_id":"s","cap":"x","force":"1"}`,
	} {
		f.Add(seed)
	}
	op := bindTable()
	f.Fuzz(func(t *testing.T, text string) {
		var args map[string]any
		if json.Unmarshal([]byte(text), &args) != nil {
			t.Skip("no JSON object")
		}
		checkBind(t, op, args)
	})
}

func TestTakeEnvelope(t *testing.T) {
	table := NewTable(nil)
	Add(table, Op[struct{}, struct{}]{
		Name: "long", Doc: Doc{Example: `{}`}, Priced: true,
		Commit: func(context.Context, Tx, *Request, struct{}, Plan) (struct{}, Effect, error) {
			return struct{}{}, Effect{}, nil
		},
		Fresh: func(_ context.Context, _ Rx, _ *Request, out struct{}) (struct{}, error) { return out, nil },
	})
	op := table.Lookup("long")
	for _, wait := range []any{30.0, 30, int64(30), "30", json.Number("30")} {
		args := map[string]any{"idempotency_key": "k", "quote_id": "quo_1", "wait_seconds": wait, "other": 1}
		e, err := op.TakeEnvelope(args)
		if err != nil || e.Key != "k" || e.Quote != "quo_1" || e.Wait == nil || e.Wait.Seconds() != 30 {
			t.Errorf("%T: %+v, %v", wait, e, err)
		}
		if len(args) != 1 {
			t.Errorf("left are %v", args)
		}
	}
	for name, v := range map[string]any{
		"idempotency_key": strings.Repeat("k", 256), "quote_id": 7.0, "wait_seconds": 601.0,
	} {
		if _, err := op.TakeEnvelope(map[string]any{name: v}); err == nil || berth.CodeOf(err) != berth.InvalidInput {
			t.Errorf("%s = %v: %v", name, v, err)
		}
	}
	if e, err := op.TakeEnvelope(map[string]any{"wait_seconds": nil}); err != nil || e.Wait != nil {
		t.Errorf("null: %+v, %v", e, err)
	}
}

func TestAddRefusesDefects(t *testing.T) {
	read := func(context.Context, Rx, *Request, bindIn) (struct{}, error) { return struct{}{}, nil }
	for name, op := range map[string]Op[bindIn, struct{}]{
		"no handler":        {Name: "a", Doc: Doc{Example: `{}`}, Subject: func(bindIn) berth.ID { return "" }},
		"no subject":        {Name: "a", Doc: Doc{Example: `{}`}, Read: read},
		"malformed example": {Name: "a", Doc: Doc{Example: `{`}, Read: read, Subject: func(bindIn) berth.ID { return "" }},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("it was added")
				}
			}()
			Add(NewTable(nil), op)
		})
	}
}
