// Package mutation makes small faults in the code on purpose and sees whether
// the unit tests of that package fail, as they must: what a test does not notice
// it does not test. The faults are a table made by hand ([Table]), not found by
// a program, so each is one that somebody could make. The working tree stays as
// it is. Command internal/tools/mutants runs it; it is no part of the library.
package mutation

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Mutation is one fault: in one function, one text is replaced by another.
type Mutation struct {
	// File is relative to the repository's root, with slashes. The tests that
	// must fail are those of its directory.
	File string
	// Func is the function, or the method without its receiver.
	Func string
	// Old is found in the function exactly once, and New replaces it.
	Old, New string
	// Tests matches the tests that count, where others of the package need more
	// than its code. Empty for all.
	Tests string
}

func (m Mutation) String() string {
	line := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	return fmt.Sprintf("%s %s: %s -> %s", m.File, m.Func, line(m.Old), line(m.New))
}

// dir returns the package that is tested, as go test takes it.
func (m Mutation) dir() string { return "./" + path.Dir(m.File) }

// tests names what is run for the mutation: a package and which of its tests.
func (m Mutation) tests() [2]string { return [2]string{m.dir(), m.Tests} }

// Apply returns the mutated text of the file. It is an error when the old text
// is not in the function exactly once: the table is then out of date.
func (m Mutation) Apply(root string) ([]byte, error) {
	src, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(m.File)))
	if err != nil {
		return nil, fmt.Errorf("mutation: %w", err)
	}
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, m.File, src, parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("mutation: %w", err)
	}
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Name.Name != m.Func {
			continue
		}
		from, to := fset.Position(fn.Pos()).Offset, fset.Position(fn.End()).Offset
		body := string(src[from:to])
		if n := strings.Count(body, m.Old); n != 1 {
			return nil, fmt.Errorf("mutation: %v: the old text is in the function %d times, want once", m, n)
		}
		return bytes.Join([][]byte{src[:from], []byte(strings.Replace(body, m.Old, m.New, 1)), src[to:]}, nil), nil
	}
	return nil, fmt.Errorf("mutation: %v: there is no such function", m)
}

// Verdict is what became of a mutation.
type Verdict string

// The verdicts: the tests failed as they must; they passed; or they could not be
// built, which says nothing.
const (
	Killed   Verdict = "killed"
	Survived Verdict = "survived"
	Broken   Verdict = "does not compile"
)

// Result is a mutation with its verdict and the tests' last output.
type Result struct {
	Mutation
	Verdict Verdict
	Output  string
	Took    time.Duration
}

// Runner runs the unit tests of mutated packages.
type Runner struct {
	// Root is the directory of go.mod.
	Root string
	// Each is called with each result as it comes, one at a time. Defaults to
	// nothing.
	Each func(Result)
}

// Tests that a mutation makes hang are ended, and the mutation counts as killed,
// after patience times what they take without one, and never before leastPatience.
const (
	patience      = 10
	leastPatience = 5 * time.Second
	mostPatience  = 5 * time.Minute // and without a mutation
)

// ErrNotGreen means that tests fail without any mutation.
var ErrNotGreen = errors.New("mutation: the tests fail without a mutation")

// Run tries the mutations, some at a time, and returns how many were not killed.
// The tests of each package must pass without one first.
func (r Runner) Run(ctx context.Context, mutations []Mutation) (left int, err error) {
	green := map[[2]string]time.Duration{}
	for _, m := range mutations {
		if tests := m.tests(); green[tests] == 0 {
			if green[tests], err = r.green(ctx, m); err != nil {
				return 0, err
			}
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(max(1, runtime.GOMAXPROCS(0)/2)) // go test builds on more than one core itself
	var mu sync.Mutex
	for _, m := range mutations {
		group.Go(func() error {
			res, err := r.try(ctx, m, max(leastPatience, patience*green[m.tests()]))
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			if res.Verdict != Killed {
				left++
			}
			if r.Each != nil {
				r.Each(res)
			}
			return nil
		})
	}
	err = group.Wait()
	return left, err
}

// green runs a package's tests without a mutation and returns what they take when
// they are built: the first of two runs builds them.
func (r Runner) green(ctx context.Context, m Mutation) (took time.Duration, err error) {
	for range 2 {
		start := time.Now()
		if passed, out := r.test(ctx, m, "", mostPatience); !passed {
			return 0, fmt.Errorf("%w: %s\n%s", ErrNotGreen, m.dir(), out)
		}
		took = time.Since(start)
	}
	return took, nil
}

func (r Runner) try(ctx context.Context, m Mutation, most time.Duration) (Result, error) {
	start := time.Now()
	text, err := m.Apply(r.Root)
	if err != nil {
		return Result{}, err
	}
	dir, err := os.MkdirTemp("", "mutation")
	if err != nil {
		return Result{}, fmt.Errorf("mutation: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // the system's cleaning does it otherwise
	changed := filepath.Join(dir, path.Base(m.File))
	overlay := filepath.Join(dir, "overlay.json")
	list, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(r.Root, filepath.FromSlash(m.File)): changed}})
	if err != nil {
		return Result{}, fmt.Errorf("mutation: %w", err)
	}
	if err := errors.Join(os.WriteFile(changed, text, 0o600), os.WriteFile(overlay, list, 0o600)); err != nil {
		return Result{}, fmt.Errorf("mutation: %w", err)
	}
	passed, out := r.test(ctx, m, overlay, most)
	res := Result{Mutation: m, Verdict: Killed, Output: out, Took: time.Since(start)}
	switch {
	case ctx.Err() != nil:
		return Result{}, ctx.Err()
	case passed:
		res.Verdict = Survived
	case strings.Contains(out, "[build failed]"), strings.Contains(out, "[setup failed]"):
		res.Verdict = Broken
	}
	return res, nil
}

// test runs the tests of a mutation's package and says whether they passed. go vet's checks are
// left out: a mutation that it would refuse is one that only it would notice.
func (r Runner) test(ctx context.Context, m Mutation, overlay string, most time.Duration) (passed bool, out string) {
	args := []string{"test", "-count=1", "-failfast", "-vet=off", "-timeout", most.String(), "-run", m.Tests}
	if overlay != "" {
		args = append(args, "-overlay", overlay)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, m.dir())...) //nolint:gosec // the packages of the table
	cmd.Dir = r.Root
	b, err := cmd.CombinedOutput()
	return err == nil, string(b)
}
