package berth_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"

	"berth"
	"berth/api"
	"berth/ops/opstest"
)

var update = flag.Bool("update", false, "rewrite what is generated")

// TestGeneratedTexts: what the documents say of operations and errors is what
// the program does.
func TestGeneratedTexts(t *testing.T) {
	w := opstest.New(t)
	for path, text := range map[string]string{
		"llms.txt":           operationList(t, w),
		"docs/operations.md": operationReference(t, w),
		"docs/errors.md":     errorReference(t),
	} {
		t.Run(path, func(t *testing.T) { generated(t, path, text) })
	}
}

// The marks around what is generated in a text that is otherwise written by
// hand.
const (
	begin = "<!-- operations:begin -->\n"
	end   = "<!-- operations:end -->\n"
)

// generated compares the part of a file between the marks with what it should
// be, or rewrites it.
func generated(t *testing.T, path, want string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil && !*update {
		t.Fatal(err)
	}
	head, rest, found := strings.Cut(string(text), begin)
	part, tail, closed := strings.Cut(rest, end)
	switch {
	case !found || !closed:
		head, tail = strings.TrimRight(string(text), "\n")+"\n\n", ""
		if len(text) == 0 {
			head = ""
		}
	case part == want:
		return
	}
	if !*update {
		t.Fatalf("%s is stale; go test . -update rewrites it", path)
	}
	if err := os.WriteFile(path, []byte(head+begin+want+end+tail), 0o644); err != nil {
		t.Fatal(err)
	}
}

func errorReference(t *testing.T) string {
	var b strings.Builder
	b.WriteString("# Errors\n\nEvery error has a code of this list, a message that says what is wrong, and a hint that says what to do instead. Over HTTP it is a problem document (RFC 9457) with `code`, `detail` and `hint`; over MCP a tool result with `isError` and the same in `error`.\n\n| code | HTTP | meaning |\n|---|---|---|\n")
	for _, c := range declaredCodes(t) {
		status := api.Status(c.code)
		fmt.Fprintf(&b, "| `%s` | %d %s | %s |\n", c.code, status, http.StatusText(status), c.meaning)
	}
	return b.String()
}

// declaredCode is a code of errors with the meaning that its comment tells.
type declaredCode struct {
	code    berth.Code
	meaning string
}

// declaredCodes reads the codes from the source that declares them.
func declaredCodes(t *testing.T) (list []declaredCode) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "errors.go", nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range file.Decls {
		group, ok := d.(*ast.GenDecl)
		if !ok || group.Tok != token.CONST {
			continue
		}
		for _, spec := range group.Specs {
			v := spec.(*ast.ValueSpec)
			text, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, declaredCode{berth.Code(text), strings.TrimSpace(v.Comment.Text())})
		}
	}
	return list
}
