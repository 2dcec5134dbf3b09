package api

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"berth"
	"berth/ops"
)

var (
	//go:embed pages/home.html
	homeText string
	//go:embed pages/docs.html
	docsText string
	//go:embed pages/style.css
	styleText string

	homePage = template.Must(template.New("home").Parse(homeText))
	docsPage = template.Must(template.New("docs").Parse(docsText))
)

// page is what the HTML pages show.
type page struct {
	Base    string
	Version string
	Style   template.CSS
	Contact string // of the operator; empty where none is known
	Groups  []group
	Sizes   []ops.SizeView
	Links   []contractLink

	// Of a contract's page:
	Contract *Contract
	Path     string
	Guide    string
}

// group is a part of the reference.
type group struct {
	Name      string
	Endpoints []endpoint
}

// endpoint is one route in the reference.
type endpoint struct {
	Method, Path, Title, Text, Tool string
	Fields                          []field
	Status                          string // of success
	Answer                          []field
	Errors                          []failure
}

// failure is a status that an endpoint may answer with, and the codes under it.
type failure struct {
	Status string
	Codes  []string
}

// field is one input of an endpoint, or one value of its answer.
type field struct {
	Name, Type, Text string
	Required         bool
}

// wantsHTML tells a browser from a program.
func wantsHTML(r *http.Request) bool { return strings.Contains(r.Header.Get("Accept"), "text/html") }

// home is a landing page for browsers and a directory for programs.
func (a *API) home(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Vary", "Accept")
	if wantsHTML(r) {
		a.render(w, r, homePage)
		return
	}
	base := a.base(r)
	bases := map[string]string{}
	for _, c := range a.links() {
		bases[c.Name] = base + c.Base
	}
	a.write(w, http.StatusOK, map[string]any{
		"name": "Berth", "version": a.Version, "description": "Servers for software agents.",
		"openapi": base + "/openapi.json", "llms": base + "/llms.txt", "docs": base + "/docs",
		"mcp": base + "/mcp", "mcp_sse": base + "/sse", "api": base + "/v1", "contracts": bases,
	})
}

func (a *API) docs(w http.ResponseWriter, r *http.Request) { a.render(w, r, docsPage) }

func (a *API) llms(w http.ResponseWriter, r *http.Request) {
	a.text(w, a.localised(r, berth.LLMs+a.guides()))
}

// nativeGuide is llms.txt without the parts of the other contracts.
func (a *API) nativeGuide(w http.ResponseWriter, r *http.Request) {
	a.text(w, a.localised(r, berth.LLMs))
}

// localised is a text that names this server as the client does.
func (a *API) localised(r *http.Request, text string) string {
	return strings.ReplaceAll(text, "http://127.0.0.1:8080", a.base(r))
}

func (a *API) text(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if _, err := w.Write([]byte(text)); err != nil {
		a.Log.Debug("guide not written", slog.Any("error", err))
	}
}

// page is what every page shows.
func (a *API) page(r *http.Request) page {
	return page{Base: a.base(r), Version: a.Version, Style: template.CSS(styleText), Contact: a.Contact, Links: a.links()} //nolint:gosec // our own file
}

func (a *API) render(w http.ResponseWriter, r *http.Request, t *template.Template) {
	p := a.page(r)
	p.Groups = reference(a.System.Table())
	res, err := a.System.Dispatch(r.Context(), &ops.Call{Op: "list_sizes", Front: "http"})
	if err != nil {
		a.fail(w, r, err)
		return
	}
	p.Sizes = res.Out.(ops.SizesOut).Sizes
	a.show(w, r, t, p)
}

// show writes a page.
func (a *API) show(w http.ResponseWriter, r *http.Request, t *template.Template, p page) {
	var b bytes.Buffer
	if err := t.Execute(&b, p); err != nil {
		a.fail(w, r, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
	if _, err := w.Write(b.Bytes()); err != nil {
		a.Log.Debug("page not written", slog.Any("error", err))
	}
}

// reference lists all routes that agents may use, in the table's order.
func reference(table *ops.Table) []group {
	var groups []group
	index := map[string]int{}
	for _, op := range table.All() {
		if op.Access == ops.Operator {
			continue
		}
		i, ok := index[op.Doc.Tag]
		if !ok {
			i = len(groups)
			index[op.Doc.Tag] = i
			groups = append(groups, group{Name: op.Doc.Tag})
		}
		for _, route := range op.Routes {
			e := endpoint{Method: route.Method, Path: route.Path, Title: first(route.Summary, op.Doc.Title), Text: op.Doc.Text, Tool: op.Name}
			e.Fields = fields(op, route)
			e.Status, e.Answer, e.Errors = statusLine(route.Status), answered(op, route), refused(op, route)
			groups[i].Endpoints = append(groups[i].Endpoints, e)
		}
	}
	return groups
}

func fields(op *ops.Operation, route ops.Route) []field {
	var list []field
	for _, p := range parameters(op, route) {
		list = append(list, field{p.Name, p.In + ", " + typeOf(p.Schema), p.Schema.Description, p.Required})
	}
	s := route.BodySchema(op)
	if s == nil {
		return list
	}
	for _, name := range op.InputOrder {
		if p := s.Properties[name]; p != nil {
			required := slices.Contains(s.Required, name)
			list = append(list, field{name, typeOf(p), p.Description, required})
		}
	}
	return list
}

func statusLine(code int) string { return fmt.Sprintf("%d %s", code, http.StatusText(code)) }

// answered are the values of an endpoint's answer, by their names; those of a
// file are none.
func answered(op *ops.Operation, route ops.Route) []field {
	if route.Raw == ops.RawOut {
		return nil
	}
	var list []field
	s := op.Output()
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		p := s.Properties[name]
		list = append(list, field{Name: name, Type: typeOf(p), Text: p.Description})
	}
	return list
}

// refused are the errors that an endpoint may answer with, by their statuses.
func refused(op *ops.Operation, route ops.Route) []failure {
	var list []failure
	codes := failures(op, route)
	for _, status := range slices.Sorted(maps.Keys(codes)) {
		list = append(list, failure{statusLine(status), codes[status]})
	}
	return list
}

// typeOf is a schema's type with its choices, bounds and default, in words.
func typeOf(s *huma.Schema) string {
	text := s.Type
	if s.Items != nil {
		text = s.Items.Type + " list"
	}
	if len(s.Enum) > 0 {
		words := slices.DeleteFunc(slices.Clone(s.Enum), func(v any) bool { return v == nil })
		text = strings.Trim(strings.Join(strings.Fields(fmt.Sprint(words)), ", "), "[]")
	}
	if s.Nullable {
		text += " or null"
	}
	switch {
	case s.Minimum != nil && s.Maximum != nil:
		text += fmt.Sprintf(", %.0f to %.0f", *s.Minimum, *s.Maximum)
	case s.Minimum != nil:
		text += fmt.Sprintf(", at least %.0f", *s.Minimum)
	}
	if s.Default != nil {
		text += fmt.Sprintf(", default %v", s.Default)
	}
	return text
}
