package mutation_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"lastmile/internal/mutation"
	"lastmile/internal/repo"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func root(t *testing.T) string {
	t.Helper()
	dir, err := repo.Root()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestTableIsUpToDate finds the old text of each fault where the table says it
// is; whether the tests notice the faults is for make mutants to say.
func TestTableIsUpToDate(t *testing.T) {
	t.Parallel()
	seen := map[mutation.Mutation]bool{}
	for _, m := range mutation.Table() {
		if _, err := m.Apply(root(t)); err != nil {
			t.Error(err)
		}
		if seen[m] || m.Old == m.New {
			t.Errorf("%v: twice, or no change", m)
		}
		seen[m] = true
	}
	if len(seen) < 20 {
		t.Errorf("only %d faults", len(seen))
	}
}

const fixture = "internal/mutation/testdata/fixture/fixture.go"

func TestApplyRefusesWhatItDoesNotFind(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		m    mutation.Mutation
		want string
	}{
		{mutation.Mutation{File: fixture, Func: "Abs", Old: "gone"}, "0 times"},
		{mutation.Mutation{File: fixture, Func: "Abs", Old: "return"}, "2 times"},
		{mutation.Mutation{File: fixture, Func: "Sign", Old: "n"}, "no such function"},
		{mutation.Mutation{File: "gone.go", Func: "Abs", Old: "n"}, "no such file"},
	} {
		if _, err := tt.m.Apply(root(t)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v: got %v, want %q", tt.m, err, tt.want)
		}
	}
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	want := map[mutation.Mutation]mutation.Verdict{
		{File: fixture, Func: "Abs", Old: "n < 0", New: "n > 0"}:         mutation.Killed,
		{File: fixture, Func: "Untested", Old: "n + 1", New: "n - 1"}:    mutation.Survived,
		{File: fixture, Func: "Untested", Old: "n + 1", New: "nonsense"}: mutation.Broken,
	}
	var list []mutation.Mutation
	for m := range want {
		list = append(list, m)
	}
	got := map[mutation.Mutation]mutation.Verdict{}
	r := mutation.Runner{Root: root(t), Each: func(res mutation.Result) { got[res.Mutation] = res.Verdict }}
	left, err := r.Run(t.Context(), list)
	if err != nil || left != 2 {
		t.Errorf("%d left, %v; want 2", left, err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("verdicts:\n%s", diff)
	}
}

// TestTestsMustPassFirst: a fault in a package whose tests fail anyway is not
// killed by them.
func TestTestsMustPassFirst(t *testing.T) {
	t.Setenv("MUTATION_FIXTURE", "red")
	_, err := mutation.Runner{Root: root(t)}.Run(t.Context(), []mutation.Mutation{{File: fixture, Func: "Abs", Old: "n < 0", New: "n > 0"}})
	if !errors.Is(err, mutation.ErrNotGreen) {
		t.Errorf("got %v, want ErrNotGreen", err)
	}
}
