package enginebrowser_test

import (
	_ "embed"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"lastmile/internal/browser"
	"lastmile/live/internal/engine"
	"lastmile/live/internal/engine/enginetest"
)

//go:embed testdata/matrix.js
var matrixJS string

type matrixRow struct {
	ID   int
	Name string
}

type matrixState struct {
	Step    int // of a page of a real server: in its title
	Count   int
	Banner  string
	Value   string
	Text    string
	Checked bool
	Choice  string
	Options []string
	Rows    []matrixRow
}

const matrixPage = `<main class="n{{.Count}}">{{if .Banner}}<p class="banner">{{.Banner}}</p>{{end}}
<h1>Count: {{.Count}}</h1>
<textarea id="area">{{.Text}}</textarea>
<input type="checkbox" id="check"{{if .Checked}} checked{{end}}>
<select id="choice">{{range .Options}}<option value="{{.}}"{{if eq . $.Choice}} selected{{end}}>{{.}}</option>{{end}}</select>
<details id="details"><summary>{{.Count}}</summary>More {{.Count}}</details>
<dialog id="dialog" class="d{{.Count}}">{{if .Banner}}<i>{{.Banner}}</i>{{end}}<input id="focused" value="{{.Value}}" title="{{.Count}}"> {{.Count}}</dialog>
<div id="widget" class="w{{.Count}}"></div>
<ul>{{range .Rows}}
  <li data-key="{{.ID}}"><input class="name" value="{{.Name}}"> {{.Name}} {{$.Count}} <iframe srcdoc="frame"></iframe></li>{{end}}
</ul></main>`

type matrixOp struct {
	name    string
	edit    func(s *matrixState)
	follows bool // the textarea takes the server's text
	shows   []string
	blur    string
}

var matrixOps = []matrixOp{
	{name: "counter in many places", edit: func(s *matrixState) { s.Count++ }, shows: []string{"Count: 2", "w2", "More 2"}},
	{name: "block inserted before", edit: func(s *matrixState) { s.Banner = "news" }, shows: []string{"news"}},
	{name: "swap", edit: func(s *matrixState) { s.Rows[1], s.Rows[3] = s.Rows[3], s.Rows[1] }},
	{name: "prepend", edit: func(s *matrixState) { s.Rows = slices.Insert(s.Rows, 0, matrixRow{9, "nine"}) }, shows: []string{"nine"}},
	{name: "remove first", edit: func(s *matrixState) { s.Rows = s.Rows[1:] }},
	{
		name: "values", follows: true, blur: "server value", shows: []string{"from the server"},
		edit: func(s *matrixState) { s.Value, s.Text = "server value", "from the server" },
	},
}

func firstMatrixState() matrixState {
	return matrixState{
		Count: 1, Value: "first", Text: "text", Choice: "b", Options: []string{"a", "b", "c"},
		Rows: []matrixRow{{1, "one"}, {2, "two"}, {3, "three"}, {4, "four"}, {5, "five"}},
	}
}

type matrixVector struct {
	Manifest string `json:"manifest"`
	Marked   string `json:"marked"`
	Patch    string `json:"patch"`
	Snapshot string `json:"snapshot"`
	When     string `json:"when"`
	matrixWant
}

// matrixWant is what a page must be after an op.
type matrixWant struct {
	Follows bool     `json:"follows"`
	Shows   []string `json:"shows"`
	Blur    string   `json:"blur"`
	Keys    string   `json:"keys"`
}

// apply changes a copy of a state.
func (op matrixOp) apply(s matrixState) matrixState {
	s.Rows = slices.Clone(s.Rows)
	op.edit(&s)
	return s
}

func (op matrixOp) want() matrixWant {
	var keys []string
	for _, row := range op.apply(firstMatrixState()).Rows {
		keys = append(keys, strconv.Itoa(row.ID))
	}
	return matrixWant{op.follows, append([]string{}, op.shows...), op.blur, strings.Join(keys, ",")}
}

// TestBrowserStateMatrix checks that nothing a user or the browser keeps in the
// DOM is lost when the server changes something else: when the user acted
// before the page was adopted, after, and when the change comes as a snapshot.
func TestBrowserStateMatrix(t *testing.T) {
	t.Parallel()
	ctx := open(t)
	browser.Do(ctx, t, chromedp.Evaluate[chromedp.Void](matrixJS+"\nvoid 0"))
	for _, op := range matrixOps {
		for _, when := range []string{"before", "after", "snapshot"} {
			v := newMatrixVector(t, op, when)
			for _, bad := range call[[]string](ctx, t, "runMatrix", v) {
				t.Errorf("%s, user acted %s: %s", op.name, when, bad)
			}
		}
	}
}

func newMatrixVector(t *testing.T, op matrixOp, when string) matrixVector {
	t.Helper()
	set, err := engine.Compile(enginetest.MustParse(matrixPage), reflect.TypeFor[matrixState](), engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if d := set.Diagnostics(); len(d) > 0 {
		t.Fatalf("the page is not regular: %q", d)
	}
	state := firstMatrixState()
	patched, other := set.NewView(), set.NewView()
	html, err := patched.HTML(nil, state)
	if err != nil {
		t.Fatal(err)
	}
	state = op.apply(state)
	patch, _, err := patched.Patch(nil, state)
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := other.Snapshot(nil, state)
	if err != nil {
		t.Fatal(err)
	}
	return matrixVector{
		Manifest: string(set.Manifest()), Marked: string(html), Patch: string(patch), Snapshot: string(snapshot),
		When: when, matrixWant: op.want(),
	}
}
