package api

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"berth"
	"berth/ops"
)

// Document is the OpenAPI 3.1 description of every route of the table that
// agents may use. Terms are offers of the rails by which wallets pay, of which
// only the kind matters here.
func Document(table *ops.Table, version string, terms ...berth.Challenge) *huma.OpenAPI {
	doc := &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info: &huma.Info{
			Title: "Berth", Version: version,
			Description: "Servers for software agents: see what a server costs, buy it, work on it over SSH, extend it, snapshot it, let it end. Amounts are strings of US dollars.",
		},
		Paths: map[string]*huma.PathItem{},
		Components: &huma.Components{
			Schemas: huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
			SecuritySchemes: map[string]*huma.SecurityScheme{
				"api_key": {Type: "http", Scheme: "bearer", BearerFormat: "berth_…", Description: "An API key from the operator."},
			},
		},
	}
	doc.Components.Schemas.Map()["Problem"] = ops.SchemaOf(reflect.TypeFor[Problem]())
	problem := &huma.Schema{Ref: "#/components/schemas/Problem"} // once: every answer of an error has it
	for _, op := range table.All() {
		if op.Access == ops.Operator {
			continue // served on this machine's socket only
		}
		for _, route := range op.Routes {
			o := describe(op, route, problem)
			if info := paymentInfo(op, terms); info != nil {
				o.Extensions = map[string]any{"x-payment-info": info}
			}
			doc.AddOperation(o)
		}
	}
	return doc
}

func describe(op *ops.Operation, route ops.Route, problem *huma.Schema) *huma.Operation {
	o := &huma.Operation{
		Method: route.Method, Path: route.Path, Tags: []string{op.Doc.Tag},
		OperationID: first(route.Name, op.Name), Summary: first(route.Summary, op.Doc.Title), Description: op.Doc.Text,
		Responses: map[string]*huma.Response{},
	}
	if op.Access == ops.Identified {
		o.Security = []map[string][]string{{"api_key": {}}}
	}
	o.Parameters = parameters(op, route)
	o.RequestBody = requestBody(op, route)
	o.Responses[strconv.Itoa(route.Status)] = success(op, route)
	describeStream(o, op)
	for status, codes := range failures(op, route) {
		o.Responses[strconv.Itoa(status)] = &huma.Response{
			Description: http.StatusText(status) + ": " + strings.Join(codes, ", "),
			Content:     map[string]*huma.MediaType{"application/problem+json": {Schema: problem}},
		}
	}
	o.Responses["default"] = &huma.Response{
		Description: "Any other error.",
		Content:     map[string]*huma.MediaType{"application/problem+json": {Schema: problem}},
	}
	return o
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func parameters(op *ops.Operation, route ops.Route) []*huma.Param {
	var list []*huma.Param
	for name, s := range op.Input.Properties {
		if strings.Contains(route.Path, "{"+name+"}") {
			list = append(list, &huma.Param{Name: name, In: "path", Required: true, Schema: s})
		}
	}
	for _, name := range route.QueryFields(op) {
		required := slices.Contains(op.Input.Required, name) || slices.Contains(route.Require, name)
		list = append(list, &huma.Param{Name: name, In: "query", Required: required, Schema: op.Input.Properties[name]})
	}
	for _, name := range op.EnvelopeFields() {
		p := &huma.Param{Name: name, In: "query", Schema: ops.EnvelopeSchema(name)}
		if name == "idempotency_key" {
			p.Name, p.In = "Idempotency-Key", "header"
		}
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b *huma.Param) int { return strings.Compare(a.In+a.Name, b.In+b.Name) })
	return list
}

func requestBody(op *ops.Operation, route ops.Route) *huma.RequestBody {
	if route.Raw == ops.RawIn {
		bytes := &huma.Schema{Type: huma.TypeString, ContentEncoding: "binary"}
		return &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{"application/octet-stream": {Schema: bytes}}}
	}
	s := route.BodySchema(op)
	if s == nil {
		return nil
	}
	s.Examples = nil
	return &huma.RequestBody{
		Required: len(s.Required) > 0,
		Content:  map[string]*huma.MediaType{"application/json": {Schema: s, Example: exampleOf(op, s)}},
	}
}

// exampleOf is the operation's example less what this body doesn't hold.
func exampleOf(op *ops.Operation, s *huma.Schema) any {
	var example map[string]any
	if json.Unmarshal([]byte(op.Doc.Example), &example) != nil {
		return nil
	}
	for name := range example {
		if s.Properties[name] == nil {
			delete(example, name)
		}
	}
	for _, name := range s.Required {
		if example[name] == nil {
			return nil
		}
	}
	return example
}

func success(op *ops.Operation, route ops.Route) *huma.Response {
	res := &huma.Response{Description: op.Doc.Title, Content: map[string]*huma.MediaType{}}
	if route.Raw == ops.RawOut {
		res.Content["application/octet-stream"] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString, ContentEncoding: "binary"}}
		return res
	}
	res.Content["application/json"] = &huma.MediaType{Schema: op.Output()}
	return res
}

// describeStream adds the stream that an operation which changes something
// answers where the client asks for it: always with status 200, since it begins
// before the outcome is known.
func describeStream(o *huma.Operation, op *ops.Operation) {
	if !op.Changes() {
		return
	}
	res := o.Responses["200"]
	if res == nil {
		res = &huma.Response{Description: op.Doc.Title, Content: map[string]*huma.MediaType{}}
		o.Responses["200"] = res
	}
	res.Description += ". With Accept: text/event-stream: events progress, stdout, stderr, then result or error."
	res.Content["text/event-stream"] = &huma.MediaType{Schema: &huma.Schema{Type: huma.TypeString}}
}

// failures are the statuses that a route may answer with, and their codes.
func failures(op *ops.Operation, route ops.Route) map[int][]string {
	codes := []berth.Code{berth.InvalidInput, berth.RateLimited, berth.Internal}
	codes = append(codes, berth.Unauthenticated, berth.Suspended) // also where no key is needed
	if op.Access == ops.Identified {
		codes = append(codes, berth.PaymentRequired)
	}
	if strings.Contains(route.Path, "{") {
		codes = append(codes, berth.NotFound)
	}
	if op.Priced {
		codes = append(codes, berth.NotFound, berth.InsufficientBalance, berth.BudgetExceeded, berth.QuoteExpired, berth.QuoteMismatch)
	}
	if op.Changes() {
		codes = append(codes, berth.Conflict, berth.IdempotencyConflict)
	}
	if strings.HasPrefix(op.Doc.Tag, "Work") {
		codes = append(codes, berth.Unreachable, berth.RemoteFailed)
	}
	if route.HasBody() || route.Raw != ops.NotRaw {
		codes = append(codes, berth.TooLarge)
	}
	for name := range op.Input.Properties {
		codes = append(codes, inputFailures[name]...)
	}
	for _, kind := range op.SubjectKinds() {
		codes = append(codes, sharedFailures[kind]...)
	}
	slices.Sort(codes)
	out := map[int][]string{}
	for _, c := range slices.Compact(codes) {
		out[statuses[c]] = append(out[statuses[c]], string(c))
	}
	return out
}

// inputFailures are the codes that come with an input of that name.
var inputFailures = map[string][]berth.Code{
	"region":      {berth.UnknownRegion, berth.OutOfCapacity, berth.LimitReached},
	"size":        {berth.UnknownSize, berth.OutOfCapacity},
	"image":       {berth.UnknownImage},
	"id":          {berth.NotFound, berth.Conflict},
	"snapshot_id": {berth.NotFound, berth.SnapshotTooLarge},
	"ssh_key_ids": {berth.NotFound},
	"public_key":  {berth.LimitReached},
	"pool_id":     {berth.NotFound, berth.Forbidden},
	"username":    {berth.NotFound, berth.LimitReached},
	"settings":    {berth.LimitReached},
}

// sharedFailures are the codes that come with a subject of that kind, which the
// members of a pool share.
var sharedFailures = map[string][]berth.Code{
	berth.PrefixServer:     {berth.NotFound, berth.Forbidden},
	berth.PrefixSnapshot:   {berth.NotFound, berth.Forbidden},
	berth.PrefixPool:       {berth.NotFound, berth.Forbidden},
	berth.PrefixInvitation: {berth.LimitReached},
}

func (a *API) openAPI(w http.ResponseWriter, r *http.Request) {
	terms, err := a.System.PaymentTerms()
	if err != nil {
		a.fail(w, r, err)
		return
	}
	doc := Document(a.System.Table(), a.Version, terms...)
	doc.Extensions = map[string]any{"x-service-info": map[string]any{
		"categories": []string{"compute"}, "docs": map[string]string{"llms": a.base(r) + "/llms.txt", "homepage": a.base(r)},
	}}
	a.document(w, r, doc)
}

// document writes an OpenAPI document.
func (a *API) document(w http.ResponseWriter, r *http.Request, doc *huma.OpenAPI) {
	doc.Servers = []*huma.Server{{URL: a.base(r)}}
	text, err := json.Marshal(doc)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "max-age=300")
	if _, err := w.Write(text); err != nil {
		a.Log.Debug("document not written", slog.Any("error", err))
	}
}
