package structure_test

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"lastmile/internal/repo"
	"lastmile/internal/structure"
)

// everything loads all packages of the module, once for all tests.
var everything = sync.OnceValues(func() ([]*structure.Package, error) {
	root, err := repo.Root()
	if err != nil {
		return nil, err
	}
	return structure.Load(root, "./...")
})

// packages returns the packages below the directories, all without one.
func packages(t *testing.T, dirs ...string) []*structure.Package {
	t.Helper()
	all, err := everything()
	if err != nil {
		t.Fatal(err)
	}
	if len(dirs) == 0 {
		return all
	}
	var list []*structure.Package
	for _, p := range all {
		if slices.ContainsFunc(dirs, func(dir string) bool {
			return p.Path == "lastmile/"+dir || strings.HasPrefix(p.Path, "lastmile/"+dir+"/")
		}) {
			list = append(list, p)
		}
	}
	if len(list) < len(dirs) {
		t.Fatalf("only %d packages found below %v", len(list), dirs)
	}
	return list
}

// TestFunctionsAreShort: a function of 80 lines is two functions.
func TestFunctionsAreShort(t *testing.T) {
	t.Parallel()
	functions := 0
	for _, p := range packages(t) {
		for _, f := range p.Funcs() {
			functions++
			if f.Lines >= 80 {
				t.Errorf("%s: %s has %d lines, want under 80", p.Line(f.Pos), f.Name, f.Lines)
			}
		}
	}
	if functions < 1000 {
		t.Errorf("only %d functions found", functions)
	}
}
