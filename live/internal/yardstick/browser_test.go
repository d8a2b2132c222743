package yardstick

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"reflect"
	"testing"
	"text/tabwriter"

	"github.com/chromedp/chromedp"
	"github.com/evanw/esbuild/pkg/api"

	"lastmile/internal/browser"
	"lastmile/live/internal/engine"
	"lastmile/live/internal/engine/enginetest"
	"lastmile/live/internal/yardstick/liveview"
)

// Each contender is measured in pageLoads pages that have just been loaded: in
// each, warmups turns there and back, then the timed ones.
const (
	pageLoads = 5
	warmups   = 5
	timedRuns = 3
)

// change is what each contender needs for one op and to undo it.
type change struct {
	Name     string `json:"name"`
	BaseHTML string `json:"baseHTML"`
	NextHTML string `json:"nextHTML"`
	Marked   string `json:"marked"`
	Patch    string `json:"patch"`
	Unpatch  string `json:"unpatch"`
	Join     string `json:"join"`
	Diff     string `json:"diff"`
	Undiff   string `json:"undiff"`
}

// timing is in milliseconds.
type timing struct {
	Script float64 `json:"script"`
	Layout float64 `json:"layout"`
}

type measured struct {
	First timing   `json:"first"`
	Runs  []timing `json:"runs"`
}

var contenderNames = []string{"direct", "liveview", "morphdom", "idiomorph", "innerHTML"}

// TestBrowserPatches prints what a change of each kind costs the browser: in
// the first table when it is warm, in the second the first time in a page.
func TestBrowserPatches(t *testing.T) {
	p := browserPage()
	set, err := engine.Compile(enginetest.MustParse(p.Text), reflect.TypeOf(p.Ops[0].Base), engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	page := serve(t, set)
	warm, first := newTable(t, "warm"), newTable(t, "first patch of a page")
	for i, op := range p.Ops {
		t.Run(op.Name, func(t *testing.T) { // each with a browser of its own
			ctx := browser.New(t)
			*page.data = newChange(t, set, p, op)
			if i == 0 {
				var ms []float64
				for range pageLoads {
					page.load(ctx, t)
					ms = append(ms, browser.Eval[float64](ctx, t, "hydrate(page, op)"))
				}
				fmt.Fprintf(first.w, "hydrate 1,000\t%.2f\t\n", median(ms))
			}
			runs, firsts := map[string][]timing{}, map[string][]timing{}
			for range pageLoads {
				for _, name := range contenderNames {
					page.load(ctx, t)
					m := browser.Eval[measured](ctx, t, fmt.Sprintf("measure(page, op, %q, %d, %d)", name, warmups, timedRuns))
					runs[name], firsts[name] = append(runs[name], m.Runs...), append(firsts[name], m.First)
				}
			}
			warm.row(op.Name, runs, page.data)
			first.row(op.Name, firsts, page.data)
		})
	}
	warm.flush(t)
	first.flush(t)
}

// table prints medians, a change a line.
type table struct {
	name string
	buf  bytes.Buffer
	w    *tabwriter.Writer
}

func newTable(t *testing.T, name string) *table {
	t.Helper()
	tab := &table{name: name}
	tab.w = tabwriter.NewWriter(&tab.buf, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(tab.w, "%s\t", name)
	for _, name := range contenderNames {
		fmt.Fprintf(tab.w, "%s\t", name)
	}
	fmt.Fprintln(tab.w, "liveview/direct\tdirect/innerHTML\tbytes direct\tbytes liveview\t")
	return tab
}

func (tab *table) row(name string, times map[string][]timing, c *change) {
	script, layout := map[string]float64{}, map[string]float64{}
	fmt.Fprintf(tab.w, "%s\t", name)
	for _, who := range contenderNames {
		var a, b []float64
		for _, t := range times[who] {
			a, b = append(a, t.Script), append(b, t.Layout)
		}
		script[who], layout[who] = median(a), median(b)
		fmt.Fprintf(tab.w, "%.3f / %.1f\t", script[who], layout[who])
	}
	fmt.Fprintf(tab.w, "%.0f\t%.3f\t%d\t%d\t\n", script["liveview"]/script["direct"],
		script["direct"]/script["innerHTML"], len(c.Patch), len(c.Diff))
}

func (tab *table) flush(t *testing.T) {
	t.Helper()
	if err := tab.w.Flush(); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(t.Output(), tab.buf.String())
}

func newChange(t *testing.T, set *engine.Set, p Page, op Op) change {
	t.Helper()
	v := set.NewView()
	marked, err := v.HTML(nil, op.Base)
	if err != nil {
		t.Fatal(err)
	}
	patch, _, err := v.Patch(nil, op.Next)
	if err != nil {
		t.Fatal(err)
	}
	unpatch, _, err := v.Patch(nil, op.Base)
	if err != nil {
		t.Fatal(err)
	}
	base, next := p.Split(op.Base), p.Split(op.Next)
	join, err := liveview.Join(base)
	if err != nil {
		t.Fatal(err)
	}
	diff, err := liveview.Diff(base, next)
	if err != nil {
		t.Fatal(err)
	}
	undiff, err := liveview.Diff(next, base)
	if err != nil {
		t.Fatal(err)
	}
	return change{
		Name: op.Name, BaseHTML: execute(t, p, op.Base), NextHTML: execute(t, p, op.Next), Marked: string(marked),
		Patch: string(patch), Unpatch: string(unpatch), Join: string(join), Diff: string(diff), Undiff: string(undiff),
	}
}

func execute(t *testing.T, p Page, state any) string {
	t.Helper()
	var w bytes.Buffer
	if err := enginetest.MustParse(p.Text).Execute(&w, state); err != nil {
		t.Fatal(err)
	}
	return w.String()
}

// site is the page that the contenders run in.
type site struct {
	url  string
	data *change
}

// serve serves the contenders isolated from other origins: only such pages have
// a clock of 5 microseconds.
func serve(t *testing.T, set *engine.Set) *site {
	t.Helper()
	script, s := bundle(t), &site{data: &change{}}
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cross-Origin-Opener-Policy", "same-origin")
		w.Header().Set("Cross-Origin-Embedder-Policy", "require-corp")
		fmt.Fprintf(w, "<!doctype html><meta charset=utf-8><title>yardstick</title><script>%s</script>", script)
	})
	mux.HandleFunc("/manifest", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(set.Manifest()) })
	mux.HandleFunc("/op", func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(s.data) })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// load loads the page anew in the tab of ctx, with the change as op.
func (s *site) load(ctx context.Context, t *testing.T) {
	t.Helper()
	browser.Do(ctx, t, chromedp.Navigate(s.url))
	load := `(async () => {
		globalThis.page = { manifest: await (await fetch("/manifest")).json() };
		globalThis.op = await (await fetch("/op")).json();
		return crossOriginIsolated;
	})()`
	if !browser.Eval[bool](ctx, t, load) {
		t.Fatal("the page is not isolated: its clock is too coarse")
	}
}

// bundle builds the contenders from client/ and the client's own sources.
func bundle(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("client")
	if err != nil {
		t.Fatal(err)
	}
	result := api.Build(api.BuildOptions{
		AbsWorkingDir:     dir,
		EntryPoints:       []string{"measure.js"},
		Bundle:            true,
		MinifySyntax:      true,
		MinifyWhitespace:  true,
		MinifyIdentifiers: true,
		Format:            api.FormatIIFE,
		Target:            api.ES2022,
		Charset:           api.CharsetASCII,
		LogLevel:          api.LogLevelSilent,
	})
	for _, e := range result.Errors {
		t.Errorf("%s (npm --prefix client ci installs what is measured beside)", e.Text)
	}
	if t.Failed() {
		t.FailNow()
	}
	return string(result.OutputFiles[0].Contents)
}
