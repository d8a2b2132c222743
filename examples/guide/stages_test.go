package guide_test

import (
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"lastmile/internal/docscheck"
	"lastmile/internal/repo"
)

// fromHere is the first chapter of the order desk.
const fromHere = 5

// named finds the file that a line of a chapter speaks of.
var named = regexp.MustCompile("`(\\w+\\.go)`")

// written finds the chapter in which a line is written.
var written = regexp.MustCompile(`(?://|\{\{/\*) chapter (\d+)(?: \*/\}\})?$`)

// chapter is what a chapter adds to the order desk.
type chapter struct {
	number int
	files  map[string]string
}

// chapters reads the chapters that build the order desk. A block that begins
// with a package clause begins a file, which was named above it; others go on.
func chapters(t *testing.T, root string) []chapter {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(root, "docs", "guide", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	var list []chapter
	for _, path := range paths {
		prefix, _, _ := strings.Cut(filepath.Base(path), "-")
		number, err := strconv.Atoi(prefix)
		if err != nil || number < fromHere {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		c := chapter{number, map[string]string{}}
		doc, file := docscheck.Parse(path, string(text)), ""
		lines := strings.Split(doc.Text, "\n")
		for _, b := range doc.Blocks {
			if b.Lang != "go" {
				continue
			}
			if !strings.HasPrefix(b.Code, "package ") && !strings.Contains(b.Code, "\npackage ") {
				c.files[file] += "\n" + b.Code
				continue
			}
			names := named.FindAllStringSubmatch(strings.Join(lines[:b.Line], "\n"), -1)
			if names == nil {
				t.Fatalf("%s:%d: no file is named", path, b.Line)
			}
			file = names[len(names)-1][1]
			c.files[file] = b.Code
		}
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b chapter) int { return a.number - b.number })
	return list
}

// TestChaptersAreTheProgram: who copies the blocks of the guide has the order desk.
func TestChaptersAreTheProgram(t *testing.T) {
	t.Parallel()
	root, err := repo.Root()
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{}
	for _, c := range chapters(t, root) {
		for name, code := range c.files {
			shown[name] = true
			if want := read(t, filepath.Join(root, "examples", "guide", "desk", name)); code != want {
				t.Errorf("chapter %d shows %s otherwise than it is:\n%s", c.number, name, code)
			}
		}
	}
	program, err := docscheck.Files(filepath.Join(root, "examples", "guide", "desk"), ".go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range program {
		if !shown[name] && name != "chapters_test.go" {
			t.Errorf("no chapter shows %s", name)
		}
	}
}

// TestEachChapterBuilds: the compiler takes the order desk as it is after each
// chapter, with its files and without the lines of later ones.
func TestEachChapterBuilds(t *testing.T) {
	t.Parallel()
	root, err := repo.Root()
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	imports := importer.ForCompiler(fset, "gc", exports(t, root))
	files := map[string]string{}
	for _, c := range chapters(t, root) {
		maps.Copy(files, c.files)
		var parsed []*ast.File
		for _, name := range slices.Sorted(maps.Keys(files)) {
			f, err := parser.ParseFile(fset, fmt.Sprintf("chapter %d: %s", c.number, name), before(files[name], c.number), parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(name, "_test.go") {
				parsed = append(parsed, f)
			}
		}
		check := types.Config{Importer: imports, Error: func(err error) { t.Error(err) }}
		_, _ = check.Check("desk", fset, parsed, nil) // every error was told
	}
}

// exports finds what the compiler says of the packages that the order desk needs.
func exports(t *testing.T, root string) importer.Lookup {
	t.Helper()
	list := exec.CommandContext(t.Context(), "go", "list", "-export", "-deps", "-f", "{{.ImportPath}} {{.Export}}", "./examples/guide/desk")
	list.Dir, list.Stderr = root, t.Output()
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	paths := map[string]string{}
	for line := range strings.Lines(string(out)) {
		path, file, _ := strings.Cut(strings.TrimSpace(line), " ")
		paths[path] = file
	}
	return func(path string) (io.ReadCloser, error) { return os.Open(paths[path]) }
}

// before returns a file as it is after a chapter.
func before(code string, number int) string {
	var lines []string
	for line := range strings.Lines(code) {
		if m := written.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
			if n, err := strconv.Atoi(m[1]); err == nil && n > number {
				continue
			}
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "")
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
