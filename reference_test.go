package berth_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"

	"berth/api"
	"berth/fleet"
	"berth/ops"
	"berth/ops/opstest"
)

// operationList is what llms.txt says of operations: one line for each, and
// what servers cost.
func operationList(t *testing.T, w *opstest.World) string {
	var b strings.Builder
	b.WriteString("## Operations\n\nThe tool over MCP, its HTTP routes, and what it takes: * is required; over HTTP what is not in the path goes into the query of GET and DELETE, else into a JSON body. Amounts are US dollars. /openapi.json has types and bounds.\n")
	tag := ""
	for _, op := range w.System.Table().All() {
		if op.Access == ops.Operator {
			continue
		}
		if op.Doc.Tag != tag {
			tag = op.Doc.Tag
			fmt.Fprintf(&b, "\n### %s\n\n", tag)
		}
		routes := make([]string, len(op.Routes))
		for i, r := range op.Routes {
			routes[i] = "`" + r.Method + " " + r.Path + "`"
		}
		fmt.Fprintf(&b, "- `%s`: %s %s%s\n", op.Name, op.Doc.Text, strings.Join(routes, ", "), takes(op))
	}
	b.WriteString("\n### Prices of the built-in catalog\n\n| size | vCPU | memory | disk | create | per hour |\n|---|---|---|---|---|---|\n")
	for _, z := range w.Must(nil, "list_sizes", nil).Out.(ops.SizesOut).Sizes {
		fmt.Fprintf(&b, "| `%s` | %d | %d MB | %d GB | %s | %s |\n", z.Slug, z.VCPUs, z.MemoryMB, z.DiskGB, z.CreateFee, z.Hourly)
	}
	kept := w.Must(nil, "get_snapshot_pricing", nil).Out.(ops.SnapshotPricingOut)
	fmt.Fprintf(&b, "\nSnapshots are kept %d hours free, then %s per GB and day; an extension of time or retention costs at least %s.\n", kept.FreeHours, kept.PerGBDay, kept.Minimum)
	return b.String()
}

// takes are an operation's inputs by name, those that are required with a star.
func takes(op *ops.Operation) string {
	var names []string
	for _, name := range op.InputOrder {
		s := op.Input.Properties[name]
		if slices.Contains(op.Input.Required, name) {
			name += "*"
		}
		if len(s.Enum) > 0 && len(s.Enum) <= 5 {
			name += " (" + strings.Trim(strings.Join(strings.Fields(fmt.Sprint(s.Enum)), "|"), "[]") + ")"
		}
		names = append(names, name)
	}
	if names == nil {
		return ""
	}
	return "; takes " + strings.Join(names, ", ")
}

// operationReference is the whole reference, of docs/operations.md.
func operationReference(t *testing.T, w *opstest.World) string {
	var b strings.Builder
	b.WriteString("# Operations\n\nEvery operation of Berth, over each of its fronts: what it takes, within which bounds, and how it may refuse. What an error means is in [errors.md](errors.md).\n\nOver MCP an operation is a tool of its name; `idempotency_key`, `quote_id` and `wait_seconds` are arguments beside its own. Over HTTP they are the header `Idempotency-Key` and the parameters `quote_id` and `wait_seconds` (or `Prefer: wait=…`).\n")
	doc := api.Document(w.System.Table(), "")
	for _, op := range w.System.Table().All() {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n%s\n\n", op.Name, op.Doc.Text, standing(op))
		for _, r := range op.Routes {
			fmt.Fprintf(&b, "- `%s %s` answers %d %s%s\n", r.Method, r.Path, r.Status, http.StatusText(r.Status), particulars(r))
		}
		inputs(&b, op)
		fmt.Fprintf(&b, "\nExample: `%s`\n", op.Doc.Example)
		if codes := refusals(doc, op); len(codes) > 0 {
			fmt.Fprintf(&b, "\nErrors: `%s`.\n", strings.Join(codes, "`, `"))
		}
	}
	b.WriteString("\n# Events\n\nWhat the feed of `list_events` tells, oldest first; `subject` is the id of what it is about.\n\n| kind | |\n|---|---|\n")
	for _, e := range fleet.EventDocs {
		fmt.Fprintf(&b, "| `%s` | %s |\n", e.Kind, e.Text)
	}
	return b.String()
}

// standing says who may call an operation, and what a call may do.
func standing(op *ops.Operation) string {
	parts := []string{map[ops.Access]string{
		ops.Anyone: "For anyone", ops.Identified: "For callers with an API key", ops.Operator: "For the operator",
	}[op.Access]}
	if op.Doc.Toolset != "" {
		parts = append(parts, "toolset "+op.Doc.Toolset)
	} else {
		parts = append(parts, "no tool")
	}
	for _, h := range []struct {
		set  bool
		word string
	}{
		{op.Doc.ReadOnly, "read only"},
		{op.Doc.Destructive, "destructive"},
		{op.Doc.Idempotent, "idempotent"},
		{op.Priced, "costs money"},
		{op.Long, "can be waited for"},
	} {
		if h.set {
			parts = append(parts, h.word)
		}
	}
	return strings.Join(parts, " · ") + "."
}

// particulars are what sets a route apart from its operation.
func particulars(r ops.Route) string {
	var parts []string
	if len(r.Fixed) > 0 {
		text, err := json.Marshal(r.Fixed)
		if err != nil {
			panic(err) // constants of the table
		}
		parts = append(parts, "with `"+string(text)+"`")
	}
	if len(r.Omit) > 0 {
		parts = append(parts, "without "+strings.Join(r.Omit, ", "))
	}
	switch r.Raw {
	case ops.RawIn:
		parts = append(parts, "the body is the file")
	case ops.RawOut:
		parts = append(parts, "the answer is the file")
	case ops.Streamed:
		parts = append(parts, "streams with `Accept: text/event-stream`")
	}
	if parts == nil {
		return ""
	}
	return " (" + strings.Join(parts, "; ") + ")"
}

func inputs(b *strings.Builder, op *ops.Operation) {
	names := append(slices.Clone(op.InputOrder), op.EnvelopeFields()...)
	if len(names) == 0 {
		return
	}
	b.WriteString("\n| input | type | bounds | |\n|---|---|---|---|\n")
	for _, name := range names {
		s := op.Input.Properties[name]
		if s == nil {
			s = ops.EnvelopeSchema(name)
		}
		required := ""
		if slices.Contains(op.Input.Required, name) {
			required = " (required)"
		}
		fmt.Fprintf(b, "| `%s`%s | %s | %s | %s |\n", name, required, s.Type, strings.ReplaceAll(bounds(s), "|", `\|`), s.Description)
	}
}

// bounds are what a schema demands beyond its type.
func bounds(s *huma.Schema) string {
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	if len(s.Enum) > 0 {
		words := make([]string, len(s.Enum))
		for i, v := range s.Enum {
			words[i] = fmt.Sprintf("`%v`", v)
		}
		add("%s", strings.Join(words, ", "))
	}
	switch {
	case s.Minimum != nil && s.Maximum != nil:
		add("%.0f to %.0f", *s.Minimum, *s.Maximum)
	case s.Minimum != nil:
		add("at least %.0f", *s.Minimum)
	case s.Maximum != nil:
		add("at most %.0f", *s.Maximum)
	}
	if s.MaxLength != nil {
		add("at most %d characters", *s.MaxLength)
	}
	if s.MaxItems != nil {
		add("at most %d", *s.MaxItems)
	}
	if s.MaxProperties != nil {
		add("at most %d", *s.MaxProperties)
	}
	if s.Pattern != "" {
		add("`%s`", s.Pattern)
	}
	if s.Format != "" {
		add("%s", s.Format)
	}
	if s.Default != nil {
		add("default `%v`", s.Default)
	}
	return strings.Join(parts, "; ")
}

// refusals are the codes that the OpenAPI document names for an operation.
func refusals(doc *huma.OpenAPI, op *ops.Operation) (codes []string) {
	for _, r := range op.Routes {
		item := doc.Paths[r.Path]
		if item == nil {
			continue
		}
		described := map[string]*huma.Operation{"GET": item.Get, "POST": item.Post, "PUT": item.Put, "DELETE": item.Delete, "PATCH": item.Patch}[r.Method]
		if described == nil {
			continue
		}
		for status, res := range described.Responses {
			if _, list, ok := strings.Cut(res.Description, ": "); ok && status >= "400" && status != "default" {
				codes = append(codes, strings.Split(list, ", ")...)
			}
		}
	}
	slices.Sort(codes)
	return slices.Compact(codes)
}
