package berth_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// rooms are what each package may import of Berth, without the module's name.
// A package below a room is in the room, unless it is one itself.
var rooms = []struct {
	name string
	may  []string
	why  string
}{
	{"", nil, "what all share imports nothing of ours"},
	{"prompts", nil, "texts need nothing"},
	{"remote", nil, "the hand on servers knows nothing of what they are for"},
	{"account", []string{""}, "who asks is known apart from what is asked for"},
	{"billing", []string{"", "account"}, "money knows who has it and not what it buys; prices follow an account's tariff"},
	{"billing/evm", nil, "what chains have in common knows nobody's money"},
	{"billing/x402", []string{"", "billing", "billing/evm"}, "an adapter knows its parent, and no other rail"},
	{"billing/mpp", []string{"", "billing", "billing/evm"}, "an adapter knows its parent, and no other rail"},
	{"provider", []string{""}, "the cloud as Berth sees it, with Berth's clock"},
	{"provider/digitalocean", []string{"", "provider"}, "an adapter knows its parent, and no other adapter"},
	{"provider/sandbox", []string{"", "provider/sandbox/droplet"}, "it is reached over HTTP, like the cloud it stands for"},
	{"provider/sandbox/droplet", []string{"provider/sandbox/droplet"}, "little machines stand alone"},
	{"fleet", []string{"", "account", "billing", "provider"}, "the rules of servers are made of these"},
	{"ops", []string{"", "account", "billing", "fleet", "remote"}, "operations are made of the domain, and of the hand on servers"},
	{"jobs", []string{"", "account", "billing", "fleet", "storage"}, "the doorbell calls steps of the domain"},
	{"storage", []string{"", "account", "billing", "fleet", "ops", "provider", "storage"}, "it keeps the domain's types"},
	{"tools", []string{"", "account", "billing", "fleet", "ops", "prompts"}, "a front reads the table; it never asks a provider or the store"},
	{"api", []string{"", "account", "billing", "fleet", "ops"}, "as tools"},
	{"web", []string{"", "account", "billing", "fleet", "ops"}, "as tools"},
	{"cmd", []string{"*"}, "only cmd wires"},
	{"bench", []string{"*"}, "it measures everything"},
	{"e2e", []string{"*"}, "it tries everything together"},
}

// closed are packages of others that only some may import.
var closed = []struct {
	prefix string
	may    []string // rooms
	why    string
}{
	{"net/http", []string{"api", "tools", "web", "ops", "cmd", "bench", "e2e", "billing/evm", "billing/mpp", "billing/x402", "provider/digitalocean", "provider/sandbox", "provider/sandbox/droplet"}, "domain packages know no HTTP; ops names its methods and statuses; a little machine stands in for a web server; chains and facilitators are reached over it"},
	{"database/sql", []string{"storage", "jobs", "bench"}, "only storage knows SQL; the doorbell's queue has a driver of its own"},
	{"modernc.org/sqlite", []string{"storage", "jobs", "bench"}, "as database/sql"},
	{"github.com/mark3labs/mcp-go", []string{"tools", "cmd", "bench", "e2e"}, "only the MCP front knows MCP"},
	{"github.com/digitalocean/godo", []string{"provider/digitalocean", "bench"}, "only its adapter knows the provider's client; it is a baseline to measure against"},
	{"github.com/riverqueue", []string{"jobs"}, "River is the doorbell and nothing else"},
	{"github.com/danielgtaylor/huma", []string{"ops", "api"}, "schemas are made in the table, and shown over HTTP"},
	{"github.com/alecthomas/kong", []string{"cmd", "bench"}, "flags are read where things are wired"},
}

// source is one Go file of the tree.
type source struct {
	path string // from the root
	file *ast.File
	set  *token.FileSet
}

func (s source) dir() string {
	if d := path.Dir(s.path); d != "." {
		return d
	}
	return ""
}

func (s source) isTest() bool { return strings.HasSuffix(s.path, "_test.go") }

// isFixture tells of packages for tests, such as ops/opstest.
func isFixture(dir string) bool { return strings.HasSuffix(dir, "test") }

// sources are all Go files of the tree.
func sources(t *testing.T) (list []source) {
	t.Helper()
	set := token.NewFileSet()
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && skipped(d.Name(), name):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, ".go"):
			return nil
		}
		text, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(set, name, text, parser.ParseComments|parser.SkipObjectResolution)
		list = append(list, source{name, file, set})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(list) < 100 {
		t.Fatalf("only %d files: this is not the whole tree", len(list))
	}
	return list
}

func skipped(base, name string) bool {
	return base == "testdata" || base == "node_modules" || (strings.HasPrefix(base, ".") && name != ".")
}

// roomOf is the innermost room that a directory is in.
func roomOf(dir string) string {
	best, found := "", dir == ""
	for _, r := range rooms {
		if r.name != "" && (dir == r.name || strings.HasPrefix(dir, r.name+"/")) && len(r.name) >= len(best) {
			best, found = r.name, true
		}
	}
	if !found {
		return "?"
	}
	return best
}

func TestImports(t *testing.T) {
	for _, s := range sources(t) {
		if s.isTest() || isFixture(s.dir()) {
			continue
		}
		room := roomOf(s.dir())
		if room == "?" {
			t.Errorf("%s is in no room of the house; add one to this test, and say why", s.path)
			continue
		}
		for _, spec := range s.file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if ours, ok := cutModule(imported); ok {
				checkOurs(t, s, room, ours)
			} else {
				checkClosed(t, s, room, imported)
			}
		}
	}
}

// cutModule is a package's directory, where it is one of ours.
func cutModule(imported string) (dir string, ok bool) {
	if imported == "berth" {
		return "", true
	}
	return strings.CutPrefix(imported, "berth/")
}

func checkOurs(t *testing.T, s source, room, imported string) {
	t.Helper()
	if isFixture(imported) {
		if room != "bench" && room != "e2e" {
			t.Errorf("%s imports %s, which is for tests and measurements", s.path, imported)
		}
		return
	}
	target := roomOf(imported)
	for _, r := range rooms {
		if r.name != room {
			continue
		}
		if target != room && !slices.Contains(r.may, target) && !slices.Contains(r.may, "*") {
			t.Errorf("%s imports berth/%s, but %s", s.path, imported, r.why)
		}
	}
}

func checkClosed(t *testing.T, s source, room, imported string) {
	t.Helper()
	for _, c := range closed {
		if (imported == c.prefix || strings.HasPrefix(imported, c.prefix+"/")) && !slices.Contains(c.may, room) {
			t.Errorf("%s imports %s, but %s", s.path, imported, c.why)
		}
	}
}

// TestRoomsExist: a rule for a package that is gone would hide its successor.
func TestRoomsExist(t *testing.T) {
	dirs := map[string]bool{}
	for _, s := range sources(t) {
		for d := s.dir(); ; d = path.Dir(d) {
			dirs[d] = true
			if d == "." || d == "" {
				break
			}
		}
	}
	for _, r := range rooms {
		if !dirs[r.name] && r.name != "web" { // planned, and not built yet
			t.Errorf("there is no %s", r.name)
		}
		if r.why == "" {
			t.Errorf("nobody knows why %s may import what it may", r.name)
		}
	}
}

func TestFolderNames(t *testing.T) {
	for _, s := range sources(t) {
		for _, part := range strings.Split(s.dir(), "/") {
			if slices.Contains([]string{"util", "utils", "common", "helper", "helpers", "manager", "managers", "misc", "shared"}, part) {
				t.Errorf("%s: %s says nothing of what is in it", s.path, part)
			}
		}
	}
}

// TestNoFloatsForMoney: amounts are integers wherever they are counted.
func TestNoFloatsForMoney(t *testing.T) {
	for _, s := range sources(t) {
		if room := roomOf(s.dir()); s.isTest() || (room != "billing" && room != "account" && room != "") {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok && (id.Name == "float64" || id.Name == "float32") {
				t.Errorf("%s: %s where money is counted", s.set.Position(id.Pos()), id.Name)
			}
			return true
		})
	}
}
