package docscheck_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// hop is an entry of a route in ARCHITECTURE.md.
var hop = regexp.MustCompile("^(\\d+)\\. \\[[^]]+\\]\\(([^)]+)\\)(?: `([\\w.]+)`)?: .")

// TestRoutesAreShortAndExist: whoever follows a push or a job through the code
// opens the files that ARCHITECTURE.md lists, each once, and finds the function.
func TestRoutesAreShortAndExist(t *testing.T) {
	t.Parallel()
	text := read(t, "docs/ARCHITECTURE.md")
	for title, most := range map[string]int{"From Notify to the frame": 12, "From Enqueue to the terminal event": 10} {
		_, section, found := strings.Cut(text, "\n### "+title+"\n")
		if !found {
			t.Errorf("ARCHITECTURE.md has no section %q", title)
			continue
		}
		section, _, _ = strings.Cut(section, "\n#")
		seen := map[string]bool{}
		for line := range strings.Lines(section) {
			if line[0] < '0' || line[0] > '9' {
				continue
			}
			m := hop.FindStringSubmatch(line)
			if m == nil {
				t.Errorf("%s: %q names no file", title, line)
				continue
			}
			file := path.Join("docs", m[2])
			if m[1] != strconv.Itoa(len(seen)+1) || seen[file] {
				t.Errorf("%s: %q is out of order, or comes twice", title, line)
			}
			seen[file] = true
			if strings.HasSuffix(file, ".go") && !declares(t, file, m[3]) {
				t.Errorf("%s: %s does not declare %q", title, file, m[3])
			}
		}
		if len(seen) < 5 || len(seen) > most {
			t.Errorf("%s: %d files, want at most %d", title, len(seen), most)
		}
	}
}

// declares says whether a Go file has the method, named Type.Method.
func declares(t *testing.T, file, name string) bool {
	t.Helper()
	tree, err := parser.ParseFile(token.NewFileSet(), file, read(t, file), 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range tree.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Recv == nil {
			continue
		}
		receiver := f.Recv.List[0].Type
		if star, ok := receiver.(*ast.StarExpr); ok {
			receiver = star.X
		}
		if index, ok := receiver.(*ast.IndexListExpr); ok {
			receiver = index.X
		}
		if id, ok := receiver.(*ast.Ident); ok && id.Name+"."+f.Name.Name == name {
			return true
		}
	}
	return false
}
