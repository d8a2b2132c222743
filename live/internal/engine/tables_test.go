package engine_test

import (
	"html/template"
	"reflect"
	"strings"
	"testing"

	"lastmile/live/internal/engine"
	"lastmile/live/internal/engine/enginetest"
	"lastmile/live/internal/engine/model"
)

type tableState struct {
	Rows []string
	On   bool
}

// tables lack a <tbody> that the HTML parser adds. Those of the second list are
// patched as a whole, because more is missing.
var (
	tables = []string{
		`<table>{{range .Rows}}<tr><td>{{.}}</td></tr>{{end}}</table>`,
		"<table>\n  {{range .Rows}}\n  <tr><td>{{.}}</td></tr>\n  {{end}}\n</table>",
		`<table><tr><th>Name</th></tr>{{range .Rows}}<tr data-key="{{.}}"><td>{{.}}</td></tr>{{end}}</table>`,
		`<table>{{range .Rows}}<tr><td>{{.}}</td></tr>{{else}}<tr><td>none</td></tr>{{end}}</table>`,
		`<table><thead><tr><th>x</th></tr></thead>{{range .Rows}}<tr><td>{{.}}</td></tr>{{end}}<tfoot><tr><td>y</td></tr></tfoot></table>`,
		`<table><caption>c</caption><colgroup><col></colgroup>{{if .On}}<tr><td>on</td></tr>{{end}} {{range .Rows}}<tr><td>{{.}}</td></tr>{{end}}</table>`,
		`<table><tr><td>a</td></tr><tbody><tr><td>b</td></tr></tbody>{{range .Rows}}<tr><td>{{.}}</td></tr>{{end}}</table>`,
		`{{define "row"}}<tr><td>{{.}}</td></tr>{{end}}<table>{{range .Rows}}{{template "row" .}}{{end}}</table>`,
		`{{define "rows"}}{{range .Rows}}<tr><td>{{.}}</td></tr>{{end}}{{end}}<div><table>{{template "rows" .}}</table></div>`,
		`<table>{{range .Rows}}<tr><td><table>{{range $.Rows}}<tr><td>{{.}}</td></tr>{{end}}</table></td></tr>{{end}}</table>`,
		`<table>{{range .Rows}}{{if eq . "b"}}{{continue}}{{end}}<tr><td>{{.}}</td></tr>{{end}}</table>`,
		`{{if .On}}<table class="x" {{if .Rows}}id="y"{{end}}>{{range .Rows}}<tr><td>{{.}}</td></tr>{{end}}</table>{{end}}`,
		`<TABLE>{{range .Rows}}<TR><TD>{{.}}</TD></TR>{{end}}</TABLE>`,
	}
	strangeTables = []string{
		`<table>{{range .Rows}}<td>{{.}}</td>{{end}}</table>`,
		`<table>{{range .Rows}}<tr><td>{{.}}{{end}}</table>`,
		`<table>{{range .Rows}}<tr><td>{{.}}</td></tr>{{.}}{{end}}</table>`,
		`<table>{{if .On}}<tr><td>a</td></tr>{{else}}<tbody><tr><td>b</td></tr></tbody>{{end}}</table>`,
		`<table>{{range .Rows}}{{.}}{{end}}<tr><td>x</td></tr></table>`,
		`<table><form>{{range .Rows}}<tr><td>{{.}}</td></tr>{{end}}</form></table>`,
	}
)

// TestTablesWithoutBodies: from each state to each other one, the patched page is
// what an HTML parser makes of html/template's, and the patch is one of parts.
func TestTablesWithoutBodies(t *testing.T) {
	t.Parallel()
	states := []tableState{{}, {Rows: []string{"a"}}, {Rows: []string{"a", "b", "c"}, On: true}, {Rows: []string{"c", "<", "a"}}, {On: true}}
	for _, text := range tables {
		checkPairs(t, text, states, true)
		checkPairs(t, "<p>x</p>"+text+"{{len .Rows}}", states, true)
	}
	for _, text := range strangeTables {
		checkPairs(t, text, states, false)
	}
}

func checkPairs(t *testing.T, text string, states []tableState, regular bool) {
	t.Helper()
	tmpl := template.Must(template.New("page").Parse(text))
	plain := template.Must(tmpl.Clone())
	set, err := engine.Compile(tmpl, reflect.TypeFor[tableState](), engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if notes := set.Diagnostics(); regular != (len(notes) == 0) {
		t.Errorf("%s: the author is told %q", text, notes)
	}
	for _, from := range states {
		for _, to := range states {
			client, err := model.New(set.Manifest())
			if err != nil {
				t.Fatal(err)
			}
			view := set.NewView()
			out, err := view.Snapshot(nil, from)
			if err == nil {
				err = client.Snapshot(out)
			}
			var changed bool
			if err == nil {
				out, changed, err = view.Patch(nil, to)
			}
			if err == nil && changed {
				err = client.Patch(out)
			}
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			var want strings.Builder
			if err := plain.Execute(&want, to); err != nil {
				t.Fatal(err)
			}
			if got := client.HTML(); !enginetest.Same(got, want.String()) {
				t.Errorf("%s: from %v to %v\n got %s\nwant %s", text, from, to, enginetest.Parsed(got), enginetest.Parsed(want.String()))
			}
		}
	}
}
