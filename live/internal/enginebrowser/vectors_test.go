package enginebrowser_test

import (
	"flag"
	"html/template"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"lastmile/live/internal/engine"
	"lastmile/live/internal/engine/enginetest"
)

var vectors = flag.Int("engine.vectors", 300, "random templates for the browser")

// vector is what testdata/vectors.js runs.
type vector struct {
	Manifest string `json:"manifest"`
	Marked   string `json:"marked"`
	Steps    []step `json:"steps"`

	text string
}

type step struct {
	Patch    string `json:"patch,omitempty"`
	Snapshot string `json:"snapshot,omitempty"`
	Broken   string `json:"broken,omitempty"`
	Repair   string `json:"repair,omitempty"`
	Same     bool   `json:"same,omitempty"` // the snapshot shows what the page shows already
	Want     string `json:"want"`
}

// newVector generates a template and a walk through states. ok is false when
// the first state does not render.
func newVector(t *testing.T, seed int) (v vector, ok bool) {
	t.Helper()
	r := rand.New(rand.NewPCG(uint64(seed), 2))
	v.text = enginetest.Template(r, seed%3 == 2)
	tmpl, err := enginetest.Parse(v.text)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := tmpl.Clone()
	if err != nil {
		t.Fatal(err)
	}
	set, err := engine.Compile(tmpl, reflect.TypeFor[enginetest.State](), engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	view := set.NewView()
	state := enginetest.Random(r)
	html, err := view.HTML(nil, state)
	if err != nil {
		return v, false
	}
	v.Manifest, v.Marked = string(set.Manifest()), enginetest.Valid(string(html))
	v.Steps = append(v.Steps, step{Want: print(t, plain, state)})
	for i := range 5 {
		next := enginetest.Near(r, state)
		s := step{}
		if i == 3 {
			out, err := view.Snapshot(nil, next)
			if err != nil {
				continue
			}
			s.Snapshot = string(out)
		} else {
			out, changed, err := view.Patch(nil, next)
			if err != nil {
				continue
			}
			if changed {
				s.Patch = string(out)
			}
		}
		state = next
		s.Want = print(t, plain, state)
		v.Steps = append(v.Steps, s)
	}
	if out, err := view.Snapshot(nil, state); err == nil {
		v.Steps = append(v.Steps, step{
			Broken: `<p id="r1">else<b>x</b></p>text`, Repair: string(out), Want: print(t, plain, state),
		})
	}
	return v, true
}

func print(t *testing.T, plain *template.Template, state enginetest.State) string {
	t.Helper()
	var w strings.Builder
	if err := plain.Execute(&w, state); err != nil {
		t.Fatal(err)
	}
	return enginetest.Valid(w.String())
}

// TestBrowserVectors adopts random pages, patches them, and compares the DOM
// with the parse of a full render after each step.
func TestBrowserVectors(t *testing.T) {
	t.Parallel()
	ctx := open(t)
	steps := 0
	var batch []vector
	flush := func() {
		for i, problem := range call[[]string](ctx, t, "runVectors", batch) {
			steps += len(batch[i].Steps)
			if problem != "" {
				t.Errorf("%s\ntemplate %s\nmanifest %s\nmarked %s\nsteps %+v", problem, batch[i].text, batch[i].Manifest, batch[i].Marked, batch[i].Steps)
			}
		}
		batch = batch[:0]
	}
	count := 0
	for seed := 0; count < *vectors && !t.Failed(); seed++ {
		v, ok := newVector(t, seed)
		if !ok {
			continue
		}
		count++
		if batch = append(batch, v); len(batch) == 25 {
			flush()
		}
	}
	flush()
	t.Logf("report: %d browser vectors, %d steps", count, steps)
}
