package docscheck_test

import (
	"go/parser"
	"go/token"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"lastmile/internal/docscheck"
)

// sentence matches the end of a sentence.
var sentence = regexp.MustCompile(`[.!?]["')\]]*(\s|$)`)

// TestInternalPackagesIntroduceThemselves: whoever opens a package below an
// internal directory learns first what it is, what it is not, and who may use
// it.
func TestInternalPackagesIntroduceThemselves(t *testing.T) {
	t.Parallel()
	files, err := docscheck.Files(root(t), ".go")
	if err != nil {
		t.Fatal(err)
	}
	comments := map[string]string{}
	for _, file := range files {
		dirs := strings.Split(path.Dir(file), "/")
		if !slices.Contains(dirs, "internal") || slices.Contains(dirs, "testdata") || strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root(t), file), nil, parser.ParseComments|parser.PackageClauseOnly)
		if err != nil {
			t.Fatal(err)
		}
		comments[path.Dir(file)] += f.Doc.Text()
	}
	if len(comments) < 20 {
		t.Fatalf("only %d packages found", len(comments))
	}
	for dir, text := range comments {
		prose := slices.DeleteFunc(strings.Split(text, "\n"), func(line string) bool { return strings.HasPrefix(line, "\t") })
		if n := len(sentence.FindAllString(strings.Join(prose, "\n"), -1)); n < 3 {
			t.Errorf("%s: the package comment has %d sentences, want what it is, what it is not, and who may use it:\n%s", dir, n, text)
		}
	}
}
