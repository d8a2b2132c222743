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

const browserRounds = 11

// change is what each contender needs for one op.
type change struct {
	Name     string `json:"name"`
	BaseHTML string `json:"baseHTML"`
	NextHTML string `json:"nextHTML"`
	Marked   string `json:"marked"`
	Patch    string `json:"patch"`
	Join     string `json:"join"`
	Diff     string `json:"diff"`
}

type timing struct {
	Script float64 `json:"script"`
	Layout float64 `json:"layout"`
}

var contenderNames = []string{"direct", "liveview", "morphdom", "idiomorph", "innerHTML"}

// TestBrowserPatches prints what a change of each kind costs the browser.
func TestBrowserPatches(t *testing.T) {
	p := browserPage()
	set, err := engine.Compile(enginetest.MustParse(p.Text), reflect.TypeOf(p.Ops[0].Base), engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	page := serve(t, set)
	w := tabwriter.NewWriter(t.Output(), 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "change\t")
	for _, name := range contenderNames {
		fmt.Fprintf(w, "%s\t", name)
	}
	fmt.Fprintln(w, "liveview/direct\tdirect/innerHTML\tbytes direct\tbytes liveview\t")
	for i, op := range p.Ops {
		t.Run(op.Name, func(t *testing.T) { // each with a browser of its own
			c := newChange(t, set, p, op)
			ctx := page.open(t, c)
			if i == 0 {
				ms := browser.Eval[float64](ctx, t, fmt.Sprintf("hydrate(page, op, %d)", browserRounds))
				fmt.Fprintf(w, "hydrate 1,000\t%.2f\t\n", ms)
			}
			times := browser.Eval[map[string]timing](ctx, t, fmt.Sprintf("measure(page, op, %d)", browserRounds))
			fmt.Fprintf(w, "%s\t", op.Name)
			for _, name := range contenderNames {
				fmt.Fprintf(w, "%.2f / %.1f\t", times[name].Script, times[name].Layout)
			}
			direct := times["direct"].Script
			fmt.Fprintf(w, "%.0f\t%.2f\t%d\t%d\t\n", times["liveview"].Script/direct, direct/times["innerHTML"].Script,
				len(c.Patch), len(c.Diff))
		})
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
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
	join, err := liveview.Join(p.Split(op.Base))
	if err != nil {
		t.Fatal(err)
	}
	diff, err := liveview.Diff(p.Split(op.Base), p.Split(op.Next))
	if err != nil {
		t.Fatal(err)
	}
	return change{
		Name: op.Name, BaseHTML: execute(t, p, op.Base), NextHTML: execute(t, p, op.Next),
		Marked: string(marked), Patch: string(patch), Join: string(join), Diff: string(diff),
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

// open starts a fresh browser with a change loaded as op.
func (s *site) open(t *testing.T, c change) context.Context {
	t.Helper()
	*s.data = c
	ctx := browser.New(t)
	browser.Do(ctx, t, chromedp.Navigate(s.url))
	load := `(async () => {
		globalThis.page = { manifest: await (await fetch("/manifest")).json() };
		globalThis.op = await (await fetch("/op")).json();
		return crossOriginIsolated;
	})()`
	if !browser.Eval[bool](ctx, t, load) {
		t.Fatal("the page is not isolated: its clock is too coarse")
	}
	return ctx
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
