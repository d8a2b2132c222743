package enginebrowser_test

import (
	_ "embed"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"lastmile/internal/browser"
	"lastmile/live/internal/engine"
	"lastmile/live/internal/engine/enginetest"
)

//go:embed testdata/behaviour.js
var behaviourJS string

type behaviourState struct {
	Count int
	Extra bool
	Open  bool
	Rows  []int
}

const behaviourPage = `<h1 class="count">Count: {{.Count}}</h1>
<div class="ignored" live-ignore title="{{.Count}}">{{.Count}}<i>{{.Count}}</i></div>
<input class="forced" live-force value="{{.Count}}"><input class="plain" name="plain" value="{{.Count}}">
{{if .Extra}}<p class="extra">more</p>{{end}}
<dialog class="d{{.Count}}">{{.Count}}</dialog><dialog class="server"{{if .Open}} open{{end}}>said</dialog>
<section><details><summary>s</summary>x</details><table>{{range .Rows}}<tr id="t{{.}}"><td>{{.}} {{$.Count}}</td></tr>{{end}}</table></section>
<ul>{{range .Rows}}<li tabindex="-1" class="row r{{.}}" data-key="{{.}}">{{.}}</li>{{end}}</ul>`

const deployedPage = `<header>New</header><h2 class="count">{{.Count}} counted</h2>` +
	`<input class="plain" name="plain" value="{{.Count}}" title="new"><ul>{{range .Rows}}<li data-key="{{.}}">no. {{.}}</li>{{end}}</ul>`

type behaviourVector struct {
	Manifest string   `json:"manifest"`
	Marked   string   `json:"marked"`
	Plain    string   `json:"plain"`
	Snapshot string   `json:"snapshot"`
	Patches  []string `json:"patches"`
	Next     struct {
		Manifest string `json:"manifest"`
		Snapshot string `json:"snapshot"`
		Plain    string `json:"plain"`
		Patch    string `json:"patch"`
		Patched  string `json:"patched"`
	} `json:"next"`
}

// TestBrowserBehaviour checks what the client promises beyond putting values in
// place: testdata/behaviour.js has a function for each promise.
func TestBrowserBehaviour(t *testing.T) {
	t.Parallel()
	ctx := open(t)
	browser.Do(ctx, t, chromedp.Evaluate[chromedp.Void](behaviourJS+"\nvoid 0"))
	v := newBehaviourVector(t)
	for _, name := range browser.Eval[[]string](ctx, t, "Object.keys(behaviours)") {
		if problem := call[string](ctx, t, "runBehaviour", map[string]any{"name": name, "vector": v}); problem != "" {
			t.Errorf("%s: %s", name, problem)
		}
	}
}

func newBehaviourVector(t *testing.T) behaviourVector {
	t.Helper()
	set := compileBehaviour(t, behaviourPage)
	first := behaviourState{Count: 1, Rows: []int{1, 2, 3}}
	view := set.NewView()
	html, err := view.HTML(nil, first)
	if err != nil {
		t.Fatal(err)
	}
	v := behaviourVector{Manifest: string(set.Manifest()), Marked: string(html)}
	for _, next := range []behaviourState{
		{Count: 2, Rows: []int{1, 2, 3}},
		{Count: 2, Extra: true, Rows: []int{1, 2, 3}},
		{Count: 2, Rows: []int{9, 1, 2, 3}},
		{Count: 2, Open: true, Rows: []int{9, 1, 2, 3}},
		{Count: 2, Rows: []int{9, 1, 2, 3}},
		{Count: 2, Rows: []int{3, 2, 1, 9}},
	} {
		patch, _, err := view.Patch(nil, next)
		if err != nil {
			t.Fatal(err)
		}
		v.Patches = append(v.Patches, string(patch))
	}
	v.Snapshot, v.Plain = snapshot(t, set, first), plainOf(t, behaviourPage, first)
	after := behaviourState{Count: 3, Rows: []int{2, 1, 4}}
	set = compileBehaviour(t, deployedPage)
	v.Next.Manifest = string(set.Manifest())
	v.Next.Snapshot, v.Next.Plain = snapshot(t, set, after), plainOf(t, deployedPage, after)
	view = set.NewView()
	if err := view.Rebase(after); err != nil {
		t.Fatal(err)
	}
	after.Count, after.Rows = 4, []int{4, 2}
	patch, _, err := view.Patch(nil, after)
	if err != nil {
		t.Fatal(err)
	}
	v.Next.Patch, v.Next.Patched = string(patch), plainOf(t, deployedPage, after)
	return v
}

func compileBehaviour(t *testing.T, text string) *engine.Set {
	t.Helper()
	set, err := engine.Compile(enginetest.MustParse(text), reflect.TypeFor[behaviourState](), engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func snapshot(t *testing.T, set *engine.Set, state behaviourState) string {
	t.Helper()
	out, err := set.NewView().Snapshot(nil, state)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func plainOf(t *testing.T, text string, state behaviourState) string {
	t.Helper()
	var w strings.Builder
	if err := enginetest.MustParse(text).Execute(&w, state); err != nil {
		t.Fatal(err)
	}
	return w.String()
}

// TestBrowserIgnoresNothingElse checks that the ignored content is sent once.
func TestBrowserIgnoresNothingElse(t *testing.T) {
	t.Parallel()
	v := newBehaviourVector(t)
	if got := strings.Count(v.Patches[0], strconv.Quote("2")); got == 0 || strings.Contains(v.Patches[0], "<i>") {
		t.Errorf("patch %s: want no content of live-ignore", v.Patches[0])
	}
}
