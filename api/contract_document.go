package api

import (
	"maps"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"berth/billing"
	"berth/ops"
)

// pathName is a name in a route's path.
var pathName = regexp.MustCompile(`\{(\w+)\}`)

// ContractDocument is the OpenAPI 3.1 description of a contract.
func ContractDocument(c *Contract, prices *billing.PriceList, version string) *huma.OpenAPI {
	doc := &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info:    &huma.Info{Title: "Berth: " + c.Title, Version: version, Description: c.Guide},
		Paths:   map[string]*huma.PathItem{},
		Components: &huma.Components{
			Schemas:         huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
			SecuritySchemes: map[string]*huma.SecurityScheme{c.scheme(): c.security()},
		},
	}
	for _, route := range c.shown() {
		doc.AddOperation(c.describe(route, prices))
	}
	return doc
}

// shown are the routes that documents list: one with and one without a slash at
// its end are the same.
func (c *Contract) shown() (list []ContractRoute) {
	seen := map[string]bool{}
	for _, route := range c.Routes {
		if name := route.Method + c.path(route); !seen[name] {
			seen[name] = true
			list = append(list, route)
		}
	}
	return list
}

func (c *Contract) scheme() string {
	if c.Wallets {
		return "x402"
	}
	return "bearer"
}

func (c *Contract) security() *huma.SecurityScheme {
	if c.Wallets {
		return &huma.SecurityScheme{Type: "apiKey", In: "header", Name: "PAYMENT-SIGNATURE", Description: "x402: the payment that the 402's PAYMENT-REQUIRED asks for. Whose wallet signs it is who calls."}
	}
	return &huma.SecurityScheme{Type: "http", Scheme: "bearer", Description: "An access token or an API key."}
}

// path is a route's path as documents write it.
func (c *Contract) path(route ContractRoute) string {
	if p := strings.TrimSuffix(c.Base+strings.TrimSuffix(route.Path, "{$}"), "/"); p != "" {
		return p
	}
	return "/"
}

func (c *Contract) describe(route ContractRoute, prices *billing.PriceList) *huma.Operation {
	o := &huma.Operation{
		Method: route.Method, Path: c.path(route), Summary: route.Summary, Tags: []string{c.Title},
		OperationID: operationID(route), Responses: map[string]*huma.Response{},
	}
	if !route.Open {
		o.Security = []map[string][]string{{c.scheme(): {}}}
	}
	if route.Price != nil {
		o.Description = "Price: " + route.Price(prices).String() + " USD."
	}
	for _, m := range pathName.FindAllStringSubmatch(route.Path, -1) {
		o.Parameters = append(o.Parameters, &huma.Param{Name: m[1], In: "path", Required: true, Schema: &huma.Schema{Type: huma.TypeString}})
	}
	if s := schemaOf(route.Query); s != nil {
		for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
			o.Parameters = append(o.Parameters, &huma.Param{Name: name, In: "query", Schema: s.Properties[name], Required: slices.Contains(s.Required, name)})
		}
	}
	if s := schemaOf(route.Body); s != nil {
		o.RequestBody = &huma.RequestBody{Required: len(s.Required) > 0, Content: map[string]*huma.MediaType{"application/json": {Schema: s}}}
	}
	success := &huma.Response{Description: route.Summary}
	if s := answerOf(route.Answer); s != nil {
		success.Content = map[string]*huma.MediaType{"application/json": {Schema: s}}
	}
	o.Responses[strconv.Itoa(route.Status)] = success
	for _, status := range c.failures(route) {
		o.Responses[strconv.Itoa(status)] = &huma.Response{Description: http.StatusText(status)}
	}
	return o
}

// failures are the statuses that a route may answer with in anger.
func (c *Contract) failures(route ContractRoute) []int {
	list := append([]int{http.StatusTooManyRequests, http.StatusInternalServerError}, route.Errors...)
	if route.Body != nil || route.Query != nil {
		list = append(list, http.StatusBadRequest)
	}
	if !route.Open {
		list = append(list, http.StatusPaymentRequired)
		if !c.Wallets {
			list = append(list, http.StatusUnauthorized, http.StatusForbidden)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// operationID names a route: its method and the words of its path.
func operationID(route ContractRoute) string {
	words := strings.FieldsFunc(route.Path, func(r rune) bool { return strings.ContainsRune("/{}$-", r) })
	return strings.ToLower(route.Method) + "_" + strings.Join(words, "_")
}

// schemaOf is the schema of a value's type; nil for no value.
func schemaOf(v any) *huma.Schema {
	if v == nil {
		return nil
	}
	return plain(ops.SchemaOf(reflect.TypeOf(v)))
}

// plain is a schema without what is no keyword of JSON schema: it is for our own
// messages.
func plain(s *huma.Schema) *huma.Schema {
	s.PatternDescription = ""
	if s.Items != nil {
		plain(s.Items)
	}
	for _, p := range s.Properties {
		plain(p)
	}
	if each, ok := s.AdditionalProperties.(*huma.Schema); ok {
		plain(each)
	}
	return s
}

// answerOf is schemaOf for what is answered, where some of it may be null.
func answerOf(v any) *huma.Schema {
	if v == nil {
		return nil
	}
	return ops.AnswerSchemaOf(reflect.TypeOf(v))
}

// contractReference lists a contract's routes for its page.
func contractReference(c *Contract, prices *billing.PriceList) group {
	g := group{Name: "Endpoints"}
	for _, route := range c.shown() {
		e := endpoint{Method: route.Method, Path: c.path(route), Title: route.Summary, Status: statusLine(route.Status)}
		o := c.describe(route, prices)
		e.Text = o.Description
		for _, p := range o.Parameters {
			e.Fields = append(e.Fields, field{p.Name, p.In + ", " + typeOf(p.Schema), p.Schema.Description, p.Required})
		}
		e.Fields = append(e.Fields, listFields(schemaOf(route.Body))...)
		e.Answer = listFields(answerOf(route.Answer))
		for _, status := range c.failures(route) {
			e.Errors = append(e.Errors, failure{Status: statusLine(status)})
		}
		g.Endpoints = append(g.Endpoints, e)
	}
	return g
}

func listFields(s *huma.Schema) (list []field) {
	if s == nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		p := s.Properties[name]
		list = append(list, field{name, typeOf(p), p.Description, slices.Contains(s.Required, name)})
	}
	return list
}
