package berth_test

import (
	"go/ast"
	"go/token"
	"strings"
	"testing"
)

// maxLines bounds a file: a longer one is about more than one noun.
const maxLines = 600

func TestPackagesHaveDocs(t *testing.T) {
	documented := map[string]bool{}
	for _, s := range sources(t) {
		if s.isTest() || ast.IsGenerated(s.file) {
			continue
		}
		documented[s.dir()] = documented[s.dir()] || s.file.Doc != nil
	}
	for dir, ok := range documented {
		if !ok {
			t.Errorf("the package in %q has no doc comment", dir)
		}
	}
}

func TestFilesAreShort(t *testing.T) {
	for _, s := range sources(t) {
		if n := s.set.File(s.file.Pos()).LineCount(); n > maxLines && !ast.IsGenerated(s.file) {
			t.Errorf("%s has %d lines", s.path, n)
		}
	}
}

// TestExportedNamesHaveDocs: what others may use says what it is.
func TestExportedNamesHaveDocs(t *testing.T) {
	for _, s := range sources(t) {
		if s.isTest() || ast.IsGenerated(s.file) {
			continue
		}
		for _, d := range s.file.Decls {
			for _, name := range undocumented(d) {
				t.Errorf("%s: %s has no doc comment", s.set.Position(d.Pos()), name)
			}
		}
	}
}

// undocumented are the exported names that a declaration makes without a doc
// comment. One comment on a group is enough for its constants and variables.
func undocumented(d ast.Decl) (names []string) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && onExported(d) && d.Doc == nil {
			names = append(names, d.Name.Name)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				if spec.Name.IsExported() && spec.Doc == nil && (d.Doc == nil || d.Lparen != token.NoPos) {
					names = append(names, spec.Name.Name)
				}
			case *ast.ValueSpec:
				for _, id := range spec.Names {
					if id.IsExported() && d.Doc == nil && spec.Doc == nil {
						names = append(names, id.Name)
					}
				}
			}
		}
	}
	return names
}

// onExported tells of functions, and of methods of exported types.
func onExported(d *ast.FuncDecl) bool {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return true
	}
	receiver := d.Recv.List[0].Type
	for {
		switch r := receiver.(type) {
		case *ast.StarExpr:
			receiver = r.X
		case *ast.IndexExpr:
			receiver = r.X
		case *ast.IndexListExpr:
			receiver = r.X
		case *ast.Ident:
			return r.IsExported()
		default:
			return false
		}
	}
}

// TestCommentsBelongToTheirNames: a doc comment begins with what it is about,
// so that go doc reads as a sentence.
func TestCommentsBelongToTheirNames(t *testing.T) {
	for _, s := range sources(t) {
		if s.isTest() || ast.IsGenerated(s.file) {
			continue
		}
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Doc == nil || !f.Name.IsExported() || !onExported(f) {
				continue
			}
			if text := f.Doc.Text(); !strings.Contains(strings.SplitN(text, "\n", 2)[0], f.Name.Name) {
				t.Errorf("%s: the comment of %s does not name it: %.60s", s.set.Position(f.Pos()), f.Name.Name, text)
			}
		}
	}
}
