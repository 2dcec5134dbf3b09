package tools_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mark3labs/mcp-go/mcp"

	"berth/ops/opstest"
	"berth/tools"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// maxListed bounds what a host's model reads before it begins: 5,000 tokens of
// about four bytes.
const maxListed = 20_000

// listed is what tools/list answers to a caller.
func listed(t *testing.T, c tools.Caller) (list []map[string]any, size int) {
	t.Helper()
	srv, err := tools.NewServer(opstest.New(t).System, "test")
	if err != nil {
		t.Fatal(err)
	}
	answer := srv.HandleMessage(tools.WithCaller(t.Context(), c), json.RawMessage(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`))
	text, err := json.Marshal(answer)
	if err != nil {
		t.Fatal(err)
	}
	var out struct {
		Result struct{ Tools []map[string]any }
	}
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out.Result.Tools, len(text)
}

func TestGolden(t *testing.T) {
	dir := filepath.Join("testdata", "golden")
	table := opstest.New(t).System.Table()
	list, _ := listed(t, tools.Caller{Toolsets: []string{"all"}})
	known := map[string]bool{}
	for _, tool := range list {
		name := tool["name"].(string)
		known[name+".json"] = true
		// The output's schema is no part of the list, which has to be small.
		tool["outputSchema"] = table.Lookup(name).Output()
		got, err := json.MarshalIndent(tool, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		golden(t, filepath.Join(dir, name+".json"), append(got, '\n'))
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !known[f.Name()] {
			t.Errorf("there is no tool for %s", f.Name())
		}
	}
}

func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is not what the table says (%v); go test ./tools -update rewrites it", path, err)
	}
}

func TestDefaultSetIsSmall(t *testing.T) {
	list, size := listed(t, tools.Caller{})
	t.Logf("%d tools in %d bytes, about %d tokens", len(list), size, size/4)
	if size > maxListed {
		t.Errorf("the default tools take %d bytes, more than %d", size, maxListed)
	}
	for _, name := range []string{
		"list_regions", "list_sizes", "list_images", "quote", "create_server", "list_servers", "get_server", "extend",
		"power_server", "resize_server", "rebuild_server", "destroy_server", "snapshot", "list_snapshots", "delete_snapshot",
		"ssh_exec", "upload_file", "download_file", "add_ssh_key", "list_ssh_keys", "remove_ssh_key", "get_balance",
		"list_transactions", "get_action",
	} {
		if !slices.ContainsFunc(list, func(tool map[string]any) bool { return tool["name"] == name }) {
			t.Errorf("%s is not among the default tools", name)
		}
	}
}

func TestReadOnlyConnections(t *testing.T) {
	list, _ := listed(t, tools.Caller{Toolsets: []string{"all"}, ReadOnly: true})
	if len(list) == 0 {
		t.Fatal("nothing is listed")
	}
	for _, tool := range list {
		if tool["annotations"].(map[string]any)["readOnlyHint"] != true {
			t.Errorf("%s changes something", tool["name"])
		}
	}
}

var snake = regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)

// TestToolsAreWellFormed checks what hosts demand of tools, and what some of
// them can't read.
func TestToolsAreWellFormed(t *testing.T) {
	list, _ := listed(t, tools.Caller{Toolsets: []string{"all"}})
	seen := map[string]bool{}
	for _, tool := range list {
		name := tool["name"].(string)
		if seen[name] || !snake.MatchString(name) || len(name) > 64 {
			t.Errorf("%q is no name, or the name of two tools", name)
		}
		seen[name] = true
		hints, _ := tool["annotations"].(map[string]any)
		for _, hint := range []string{"readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"} {
			if _, ok := hints[hint].(bool); !ok {
				t.Errorf("%s has no %s", name, hint)
			}
		}
		schema, _ := tool["inputSchema"].(map[string]any)
		if schema["type"] != "object" || schema["additionalProperties"] != false {
			t.Errorf("%s takes %v, additional properties %v", name, schema["type"], schema["additionalProperties"])
		}
		checkSchema(t, name, schema)
	}
}

func checkSchema(t *testing.T, path string, s map[string]any) {
	t.Helper()
	for _, key := range []string{"$ref", "$defs", "oneOf", "anyOf", "allOf", "nullable", "$schema"} {
		if _, ok := s[key]; ok {
			t.Errorf("%s has %s, which some hosts can't read", path, key)
		}
	}
	kind, ok := s["type"].(string)
	if !ok {
		t.Errorf("%s has the type %v", path, s["type"])
	}
	items, ok := s["items"].(map[string]any)
	if (kind == "array") != ok {
		t.Errorf("%s is an %s, items %v", path, kind, s["items"])
	}
	if ok {
		checkSchema(t, path+"[]", items)
	}
	properties, _ := s["properties"].(map[string]any)
	for name, p := range properties {
		checkSchema(t, path+"."+name, p.(map[string]any))
	}
}

// TestInstructions fit what hosts show of them.
func TestInstructions(t *testing.T) {
	if n := len(tools.Instructions); n > 2048 {
		t.Errorf("the instructions have %d bytes, and hosts cut them at 2048", n)
	}
	table := opstest.New(t).System.Table()
	for _, word := range regexp.MustCompile(`[a-z]+_[a-z_]+`).FindAllString(tools.Instructions, -1) {
		if table.Lookup(word) == nil && !slices.Contains([]string{"idempotency_key", "auto_renew", "snapshot_id"}, word) {
			t.Errorf("the instructions speak of %s, which there is not", word)
		}
	}
}

// TestToolAnswers calls a tool that succeeds and one that is refused.
func TestToolAnswers(t *testing.T) {
	w := opstest.New(t)
	srv, err := tools.NewServer(w.System, "test")
	if err != nil {
		t.Fatal(err)
	}
	p := w.Principal()
	call := func(c tools.Caller, name, args string) *mcp.CallToolResult {
		t.Helper()
		answer := srv.HandleMessage(tools.WithCaller(t.Context(), c), json.RawMessage(
			`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"`+name+`","arguments":`+args+`}}`))
		res, ok := answer.(mcp.JSONRPCResponse)
		if !ok {
			t.Fatalf("%s answers %+v", name, answer)
		}
		out, ok := res.Result.(*mcp.CallToolResult)
		if !ok {
			out2 := res.Result.(mcp.CallToolResult)
			out = &out2
		}
		return out
	}
	text := func(r *mcp.CallToolResult) string { return r.Content[0].(mcp.TextContent).Text }
	agent := tools.Caller{Creds: p.Creds}
	bought := call(agent, "create_server", `{"size":"small","region":"nyc1","wait_seconds":0,"idempotency_key":"k"}`)
	if bought.IsError || !strings.Contains(text(bought), `"status":"provisioning"`) || bought.Meta == nil || bought.Meta.AdditionalFields["berth/receipt"] == nil {
		t.Errorf("create_server: %+v", bought)
	}
	again := call(agent, "create_server", `{"size":"small","region":"nyc1","wait_seconds":0,"idempotency_key":"k"}`)
	if text(again) != text(bought) || again.Meta.AdditionalFields["berth/replayed"] != true {
		t.Errorf("the replay: %+v", again)
	}
	refused := call(agent, "create_server", `{"size":"gigantic","region":"nyc1"}`)
	if !refused.IsError || !strings.Contains(text(refused), `"code":"unknown_size"`) || !strings.Contains(text(refused), `"hint"`) {
		t.Errorf("a wrong size: %s", text(refused))
	}
	nobody := call(tools.Caller{}, "create_server", `{"size":"small","region":"nyc1"}`)
	if !nobody.IsError || !strings.Contains(text(nobody), `"amount":"0.02025"`) {
		t.Errorf("nobody: %s", text(nobody))
	}
}

// TestHiddenTools: tools can't be called by those who don't see them, who are told
// where they are; what is no tool at all is unknown.
func TestHiddenTools(t *testing.T) {
	w := opstest.New(t)
	srv, err := tools.NewServer(w.System, "test")
	if err != nil {
		t.Fatal(err)
	}
	p := w.Principal()
	before := w.State()
	for name, c := range map[string]tools.Caller{
		"get_statement": {Creds: p.Creds},
		"create_server": {Creds: p.Creds, ReadOnly: true, Toolsets: []string{"all"}},
		"list_accounts": {Creds: opstest.Operator, Toolsets: []string{"all"}},
	} {
		answer := srv.HandleMessage(tools.WithCaller(t.Context(), c), json.RawMessage(
			`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"`+name+`","arguments":{"size":"small","region":"nyc1"}}}`))
		text, err := json.Marshal(answer)
		if err != nil {
			t.Fatal(err)
		}
		e, unknown := answer.(mcp.JSONRPCError)
		if w.System.Table().Lookup(name).Doc.Toolset == "" {
			if !unknown || e.Error.Code != mcp.INVALID_PARAMS {
				t.Errorf("%s answers %s", name, text)
			}
		} else if unknown || !strings.Contains(string(text), `"isError":true`) || !strings.Contains(string(text), "toolset") {
			t.Errorf("%s answers %s", name, text)
		}
	}
	if after := w.State(); !cmp.Equal(before, after) {
		t.Errorf("something was done: %s", cmp.Diff(before, after))
	}
}
