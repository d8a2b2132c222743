package engine_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"lastmile/live/internal/engine"
	"lastmile/live/internal/engine/enginetest"
)

// numberedPage is the table with variables in its rows, which are therefore not
// memoised.
var numberedPage = strings.NewReplacer(`{{range .Rows}}`, `{{range $i, $r := .Rows}}`, `{{.Count}}`, `{{.Count}}#{{$i}}`).Replace(enginetest.TablePage)

// fleet is a number of connections that show the same, each with a state of its
// own.
type fleet struct {
	views  []*engine.View
	states []enginetest.Table
	turn   int
	out    []byte
}

func newFleet(tb testing.TB, text string, n int, o engine.Options) *fleet {
	tb.Helper()
	set := compile(tb, text, enginetest.Table{}, o)
	f := &fleet{}
	for range n {
		f.states = append(f.states, enginetest.NewTable(1000))
		f.views = append(f.views, set.NewView())
	}
	for i, v := range f.views {
		render(tb, v, f.states[i])
	}
	return f
}

// change changes one row of all connections, to what it never was, and sends
// the patches.
func (f *fleet) change(tb testing.TB) {
	tb.Helper()
	f.turn++
	for i, v := range f.views {
		f.states[i].Rows[500].Count = f.turn
		var err error
		if f.out, _, err = v.Patch(f.out[:0], f.states[i]); err != nil {
			tb.Fatal(err)
		}
	}
}

// BenchmarkShared measures one changed row in the table of 100 connections,
// with and without shared renders, turn by turn; and what sharing costs a view
// that is alone, and two that never show the same.
func BenchmarkShared(b *testing.B) {
	for _, p := range []struct {
		name, text string
		opts       engine.Options
	}{
		{"memoised table", enginetest.TablePage, engine.Options{}},
		{"numbered table", numberedPage, engine.Options{}},
		{"numbered table, untyped", numberedPage, engine.Options{NoTyped: true}},
	} {
		for _, n := range []int{100, 1} {
			b.Run(fmt.Sprintf("%s/%d", p.name, n), func(b *testing.B) {
				on := p.opts
				on.Shared = true
				compareFleets(b, newFleet(b, p.text, n, on), newFleet(b, p.text, n, p.opts))
			})
		}
		b.Run(p.name+"/2 different", func(b *testing.B) {
			opts := p.opts
			opts.Shared = true
			on, apart := newFleet(b, p.text, 2, opts), newFleet(b, p.text, 2, p.opts)
			on.states[1].Rows[0].Name, apart.states[1].Rows[0].Name = "mine", "mine"
			compareFleets(b, on, apart)
		})
	}
}

func compareFleets(b *testing.B, on, off *fleet) {
	b.Helper()
	var times [2][]time.Duration
	on.change(b)
	off.change(b)
	for b.Loop() {
		for i, f := range []*fleet{on, off} {
			start := time.Now()
			f.change(b)
			times[i] = append(times[i], time.Since(start))
		}
	}
	allocs := func(f *fleet) float64 { return testing.AllocsPerRun(4, func() { f.change(b) }) }
	median := func(list []time.Duration) float64 {
		slices.Sort(list)
		return float64(list[len(list)/2].Microseconds())
	}
	b.ReportMetric(median(times[0]), "shared-us")
	b.ReportMetric(median(times[1]), "unshared-us")
	b.ReportMetric(median(times[0])/median(times[1]), "ratio")
	b.ReportMetric(allocs(on), "shared-allocs")
	b.ReportMetric(allocs(off), "unshared-allocs")
}
