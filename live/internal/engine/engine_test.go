package engine_test

import (
	"flag"
	"html/template"
	"math/rand/v2"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"lastmile/live/internal/engine"
	"lastmile/live/internal/engine/enginetest"
	"lastmile/live/internal/engine/model"
)

var seeds = flag.Int("engine.seeds", 2000, "random templates for the property tests")

// TestRandomTemplates checks, for random templates and neighbouring states,
// that what a client has after a snapshot and after each patch is byte for byte
// what plain html/template prints, but for a <tbody> that nobody wrote.
func TestRandomTemplates(t *testing.T) {
	t.Parallel()
	others := []engine.Options{{NoMemo: true}, {NoTyped: true}, {NoMemo: true, NoTyped: true, Dev: true}}
	const parts = 4
	for part := range parts {
		t.Run(strconv.Itoa(part), func(t *testing.T) {
			t.Parallel()
			for seed := part; seed < *seeds; seed += parts {
				for _, opts := range []engine.Options{{}, others[seed%len(others)]} {
					r := rand.New(rand.NewPCG(uint64(seed), 1))
					text := enginetest.Template(r, seed%2 == 1)
					checkTemplate(t, text, opts, r, 9)
					if t.Failed() {
						t.Fatalf("seed %d, %+v", seed, opts)
					}
				}
			}
		})
	}
	t.Logf("report: %d random templates x 9 states, each with all accelerators and with some off", *seeds)
}

// page is one template rendered three ways: plainly, by the engine, and by a
// model client of the engine.
type page struct {
	plain  *template.Template
	set    *engine.Set
	view   *engine.View
	client *model.Client
}

func newPage(t testing.TB, text string, opts engine.Options) *page {
	t.Helper()
	tmpl, err := enginetest.Parse(text)
	if err != nil {
		t.Fatalf("parse: %v", err)
	}
	p := &page{}
	if p.plain, err = tmpl.Clone(); err != nil {
		t.Fatal(err)
	}
	if p.set, err = engine.Compile(tmpl, reflect.TypeFor[enginetest.State](), opts); err != nil {
		t.Fatalf("compile: %v\n%s", err, text)
	}
	if p.client, err = model.New(p.set.Manifest()); err != nil {
		t.Fatalf("manifest: %v\n%s", err, p.set.Manifest())
	}
	p.view = p.set.NewView()
	return p
}

func checkTemplate(t *testing.T, text string, opts engine.Options, r *rand.Rand, steps int) {
	t.Helper()
	p := newPage(t, text, opts)
	state := enginetest.Random(r)
	shown := false
	for step := range steps {
		var want strings.Builder
		wantErr := p.plain.Execute(&want, state)
		var err error
		var wire []byte
		if !shown || step%5 == 4 {
			if wire, err = p.view.Snapshot(nil, state); err == nil {
				if err := p.client.Snapshot(wire); err != nil {
					t.Fatalf("%v\n%s\n%s", err, wire, text)
				}
				shown = true
			}
		} else {
			var changed bool
			if wire, changed, err = p.view.Patch(nil, state); changed {
				if err := p.client.Patch(wire); err != nil {
					t.Fatalf("%v\n%s\n%s", err, wire, text)
				}
			}
		}
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("step %d: error %v, html/template %v\n%s", step, err, wantErr, text)
		}
		if got, want := p.client.HTML(), enginetest.Valid(want.String()); err == nil && !enginetest.Same(got, want) {
			t.Errorf("step %d:\n got %q\nwant %q\nwire %s\ntemplate %s\nmanifest %s", step, got, want, wire, text, p.set.Manifest())
			return
		}
		state = enginetest.Near(r, state)
	}
}
