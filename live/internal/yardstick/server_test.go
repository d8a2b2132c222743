package yardstick

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"runtime"
	"slices"
	"testing"
	"text/tabwriter"
	"time"

	jfyne "github.com/jfyne/live"

	"lastmile/live/internal/engine"
	"lastmile/live/internal/engine/enginetest"
	"lastmile/live/internal/yardstick/liveview"
)

// contender makes a state's bytes for the browser from the state before it.
type contender struct {
	name  string
	turns int // times there and back a round
	apply func(state any) (bytes int)

	times  []time.Duration
	allocs []uint64
	bytes  int
}

func (c *contender) median() time.Duration { return median(c.times) }

func median[T cmp.Ordered](list []T) T {
	list = slices.Clone(list)
	slices.Sort(list)
	return list[len(list)/2]
}

// race lets the contenders take turns.
func race(rounds int, op Op, contenders []*contender) {
	for _, c := range contenders {
		c.apply(op.Base)
		c.apply(op.Next)
		c.apply(op.Base)
	}
	var before, after runtime.MemStats
	for range rounds {
		for _, c := range contenders {
			c.apply(op.Next) // others have used the caches
			c.apply(op.Base)
			for range c.turns {
				runtime.ReadMemStats(&before)
				start := time.Now()
				c.bytes = c.apply(op.Next)
				c.times = append(c.times, time.Since(start))
				runtime.ReadMemStats(&after)
				c.allocs = append(c.allocs, after.Mallocs-before.Mallocs)
				c.apply(op.Base)
			}
		}
	}
}

// executed is plain html/template into a buffer.
func executed(t *testing.T, p Page) *contender {
	t.Helper()
	tmpl := enginetest.MustParse(p.Text)
	var w bytes.Buffer
	return &contender{name: "html/template alone", turns: 3, apply: func(state any) int {
		w.Reset()
		if err := tmpl.Execute(&w, state); err != nil {
			t.Fatal(err)
		}
		return w.Len()
	}}
}

func patched(t *testing.T, name string, p Page, o engine.Options, turns int) *contender {
	t.Helper()
	v, out := newView(t, p, o), []byte(nil)
	return &contender{name: name, turns: turns, apply: func(state any) int {
		var err error
		if out, _, err = v.Patch(out[:0], state); err != nil {
			t.Fatal(err)
		}
		return len(out)
	}}
}

func newView(t *testing.T, p Page, o engine.Options) *engine.View {
	t.Helper()
	set, err := engine.Compile(enginetest.MustParse(p.Text), reflect.TypeOf(p.Ops[0].Base), o)
	if err != nil {
		t.Fatal(err)
	}
	v := set.NewView()
	if err := v.Rebase(p.Ops[0].Base); err != nil {
		t.Fatal(err)
	}
	return v
}

// jfyned is what jfyne/live does for an event: execute, parse, diff, encode.
func jfyned(t *testing.T, p Page) *contender {
	t.Helper()
	tmpl := enginetest.MustParse(p.Text)
	h := jfyne.NewHandler()
	h.RenderHandler = func(_ context.Context, rc *jfyne.RenderContext) (io.Reader, error) {
		var w bytes.Buffer
		err := tmpl.Execute(&w, rc.Assigns)
		return &w, err
	}
	ctx := t.Context()
	e := jfyne.NewHttpHandler(ctx, h)
	s := jfyne.NewSocket(ctx, e, "yardstick")
	return &contender{name: "jfyne/live", turns: 1, apply: func(state any) int {
		s.Assign(state)
		node, err := jfyne.RenderSocket(ctx, e, s)
		if err != nil {
			t.Fatal(err)
		}
		s.UpdateRender(node)
		select {
		case m := <-s.Messages():
			if _, err := json.Marshal(m); err != nil {
				t.Fatal(err)
			}
			return len(m.Data)
		default:
			return 0
		}
	}}
}

var unaccelerated = engine.Options{NoMemo: true, NoTyped: true}

// TestServerPatches prints render, diff and encoding of a change of each kind,
// and checks that none sends more than LiveView's format.
func TestServerPatches(t *testing.T) {
	w := tabwriter.NewWriter(t.Output(), 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "change\tcontender\tmedian\tallocs\tbytes\tbeside html/template\tbeside jfyne/live\t")
	for _, p := range serverPages() {
		for _, op := range p.Ops {
			p := Page{p.Name, p.Text, p.Split, []Op{op}}
			plain, theirs := executed(t, p), jfyned(t, p)
			contenders := []*contender{
				plain,
				patched(t, "engine", p, engine.Options{}, 20),
				patched(t, "engine without row memo", p, engine.Options{NoMemo: true}, 3),
				patched(t, "engine without either", p, unaccelerated, 3),
				theirs,
			}
			race(20, op, contenders)
			for _, c := range contenders {
				fmt.Fprintf(w, "%s\t%s\t%v\t%d\t%d\t%.4g\t%.4g\t\n", op.Name, c.name, c.median().Round(10*time.Nanosecond),
					median(c.allocs), c.bytes, ratio(c, plain), ratio(c, theirs))
			}
			diff, err := liveview.Diff(p.Split(op.Base), p.Split(op.Next))
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(w, "%s\tLiveView's format\t\t\t%d\t\t\t\n", op.Name, len(diff))
			for _, c := range contenders[1:4] {
				if c.bytes > len(diff) {
					t.Errorf("%s: %s sends %d bytes, LiveView's format %d", op.Name, c.name, c.bytes, len(diff))
				}
			}
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
}

func ratio(a, b *contender) float64 { return float64(a.median()) / float64(b.median()) }

// TestServerTrees prints rendering into a tree beside html/template alone.
func TestServerTrees(t *testing.T) {
	dashboard := Page{Name: "dashboard 48", Text: enginetest.DashboardPage, Ops: []Op{{Base: enginetest.NewDashboard(48)}}}
	w := tabwriter.NewWriter(t.Output(), 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "page\tcontender\tmedian\tallocs\tbeside html/template\t")
	for _, p := range append(serverPages(), dashboard) {
		state := p.Ops[0].Base
		plain := executed(t, p)
		contenders := []*contender{plain, rebased(t, "tree", p, unaccelerated), rebased(t, "tree, typed printing", p, engine.Options{NoMemo: true})}
		for _, c := range contenders {
			c.turns = 4
		}
		race(120, Op{p.Name, state, state}, contenders)
		for _, c := range contenders {
			fmt.Fprintf(w, "%s\t%s\t%v\t%d\t%.4g\t\n", p.Name, c.name, c.median().Round(10*time.Nanosecond), median(c.allocs), ratio(c, plain))
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
}

func rebased(t *testing.T, name string, p Page, o engine.Options) *contender {
	t.Helper()
	v := newView(t, p, o)
	return &contender{name: name, apply: func(state any) int {
		if err := v.Rebase(state); err != nil {
			t.Fatal(err)
		}
		return 0
	}}
}

// TestServerSplits checks that the pages as split for LiveView print what
// html/template prints.
func TestServerSplits(t *testing.T) {
	t.Parallel()
	for _, p := range append(serverPages(), browserPage()) {
		for _, op := range p.Ops {
			for _, state := range []any{op.Base, op.Next} {
				var want bytes.Buffer
				if err := enginetest.MustParse(p.Text).Execute(&want, state); err != nil {
					t.Fatal(err)
				}
				if got := p.Split(state).HTML(); got != want.String() {
					t.Errorf("%s, %s:\n got %.400s\nwant %.400s", p.Name, op.Name, got, want.String())
				}
			}
		}
	}
}
