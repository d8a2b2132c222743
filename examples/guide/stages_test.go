package guide_test

import (
	"encoding/json"
	"fmt"
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

// TestEachChapterBuilds: the order desk can be built and begun with after each
// chapter, with its files and without the lines of later ones.
func TestEachChapterBuilds(t *testing.T) {
	t.Parallel()
	root, err := repo.Root()
	if err != nil {
		t.Fatal(err)
	}
	dir, overlay, packages := t.TempDir(), map[string]string{}, []string{}
	files := map[string]string{}
	for _, c := range chapters(t, root) {
		maps.Copy(files, c.files)
		stage := fmt.Sprintf("examples/guide/stage%d", c.number)
		packages = append(packages, "./"+stage)
		for name, code := range files {
			real := filepath.Join(dir, fmt.Sprintf("%d-%s", c.number, name))
			if err := os.WriteFile(real, []byte(compiled(before(code, c.number))), 0o600); err != nil {
				t.Fatal(err)
			}
			overlay[filepath.Join(root, stage, name)] = real
		}
	}
	list, err := json.Marshal(map[string]any{"Replace": overlay})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), list, 0o600); err != nil {
		t.Fatal(err)
	}
	build := exec.CommandContext(t.Context(), "go", append([]string{"build", "-overlay", filepath.Join(dir, "overlay.json")}, packages...)...)
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// compiled is a file of a package that is compiled and not linked, which takes most
// of a build's time.
func compiled(code string) string {
	return strings.Replace(code, "package main\n", "package stage\n", 1)
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
