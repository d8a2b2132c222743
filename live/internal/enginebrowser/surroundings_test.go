package enginebrowser_test

import (
	_ "embed"
	"reflect"
	"testing"

	"github.com/chromedp/chromedp"

	"lastmile/internal/browser"
	"lastmile/live/internal/engine"
	"lastmile/live/internal/engine/enginetest"
)

//go:embed testdata/surroundings.js
var surroundingsJS string

// inhabited are the pages that others have their hands in.
var inhabited = []string{
	`<p>{{.S}}</p><p>a {{.S}} b {{if .A}}<b>x</b>{{end}} {{.T}}</p>`,
	`<p>{{range .Words}}{{.}}{{if $.A}}!{{end}}{{end}} end {{with .Words}}{{len .}}{{end}}</p>`,
	`<p>{{range .Words}}<b>{{.}}</b>, {{end}}.</p><p>{{range .Words}}one {{.}}<br>two{{end}}</p>`,
	`<ul>{{range .Words}}<li data-key="{{.}}">{{.}} <em>{{$.S}}</em></li>{{end}}</ul>`,
	`<div>{{.HTML}}</div><div>a {{.HTML}} b {{.S}}</div>`,
	`<pre><code>{{.S}}</code></pre><div>{{if .A}}switched on{{else}}switched off{{end}}</div>`,
	`<table>{{range .Words}}<tr data-key="{{.}}"><td>{{.}}</td><td>{{$.T}}</td></tr>{{end}}</table>`,
	`<ul>{{range .Words}}<li>{{.}}{{end}}</ul><p>{{.S}}</p>`,
	`{{.S}}{{range .Words}}<form data-key="{{.}}"><input name="remove" value="{{.}}"><label>{{.}} {{$.S}}</label></form>{{end}}`,
}

func inhabitedStates() []enginetest.State {
	return []enginetest.State{
		{S: "one two", T: "three", Words: []string{"a1", "b1", "c1"}, HTML: "<b>bold</b> more"},
		{S: "two one", T: "three", Words: []string{"a1", "b2", "c1"}, HTML: "<b>bold</b> less"},
		{S: "two one", T: "four", Words: []string{"c1", "b2", "a1", "d1"}, HTML: "words alone", A: true},
		{S: "five", T: "four", Words: []string{"b2"}, HTML: "<i>x</i>"},
		{S: "", T: "four", Words: []string{"b2", "e1", "f1"}, A: true},
		{S: "two one", T: "", Words: []string{"b2", "f1"}},
	}
}

// TestBrowserSurroundings: translators, highlighters, extensions and scripts have
// their hands in a page, before it is adopted or before each patch. It shows what a
// fresh one shows all the same.
func TestBrowserSurroundings(t *testing.T) {
	t.Parallel()
	ctx := open(t)
	browser.Do(ctx, t, chromedp.Evaluate[chromedp.Void](surroundingsJS+"\nvoid 0"))
	var list []vector
	for _, text := range inhabited {
		list = append(list, newInhabited(t, text))
	}
	type result struct {
		Name, Problem string
		Page, Repairs int
		Early         bool
	}
	for _, r := range call[[]result](ctx, t, "runSurroundings", list) {
		if r.Problem != "" {
			t.Errorf("%s (before adoption: %v), page %s: %s", r.Name, r.Early, inhabited[r.Page], r.Problem)
		}
	}
}

func newInhabited(t *testing.T, text string) vector {
	t.Helper()
	set, err := engine.Compile(enginetest.MustParse(text), reflect.TypeFor[enginetest.State](), engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	view, plain := set.NewView(), enginetest.MustParse(text)
	v := vector{Manifest: string(set.Manifest())}
	for i, state := range inhabitedStates() {
		var s step
		if i == 0 {
			html, err := view.HTML(nil, state)
			if err != nil {
				t.Fatal(err)
			}
			v.Marked = string(html)
		} else if out, changed, err := view.Patch(nil, state); err != nil {
			t.Fatal(err)
		} else if changed {
			s.Patch = string(out)
		}
		again, err := set.NewView().Snapshot(nil, state)
		if err != nil {
			t.Fatal(err)
		}
		s.Snapshot, s.Want = string(again), print(t, plain, state)
		v.Steps = append(v.Steps, s)
	}
	return v
}
