package engine_test

import (
	"bytes"
	"compress/gzip"
	"reflect"
	"slices"
	"testing"
	"time"

	"lastmile/live/internal/engine"
	"lastmile/live/internal/engine/enginetest"
)

func compile(t testing.TB, text string, state any, o engine.Options) *engine.Set {
	t.Helper()
	set, err := engine.Compile(enginetest.MustParse(text), reflect.TypeOf(state), o)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

var plainOptions = engine.Options{NoMemo: true, NoTyped: true}

// BenchmarkRender compares one render into a tree with plain Execute into a
// buffer, on the four pages.
func BenchmarkRender(b *testing.B) {
	for _, p := range pages {
		b.Run(p.name+"/plain", func(b *testing.B) {
			t := enginetest.MustParse(p.text)
			var w bytes.Buffer
			b.ReportAllocs()
			for b.Loop() {
				w.Reset()
				if err := t.Execute(&w, p.state); err != nil {
					b.Fatal(err)
				}
			}
		})
		for _, m := range []struct {
			name string
			opts engine.Options
		}{{"tree", plainOptions}, {"typed", engine.Options{NoMemo: true}}} {
			b.Run(p.name+"/"+m.name, func(b *testing.B) {
				set := compile(b, p.text, p.state, m.opts)
				v := set.NewView()
				render(b, v, p.state)
				b.ReportAllocs()
				for b.Loop() { // render's Helper would cost a fifth of a counter
					if err := v.Rebase(p.state); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func render(t testing.TB, v *engine.View, state any) {
	t.Helper()
	if err := v.Rebase(state); err != nil {
		t.Fatal(err)
	}
}

// tableOps are the changes of the 1,000-row table, with the most bytes that
// each may send.
var tableOps = []struct {
	name string
	max  int
	edit func(rows []enginetest.TableRow) []enginetest.TableRow
}{
	{"nothing", 0, func(rows []enginetest.TableRow) []enginetest.TableRow { return rows }},
	{"update 1", 30, func(rows []enginetest.TableRow) []enginetest.TableRow {
		rows[500].Count = 99
		return rows
	}},
	{"update every 10th", 3300, func(rows []enginetest.TableRow) []enginetest.TableRow {
		for i := 0; i < len(rows); i += 10 {
			rows[i].Price += "!"
		}
		return rows
	}},
	{"append", 120, func(rows []enginetest.TableRow) []enginetest.TableRow {
		return append(rows, enginetest.NewTableRow(1001))
	}},
	{"prepend", 120, func(rows []enginetest.TableRow) []enginetest.TableRow {
		return slices.Insert(rows, 0, enginetest.NewTableRow(1001))
	}},
	{"delete", 15, func(rows []enginetest.TableRow) []enginetest.TableRow { return slices.Delete(rows, 500, 501) }},
	{"swap", 25, func(rows []enginetest.TableRow) []enginetest.TableRow {
		rows[1], rows[998] = rows[998], rows[1]
		return rows
	}},
	{"reverse", 9813, func(rows []enginetest.TableRow) []enginetest.TableRow {
		slices.Reverse(rows)
		return rows
	}},
	{"replace all", 76000, func([]enginetest.TableRow) []enginetest.TableRow {
		var rows []enginetest.TableRow
		for i := range 1000 {
			rows = append(rows, enginetest.NewTableRow(2000+i))
		}
		return rows
	}},
	{"clear", 20, func([]enginetest.TableRow) []enginetest.TableRow { return nil }},
}

// BenchmarkPatch measures render, diff and encoding of changes to the table,
// there and back: two patches an iteration.
func BenchmarkPatch(b *testing.B) {
	base := enginetest.NewTable(1000)
	for _, m := range []struct {
		name string
		opts engine.Options
	}{{"plain", plainOptions}, {"typed", engine.Options{NoMemo: true}}, {"memo", engine.Options{NoTyped: true}}, {"both", engine.Options{}}} {
		for _, op := range tableOps {
			b.Run(m.name+"/"+op.name, func(b *testing.B) {
				v := compile(b, enginetest.TablePage, base, m.opts).NewView()
				states := []enginetest.Table{base.With(op.edit), base}
				render(b, v, base)
				var out []byte
				i := 0
				b.ReportAllocs()
				for b.Loop() {
					var err error
					if out, _, err = v.Patch(out[:0], states[i%2]); err != nil {
						b.Fatal(err)
					}
					i++
				}
			})
		}
	}
}

// TestWireBytes holds the patches' sizes at or under what was agreed.
func TestWireBytes(t *testing.T) {
	t.Parallel()
	for _, m := range []engine.Options{plainOptions, {}} {
		base := enginetest.NewTable(1000)
		for _, op := range tableOps {
			v := compile(t, enginetest.TablePage, base, m).NewView()
			render(t, v, base)
			checkBytes(t, v, "table: "+op.name, base.With(op.edit), op.max)
		}
		v := compile(t, enginetest.CounterPage, enginetest.Counter{}, m).NewView()
		render(t, v, enginetest.Counter{Count: 42})
		checkBytes(t, v, "counter", enginetest.Counter{Count: 43}, 8)
		todo := enginetest.NewTodo(100)
		v = compile(t, enginetest.TodoPage, todo, m).NewView()
		render(t, v, todo)
		todo = enginetest.NewTodo(100)
		todo.Items[50].Done, todo.Left = true, 99
		checkBytes(t, v, "todo: toggle", todo, 50)
	}
}

func checkBytes(t *testing.T, v *engine.View, name string, state any, most int) {
	t.Helper()
	out, _, err := v.Patch(nil, state)
	if err != nil {
		t.Fatal(err)
	}
	if len(out) > most {
		t.Errorf("%s: %d bytes, want at most %d: %.200s", name, len(out), most, out)
	}
	t.Logf("report: %s: %d bytes", name, len(out))
}

// BenchmarkDiff measures comparing two renders of the table, no rendering.
func BenchmarkDiff(b *testing.B) {
	base := enginetest.NewTable(1000)
	set := compile(b, enginetest.TablePage, base, plainOptions)
	for _, op := range tableOps {
		b.Run(op.name, func(b *testing.B) {
			old, next := set.NewView(), set.NewView()
			render(b, old, base)
			render(b, next, base.With(op.edit))
			var d engine.Differ
			var out []byte
			b.ReportAllocs()
			for b.Loop() {
				out, _ = d.Diff(out[:0], old, next)
			}
		})
	}
}

//nolint:paralleltest // counts allocations
func TestDiffAllocatesNothing(t *testing.T) {
	base := enginetest.NewTable(1000)
	set := compile(t, enginetest.TablePage, base, plainOptions)
	for _, op := range tableOps {
		old, next := set.NewView(), set.NewView()
		render(t, old, base)
		render(t, next, base.With(op.edit))
		var d engine.Differ
		out, _ := d.Diff(nil, old, next)
		if n := testing.AllocsPerRun(20, func() { out, _ = d.Diff(out[:0], old, next) }); n > 0 {
			t.Errorf("%s: %v allocations, want none", op.name, n)
		}
	}
}

// pages are what figures are measured on.
var pages = []struct {
	name, text string
	state      any
	times      int // renders a round
}{
	{"counter", enginetest.CounterPage, enginetest.Counter{Count: 42}, 200},
	{"todo 100", enginetest.TodoPage, enginetest.NewTodo(100), 2},
	{"table 1000", enginetest.TablePage, enginetest.NewTable(1000), 1},
	{"dashboard 48", enginetest.DashboardPage, enginetest.NewDashboard(48), 5},
}

// TestTreeAllocatesNoMoreThanExecute compares a render into a tree with plain
// html/template into a buffer.
//
//nolint:paralleltest // counts allocations
func TestTreeAllocatesNoMoreThanExecute(t *testing.T) {
	for _, p := range pages {
		plain := enginetest.MustParse(p.text)
		var w bytes.Buffer
		want := testing.AllocsPerRun(20, func() {
			w.Reset()
			if err := plain.Execute(&w, p.state); err != nil {
				t.Fatal(err)
			}
		})
		v := compile(t, p.text, p.state, plainOptions).NewView()
		render(t, v, p.state)
		if got := testing.AllocsPerRun(20, func() { render(t, v, p.state) }); got > want+want/10000+slack { // the collector empties pools
			t.Errorf("%s: %v allocations, plain Execute %v", p.name, got, want)
		}
		typed := compile(t, p.text, p.state, engine.Options{NoMemo: true}).NewView()
		render(t, typed, p.state)
		if got := testing.AllocsPerRun(20, func() { render(t, typed, p.state) }); got > want/2+slack {
			t.Errorf("%s typed: %v allocations, want at most half of %v", p.name, got, want)
		}
	}
}

//nolint:paralleltest // counts allocations
func TestMemoAllocatesLittle(t *testing.T) {
	base := enginetest.NewTable(1000)
	set := compile(t, enginetest.TablePage, base, engine.Options{})
	for _, op := range tableOps[:6] {
		if op.name == "update every 10th" {
			continue
		}
		v := set.NewView()
		states := []enginetest.Table{base.With(op.edit), base}
		render(t, v, base)
		var out []byte
		i := 0
		n := testing.AllocsPerRun(20, func() {
			var err error
			if out, _, err = v.Patch(out[:0], states[i%2]); err != nil {
				t.Fatal(err)
			}
			i++
		})
		if n > 100+slack {
			t.Errorf("%s: %v allocations, want at most 100", op.name, n)
		}
	}
}

func TestIdleViewIsSmall(t *testing.T) {
	t.Parallel()
	for _, p := range []struct {
		name, text string
		state      any
		max        int
	}{
		{"counter", enginetest.CounterPage, enginetest.Counter{Count: 1}, 2 << 10},
		{"table 1000", enginetest.TablePage, enginetest.NewTable(1000), 125_000},
	} {
		v := compile(t, p.text, p.state, engine.Options{}).NewView()
		render(t, v, p.state)
		render(t, v, p.state)
		if got := v.Retained(); got > p.max {
			t.Errorf("%s: %d bytes retained, want at most %d", p.name, got, p.max)
		}
		t.Logf("report: %s: %d bytes retained", p.name, v.Retained())
	}
}

// TestMarksAreCheap compares the first HTML with and without region marks.
func TestMarksAreCheap(t *testing.T) {
	t.Parallel()
	for _, p := range pages {
		html, err := compile(t, p.text, p.state, engine.Options{}).NewView().HTML(nil, p.state)
		if err != nil {
			t.Fatal(err)
		}
		var plain bytes.Buffer
		if err := enginetest.MustParse(p.text).Execute(&plain, p.state); err != nil {
			t.Fatal(err)
		}
		a, b := gzipped(t, plain.Bytes()), gzipped(t, html)
		more := 100 * float64(b-a) / float64(a)
		most := 20.0
		if plain.Len() > 20<<10 {
			most = 3
		}
		if more > most {
			t.Errorf("%s: marks add %.1f %%, want at most %v %%", p.name, more, most)
		}
		t.Logf("report: %s: %d bytes, %d with marks; gzip %d, %d: +%.1f %%", p.name, plain.Len(), len(html), a, b, more)
	}
}

func gzipped(t *testing.T, b []byte) int {
	t.Helper()
	var w bytes.Buffer
	z := gzip.NewWriter(&w)
	if _, err := z.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return w.Len()
}

// BenchmarkTreeRatio reports the time of a render into a tree as a ratio of
// plain html/template's into a buffer: the fastest of interleaved rounds, so
// that a busy machine disturbs both alike.
func BenchmarkTreeRatio(b *testing.B) {
	for _, p := range pages {
		b.Run(p.name, func(b *testing.B) {
			t := enginetest.MustParse(p.text)
			v := compile(b, p.text, p.state, plainOptions).NewView()
			typed := compile(b, p.text, p.state, engine.Options{NoMemo: true}).NewView()
			render(b, v, p.state)
			render(b, typed, p.state)
			var w bytes.Buffer
			rebase := func(v *engine.View) {
				if err := v.Rebase(p.state); err != nil {
					b.Fatal(err)
				}
			}
			fastest := [3]time.Duration{time.Hour, time.Hour, time.Hour}
			for b.Loop() {
				for i, run := range []func(){
					func() {
						w.Reset()
						if err := t.Execute(&w, p.state); err != nil {
							b.Fatal(err)
						}
					},
					func() { rebase(v) },
					func() { rebase(typed) },
				} {
					start := time.Now()
					for range p.times {
						run()
					}
					fastest[i] = min(fastest[i], time.Since(start))
				}
			}
			b.ReportMetric(float64(fastest[1])/float64(fastest[0]), "tree/plain")
			b.ReportMetric(float64(fastest[2])/float64(fastest[0]), "typed/plain")
		})
	}
}
