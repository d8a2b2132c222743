package structure_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"lastmile/internal/repo"
	"lastmile/internal/structure"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func load(t *testing.T, patterns ...string) []*structure.Package {
	t.Helper()
	root, err := repo.Root()
	if err != nil {
		t.Fatal(err)
	}
	pkgs, err := structure.Load(root, patterns...)
	if err != nil {
		t.Fatal(err)
	}
	return pkgs
}

// TestCounts counts a package whose numbers are known.
func TestCounts(t *testing.T) {
	t.Parallel()
	p := load(t, "./internal/structure/testdata/fixture")[0]
	written := map[string]string{}
	for _, f := range p.Fields("thing") {
		written[f.Name] = strings.Join(f.WrittenIn, " ")
	}
	if diff := cmp.Diff(map[string]string{
		"first": "a.go b.go", "second": "a.go", "box": "a.go b.go", "far": "", "taken": "a.go", "plain": "a.go b.go",
	}, written); diff != "" {
		t.Errorf("fields and the files that write them:\n%s", diff)
	}
	if diff := cmp.Diff(map[string]int{"thing": 2, "hidden": 0, "Public": 2, "carrier": 0}, p.Methods()); diff != "" {
		t.Errorf("methods:\n%s", diff)
	}
	lines := map[string]int{}
	for _, f := range p.Funcs() {
		lines[f.Name] = f.Lines
	}
	if diff := cmp.Diff(map[string]int{"Open": 6, "Do": 4, "quiet": 1, "write": 11, "newThing": 1, "more": 6}, lines); diff != "" {
		t.Errorf("lines:\n%s", diff)
	}
	hidden := map[string]bool{}
	params := map[string][]string{}
	for _, s := range p.API() {
		for _, typ := range s.Types {
			if structure.Hidden(typ) != "" {
				hidden[s.Name] = true
			}
		}
		for _, v := range s.Params {
			params[s.Name] = append(params[s.Name], v.Type().String())
		}
	}
	if diff := cmp.Diff(map[string]bool{"Open": true, "Public.Field": true, "Public.Do": true}, hidden); diff != "" {
		t.Errorf("signatures with hidden types:\n%s", diff)
	}
	if !slices.Contains(params["Public.Do"], "any") {
		t.Errorf("parameters: %v", params)
	}
	var contexts []string
	for _, id := range p.Contexts() {
		contexts = append(contexts, id.Name)
	}
	if diff := cmp.Diff([]string{"ctx", "inner", "store"}, contexts); diff != "" {
		t.Errorf("contexts:\n%s", diff)
	}
}
