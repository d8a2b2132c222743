package engine_test

import (
	"html/template"
	"math/rand/v2"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"

	"lastmile/live/internal/engine"
	"lastmile/live/internal/engine/enginetest"
	"lastmile/live/internal/engine/model"
)

// sharedOptions declare pure what the random templates call.
var sharedOptions = engine.Options{Shared: true, Pure: []string{"upper", "two", "rec", "Iter", "Fail"}}

// TestRandomTemplatesShared lets three views of one set, that shares renders,
// go through the same states in random order, beside views of a set that does
// not and plain html/template.
func TestRandomTemplatesShared(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var shared, hits int
	templates := *seeds / 2
	t.Cleanup(func() {
		t.Logf("report: %d of %d random templates share renders, %d renders were found", shared, templates, hits)
		if shared < templates/5 || hits < templates {
			t.Errorf("%d of %d templates share, %d renders were found: too few to show anything", shared, templates, hits)
		}
	})
	const parts = 4
	for part := range parts {
		t.Run(strconv.Itoa(part), func(t *testing.T) {
			t.Parallel()
			for seed := part; seed < templates; seed += parts {
				r := rand.New(rand.NewPCG(uint64(seed), 6))
				text := enginetest.Template(r, seed%2 == 1)
				n := checkShared(t, text, r)
				if t.Failed() {
					t.Fatalf("seed %d: %s", seed, text)
				}
				mu.Lock()
				if n >= 0 {
					shared, hits = shared+1, hits+n
				}
				mu.Unlock()
			}
		})
	}
}

// viewer is a connection: a view and the page in its browser.
type viewer struct {
	view   *engine.View
	client *model.Client
	at     int // the state that it shows; -1 for none
}

// show brings the viewer to a state and returns what was sent.
func (v *viewer) show(t *testing.T, state any, snapshot bool) (wire []byte, err error) {
	t.Helper()
	if v.at < 0 || snapshot {
		if wire, err = v.view.Snapshot(nil, state); err == nil {
			if err := v.client.Snapshot(wire); err != nil {
				t.Fatalf("%v: %s", err, wire)
			}
		}
		return wire, err
	}
	wire, changed, err := v.view.Patch(nil, state)
	if changed {
		if err := v.client.Patch(wire); err != nil {
			t.Fatalf("%v: %s", err, wire)
		}
	}
	return wire, err
}

func newViewers(t *testing.T, set *engine.Set, n int) []*viewer {
	t.Helper()
	list := make([]*viewer, n)
	for i := range list {
		c, err := model.New(set.Manifest())
		if err != nil {
			t.Fatal(err)
		}
		list[i] = &viewer{set.NewView(), c, -1}
	}
	return list
}

// checkShared returns how many renders were found, -1 when the template's are
// not shared.
func checkShared(t *testing.T, text string, r *rand.Rand) int {
	t.Helper()
	on := newPage(t, text, sharedOptions)
	off := newPage(t, text, engine.Options{NoMemo: r.IntN(2) == 0})
	if on.set.Unshared() != "" {
		return -1
	}
	const viewers = 3
	a, b := newViewers(t, on.set, viewers), newViewers(t, off.set, viewers)
	states := []enginetest.State{enginetest.Random(r)}
	for range 5 {
		states = append(states, enginetest.Near(r, states[len(states)-1]))
	}
	for range 8 * viewers {
		i := r.IntN(viewers)
		at := r.IntN(len(states))
		if next := a[i].at + 1; r.IntN(3) > 0 && next < len(states) {
			at = next // mostly all of them go the same way
		}
		snapshot := r.IntN(8) == 0
		got, err := a[i].show(t, enginetest.Clone(states[at]), snapshot)
		want, offErr := b[i].show(t, states[at], snapshot)
		var plain strings.Builder
		if plainErr := on.plain.Execute(&plain, states[at]); (plainErr == nil) != (err == nil) || (plainErr == nil) != (offErr == nil) {
			t.Fatalf("error %v, unshared %v, html/template %v", err, offErr, plainErr)
		}
		if err != nil {
			continue
		}
		a[i].at, b[i].at = at, at
		if string(got) != string(want) {
			t.Fatalf("view %d, state %d: sent %s, unshared %s", i, at, got, want)
		}
		if got, want := a[i].client.HTML(), enginetest.Valid(plain.String()); !enginetest.Same(got, want) {
			t.Fatalf("view %d, state %d:\n got %q\nwant %q", i, at, got, want)
		}
	}
	hits, _ := on.set.SharedHits()
	return hits
}

// TestManyGoroutinesShareRenders has connections follow one list of states,
// some of which fail to render; run it with -race.
func TestManyGoroutinesShareRenders(t *testing.T) {
	t.Parallel()
	text := `<p>{{.S}}</p><ul>{{range .Rows}}<li id="{{.ID}}">{{.Name}}{{if .On}}<b>on</b>{{end}}</li>{{end}}</ul><p>{{.Fail}}</p>`
	on := newPage(t, text, sharedOptions)
	r := rand.New(rand.NewPCG(5, 5))
	states := []enginetest.State{enginetest.Random(r)}
	for len(states) < 40 {
		states = append(states, enginetest.Near(r, states[len(states)-1]))
		if s := &states[len(states)-1]; len(states)%7 == 0 {
			s.N = 10 // Fail does
		} else {
			s.N = 1
		}
	}
	failing, pages := 0, make([]string, len(states))
	for i, s := range states {
		var w strings.Builder
		if on.plain.Execute(&w, s) == nil {
			pages[i] = enginetest.Valid(w.String())
		} else {
			failing++
		}
	}
	if failing == 0 {
		t.Fatal("no state fails")
	}
	var wg sync.WaitGroup
	for g, v := range newViewers(t, on.set, 16) {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 8))
			for i, s := range states {
				if r.IntN(4) == 0 {
					continue // a slow client skips frames
				}
				_, err := v.show(t, enginetest.Clone(s), r.IntN(10) == 0)
				if (err == nil) != (pages[i] != "") {
					t.Errorf("state %d: error %v", i, err)
				}
				if err == nil {
					v.at = i
				}
				if v.at >= 0 && v.client.HTML() != pages[v.at] {
					t.Errorf("view %d after state %d: %q, want %q", g, i, v.client.HTML(), pages[v.at])
				}
			}
		})
	}
	wg.Wait()
	if hits, _ := on.set.SharedHits(); hits == 0 {
		t.Error("no render was shared")
	}
}

// TestEqualViewsHoldOneTree weighs views that show the same.
func TestEqualViewsHoldOneTree(t *testing.T) {
	t.Parallel()
	set := compile(t, enginetest.TablePage, enginetest.Table{}, engine.Options{Shared: true})
	views := make([]*engine.View, 10)
	for i := range views {
		views[i] = set.NewView()
		render(t, views[i], enginetest.NewTable(100))
	}
	for _, v := range views[1:] {
		if !v.SharesTree(views[0]) {
			t.Fatal("a first render of the same state has a tree of its own")
		}
	}
	other := set.NewView()
	render(t, other, enginetest.NewTable(50))
	for i, v := range append(views, other) {
		out, changed, err := v.Patch(nil, enginetest.NewTable(101))
		if err != nil || !changed {
			t.Fatalf("view %d: %s, %v, %v", i, out, changed, err)
		}
		if !v.SharesTree(views[0]) {
			t.Errorf("view %d has a tree of its own after the same change", i)
		}
	}
	if out, changed, err := views[3].Patch(nil, enginetest.NewTable(101)); err != nil || changed || len(out) > 0 {
		t.Errorf("the same state once more: %s, %v, %v", out, changed, err)
	}
}

// TestNothingIsSharedUnlessAskedFor checks the default.
func TestNothingIsSharedUnlessAskedFor(t *testing.T) {
	t.Parallel()
	set := compile(t, enginetest.TablePage, enginetest.Table{}, engine.Options{Pure: sharedOptions.Pure})
	a, b := set.NewView(), set.NewView()
	render(t, a, enginetest.NewTable(3))
	render(t, b, enginetest.NewTable(3))
	if a.SharesTree(b) || set.Unshared() != "" {
		t.Errorf("shared without Options.Shared (%s)", set.Unshared())
	}
}

// TestLoneViewIsNotHashed checks that a view which renders alone neither hashes
// its states nor makes a new tree for each.
//
//nolint:paralleltest // counts allocations
func TestLoneViewIsNotHashed(t *testing.T) {
	set := compile(t, enginetest.CounterPage, enginetest.Counter{}, engine.Options{Shared: true})
	v := set.NewView()
	render(t, v, enginetest.Counter{})
	render(t, v, enginetest.Counter{Count: 1})
	_, trees := set.SharedHits()
	var out []byte
	states := []any{enginetest.Counter{Count: 2}, enginetest.Counter{Count: 3}}
	i := 0
	allocs := testing.AllocsPerRun(100, func() {
		i++
		out, _, _ = v.Patch(out[:0], states[i%2])
	})
	if _, now := set.SharedHits(); now != trees {
		t.Errorf("%d trees were made for sharing", now-trees)
	}
	if allocs > 2+slack {
		t.Errorf("%v allocations a patch, want 2", allocs)
	}
}

// TestSharingRests checks that views which never show the same stop asking.
func TestSharingRests(t *testing.T) {
	t.Parallel()
	set := compile(t, enginetest.CounterPage, enginetest.Counter{}, engine.Options{Shared: true})
	a, b := set.NewView(), set.NewView()
	for i := range 4000 {
		render(t, a, enginetest.Counter{Count: i})
		render(t, b, enginetest.Counter{Count: -i - 1})
	}
	if _, trees := set.SharedHits(); trees > 400 {
		t.Errorf("%d trees were made for sharing", trees)
	}
}

// TestWhatIsSharedIsJudgedBeforehand checks that package share is asked with what
// the application declares.
func TestWhatIsSharedIsJudgedBeforehand(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		pure []string
		why  string // "" for shared
	}{{[]string{"upper"}, ""}, {nil, "upper"}} {
		tmpl := template.Must(template.New("page").Funcs(template.FuncMap{"upper": strings.ToUpper}).
			Parse(`<a title="{{template "x" .}}">{{define "x"}}{{upper .Name}}{{end}}`))
		set, err := engine.Compile(tmpl, reflect.TypeFor[struct{ Name string }](), engine.Options{Shared: true, Pure: tt.pure})
		if err != nil {
			t.Fatal(err)
		}
		if got := set.Unshared(); (tt.why == "") != (got == "") || !strings.Contains(got, tt.why) {
			t.Errorf("with %v pure: not shared because %q, want %q", tt.pure, got, tt.why)
		}
	}
	if _, err := engine.Compile(enginetest.MustParse(`{{.}}`), nil, engine.Options{Shared: true}); err != nil {
		t.Errorf("states of any type: %v", err)
	}
}
