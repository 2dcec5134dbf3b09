package ops

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/validation"

	"berth"
)

// Choices are the lists that a schema publishes for inputs tagged catalog:"…":
// they follow the catalog, so they are not known to the types. They are closed,
// unless the input is also tagged more:"…" with the operation that shows more.
type Choices map[string][]string

// SchemaOf makes the JSON schema of a Go type, with every reference inlined so
// that each schema stands alone, and without null: many models can't read
// types that are lists, and binding drops what is null.
func SchemaOf(t reflect.Type) *huma.Schema { return schemaOf(t, false) }

// AnswerSchemaOf is SchemaOf for what is answered: pointers that are always there
// may be null.
func AnswerSchemaOf(t reflect.Type) *huma.Schema {
	s := schemaOf(t, true)
	allowNull(t, s)
	return s
}

// allowNull marks what pointers without omitempty stand for, in objects within
// objects and lists too: huma does so for plain values only.
func allowNull(t reflect.Type, s *huma.Schema) {
	for s != nil && (t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice) {
		if t.Kind() == reflect.Slice {
			s = s.Items
		}
		t = t.Elem()
	}
	if s == nil || t.Kind() != reflect.Struct || s.Properties == nil {
		return
	}
	for f := range fieldsOf(t) {
		p := s.Properties[jsonName(f)]
		if p != nil && f.Type.Kind() == reflect.Pointer && !strings.Contains(f.Tag.Get("json"), ",omit") {
			p.Nullable = true
		}
		allowNull(f.Type, p)
	}
}

func schemaOf(t reflect.Type, null bool) *huma.Schema {
	reg := huma.NewMapRegistry("#/$defs/", huma.DefaultSchemaNamer)
	reg.RegisterTypeAlias(reflect.TypeFor[berth.Micros](), reflect.TypeFor[amount]())
	reg.RegisterTypeAlias(reflect.TypeFor[json.RawMessage](), reflect.TypeFor[map[string]any]())
	reg.RegisterTypeAlias(reflect.TypeFor[json.Number](), reflect.TypeFor[float64]())
	s := inliner{reg, null}.inline(huma.SchemaFromType(reg, t), 0)
	s.PrecomputeMessages()
	return s
}

// amount is how money looks on the wire: a decimal string of dollars.
type amount string

// maxDepth bounds the nesting of a schema, so that a type that contains itself
// is found when the table is built.
const maxDepth = 8

type inliner struct {
	reg  huma.Registry
	null bool // keep null where a pointer may be it
}

func (in inliner) inline(s *huma.Schema, depth int) *huma.Schema {
	if depth > maxDepth {
		panic("ops: a schema is nested too deeply")
	}
	for s.Ref != "" {
		referred := *in.reg.SchemaFromRef(s.Ref)
		if s.Description != "" {
			referred.Description = s.Description
		}
		s = &referred
	}
	out := *s
	out.Nullable = s.Nullable && in.null && s.Type != huma.TypeArray
	if out.Nullable && len(s.Enum) > 0 {
		out.Enum = append(slices.Clone(s.Enum), nil) // a closed list has null only where it says so
	}
	if s.Items != nil {
		out.Items = in.inline(s.Items, depth+1)
	}
	if s.Properties != nil {
		out.Properties = make(map[string]*huma.Schema, len(s.Properties))
		for name, p := range s.Properties {
			out.Properties[name] = in.inline(p, depth+1)
		}
	}
	if each, ok := s.AdditionalProperties.(*huma.Schema); ok { // a map's elements
		out.AdditionalProperties = in.inline(each, depth+1)
	}
	return &out
}

// publish is the schema as fronts show it: with the catalog's lists, and
// without what means nothing to a reader.
func publish(t reflect.Type, s *huma.Schema, choices Choices) *huma.Schema {
	out := *s
	out.Properties = maps.Clone(s.Properties)
	for f := range fieldsOf(t) {
		name := jsonName(f)
		p := *s.Properties[name]
		if p.Format == "int32" || p.Format == "int64" {
			p.Format = ""
		}
		p.PatternDescription = "" // no keyword of JSON schema: it is for our own messages
		list, more := choices[f.Tag.Get("catalog")], f.Tag.Get("more")
		switch {
		case len(list) == 0:
		case more != "":
			p.Description = strings.TrimSpace(strings.Join(list, ", ") + ", or see " + more + ". " + p.Description)
		default:
			p.MinLength, p.MaxLength = nil, nil // the list says it all
			p.Enum = make([]any, len(list))
			for i, v := range list {
				p.Enum[i] = v
			}
		}
		out.Properties[name] = &p
	}
	return &out
}

func fieldsOf(t reflect.Type) func(func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for _, f := range reflect.VisibleFields(t) {
			if f.Anonymous || !f.IsExported() || jsonName(f) == "-" {
				continue
			}
			if !yield(f) {
				return
			}
		}
	}
}

func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}

// QueryFields are the inputs that a route without a body reads from the query:
// for GET and DELETE all that the path doesn't hold.
func (r Route) QueryFields(o *Operation) []string {
	if r.HasBody() {
		return nil
	}
	var names []string
	for name := range o.Input.Properties {
		_, fixed := r.Fixed[name]
		if !fixed && !slices.Contains(r.Omit, name) && !strings.Contains(r.Path, "{"+name+"}") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// HasBody tells whether the route's inputs travel in a JSON body.
func (r Route) HasBody() bool {
	return (r.Method == "POST" || r.Method == "PUT" || r.Method == "PATCH") && r.Raw != RawIn
}

// BodySchema is the schema of a route's JSON body: the operation's input less
// what the path and the route itself supply. Nil where nothing is left.
func (r Route) BodySchema(o *Operation) *huma.Schema {
	if !r.HasBody() {
		return nil
	}
	s := *o.Input
	s.Properties = maps.Clone(s.Properties)
	s.Required = append(slices.Clone(s.Required), r.Require...)
	drop := func(name string) {
		delete(s.Properties, name)
		s.Required = slices.DeleteFunc(s.Required, func(n string) bool { return n == name })
	}
	for name := range o.Input.Properties {
		_, fixed := r.Fixed[name]
		if fixed || slices.Contains(r.Omit, name) || strings.Contains(r.Path, "{"+name+"}") {
			drop(name)
		}
	}
	if len(s.Properties) == 0 {
		return nil
	}
	slices.Sort(s.Required)
	return &s
}

// bind coerces, completes and validates args against the operation's schema and
// decodes them. Every complaint about the input comes from here, whatever front
// it came through.
func (o *Operation) bind(args map[string]any) (any, error) {
	args = o.tolerate(args)
	complete(o.checked, args)
	fields := complaints(o.checked, args)
	if len(fields) == 0 {
		in, err := o.decode(args)
		if whole, ok := in.(interface{ check() error }); ok && err == nil {
			return in, whole.check() // what the schema can't say
		}
		if err == nil {
			return in, nil
		}
		fields = []berth.Field{{Name: "", Reason: err.Error()}}
	}
	return nil, refused(fields).Hinted("%s", o.ExampleHint())
}

// complete coerces values to a schema in place, drops what is null and puts in
// what is missing and has a default. Objects inside, as the elements of lists and
// maps, are completed too.
func complete(s *huma.Schema, values map[string]any) {
	for name, p := range s.Properties {
		v, ok := values[name]
		switch {
		case ok && v == nil:
			delete(values, name)
			ok = false
		case ok:
			values[name] = coerce(p, v)
		}
		if !ok && p.Default != nil {
			values[name] = p.Default
		}
	}
	if each, ok := s.AdditionalProperties.(*huma.Schema); ok {
		for name, v := range values {
			values[name] = coerce(each, v)
		}
	}
}

// complaints are what is wrong with values by a schema.
func complaints(s *huma.Schema, values map[string]any) []berth.Field {
	res := &huma.ValidateResult{}
	huma.Validate(nil, s, huma.NewPathBuffer(nil, 0), huma.ModeWriteToServer, values, res)
	var fields []berth.Field
	for _, err := range res.Errors {
		var d *huma.ErrorDetail
		if errors.As(err, &d) {
			fields = append(fields, complaint(s, d))
		} else {
			fields = append(fields, berth.Field{Reason: err.Error()})
		}
	}
	slices.SortFunc(fields, func(a, b berth.Field) int { return strings.Compare(a.Name+a.Reason, b.Name+b.Reason) })
	return fields[:min(len(fields), maxComplaints)]
}

// maxComplaints bounds what is said of one input: each of a thousand elements of
// a list can be wrong.
const maxComplaints = 10

// maxFieldName bounds what is repeated of an input's name, in bytes.
const maxFieldName = 100

// complaint is what huma found, about the input that it is about: a missing one
// stands in huma's words alone.
func complaint(s *huma.Schema, d *huma.ErrorDetail) berth.Field {
	for _, name := range s.Required {
		if d.Location == "" && d.Message == huma.ErrorFormatter(validation.MsgExpectedRequiredProperty, name) {
			return berth.Field{Name: name, Reason: "is required"}
		}
	}
	return berth.Field{Name: strings.ToValidUTF8(d.Location[:min(len(d.Location), maxFieldName)], ""), Reason: d.Message}
}

// refused is the refusal of an input for what is wrong with it.
func refused(fields []berth.Field) *berth.Error {
	var b strings.Builder
	for i, f := range fields {
		if i > 0 {
			b.WriteString("; ")
		}
		if f.Name != "" {
			b.WriteString(f.Name + ": ")
		}
		b.WriteString(f.Reason)
	}
	e := berth.Errorf(berth.InvalidInput, "%s", b.String())
	e.Fields = fields
	return e
}

// ExampleHint is the hint that always helps with an invalid input: a valid one.
func (o *Operation) ExampleHint() string {
	return fmt.Sprintf("a valid input for %s is %s", o.Name, o.Doc.Example)
}

// tolerate copies args and accepts the usual other name of the subject: agents
// write id for server_id, and the other way round.
func (o *Operation) tolerate(args map[string]any) map[string]any {
	out := make(map[string]any, len(args)+4)
	maps.Copy(out, args)
	if o.subjectField == "" {
		return out
	}
	if _, ok := out[o.subjectField]; ok {
		return out
	}
	for _, alias := range []string{"id", "server_id", "snapshot_id", "key_id", "action_id"} {
		if _, known := o.checked.Properties[alias]; known {
			continue
		}
		if v, ok := out[alias]; ok {
			out[o.subjectField] = v
			delete(out, alias)
			return out
		}
	}
	return out
}

// coerce turns what models and query strings send into what the schema asks
// for, where that is beyond doubt: "42" is 42, 42.0 is 42, "x" is ["x"].
func coerce(s *huma.Schema, v any) any {
	switch s.Type {
	case huma.TypeInteger, huma.TypeNumber:
		switch n := v.(type) {
		case string:
			if f, err := strconv.ParseFloat(strings.TrimSpace(n), 64); err == nil && !math.IsInf(f, 0) && !math.IsNaN(f) {
				return f
			}
		case int:
			return float64(n)
		case int64:
			return float64(n)
		case json.Number:
			if f, err := n.Float64(); err == nil {
				return f
			}
		}
	case huma.TypeBoolean:
		switch v {
		case "true", "1":
			return true
		case "false", "0":
			return false
		}
	case huma.TypeArray:
		switch list := v.(type) {
		case string:
			var many []any
			if strings.HasPrefix(list, "[") && json.Unmarshal([]byte(list), &many) == nil {
				return many
			}
			return []any{coerce(s.Items, list)}
		case []any:
			many := make([]any, len(list))
			for i, e := range list {
				many[i] = coerce(s.Items, e)
			}
			return many
		case []string:
			many := make([]any, len(list))
			for i, e := range list {
				many[i] = coerce(s.Items, e)
			}
			return many
		}
	case huma.TypeObject:
		var m map[string]any
		switch inner := v.(type) {
		case map[string]any:
			m = maps.Clone(inner)
		case string:
			if json.Unmarshal([]byte(inner), &m) != nil {
				return v
			}
		}
		if m != nil {
			complete(s, m)
			return m
		}
	}
	return v
}

// decodeAs reads validated args into In.
func decodeAs[In any](args map[string]any) (any, error) {
	b, err := json.Marshal(args)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	var in In
	if err := d.Decode(&in); err != nil {
		return nil, err
	}
	return in, nil
}
