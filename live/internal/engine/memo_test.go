package engine_test

import (
	"fmt"
	"html/template"
	"math/rand/v2"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"lastmile/live/internal/engine"
	"lastmile/live/internal/engine/enginetest"
	"lastmile/live/internal/engine/model"
)

func TestRowsThatAreMemoised(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text string
		want int
	}{
		{`{{range .Rows}}{{.Name}}{{end}}`, 1},
		{`{{range .Rows}}<p>{{.Name}}{{if .On}} {{.ID}}{{else}}{{printf "%d" .Size.W}}{{end}}</p>{{end}}`, 1},
		{`{{if .A}}<ul>{{range $.Rows}}{{.}}{{end}}</ul>{{end}}{{range .Rows}}{{.ID}}{{end}}`, 2},
		{`{{define "r"}}{{.Name}}{{$.ID}}{{end}}{{range .Rows}}{{template "r" .}}{{end}}`, 1},
		{`{{range .Items}}{{range .Sub}}{{.ID}}{{end}}{{end}}`, 1},
		{`{{range .Words}}{{.}}{{end}}`, 1},
		{`{{range .Rows}}{{with .Size}}{{.W}}{{end}}{{end}}`, 1},
		{`{{range .Rows}}{{.Name}}{{else}}none{{end}}`, 0},
		{`{{range .Rows}}{{$.N}}{{end}}`, 0},
		{`{{range $i, $r := .Rows}}{{$r.Name}}{{end}}`, 0},
		{`{{range .Rows}}{{upper .Name}}{{end}}`, 0},
		{`{{range .Rows}}{{if .On}}{{continue}}{{end}}{{.Name}}{{end}}`, 0},
		{`{{range .Items}}{{.Name}}{{end}}`, 0},
		{`{{range .Iter}}{{.}}{{end}}`, 0},
		{`{{range .Rows}}{{/* nothing */}}{{end}}{{range $.Items}}{{.Name}}{{end}}`, 0},
	} {
		p := newPage(t, tt.text, engine.Options{})
		if got := p.set.Memos(); got != tt.want {
			t.Errorf("%s: %d memoised ranges, want %d", tt.text, got, tt.want)
		}
	}
	own := template.Must(template.New("page").Funcs(template.FuncMap{"len": func(any) int { return 1 }}).Parse(`{{range .Rows}}{{len .Name}}{{end}}`))
	set, err := engine.Compile(own, reflect.TypeFor[enginetest.State](), engine.Options{})
	if err != nil || set.Memos() != 0 {
		t.Errorf("a builtin replaced by the application: %d memoised ranges, %v; want none", set.Memos(), err)
	}
}

// TestMemoAgainstPlain compares memoised rows with plain html/template over
// long random walks, in every place that a memoised range can be in.
func TestMemoAgainstPlain(t *testing.T) {
	t.Parallel()
	row := `<li data-key="{{.ID}}">{{.Name}}{{if .On}}<b>{{.Tag}}</b>{{end}}</li>`
	for i, text := range []string{
		`{{range .Rows}}` + row + `{{end}}`,
		`{{if .A}}{{range .Rows}}` + row + `{{end}}{{else}}<p>{{range .Rows}}{{.Name}},{{end}}</p>{{end}}`,
		`{{range .Items}}<div data-key="{{.ID}}">{{.Name}}{{range .Sub}}` + row + `{{end}}</div>{{end}}`,
		`{{range .Items}}{{range .Sub}}{{.Name}}{{end}}{{if .On}}{{continue}}{{end}}<i>{{.Name}}</i>{{end}}`,
		`{{range .Items}}<u>{{range $.Rows}}{{.Name}};{{end}}{{if .On}}{{break}}{{end}}</u>{{end}}`,
		`{{range .Rows}}{{.Name}}{{end}}{{range .Rows}}<q>{{.Name}}</q>{{end}}`,
		`{{define "r"}}` + row + `{{end}}{{range .Rows}}{{template "r" .}}{{end}}`,
		`{{define "l"}}{{range .Rows}}` + row + `{{end}}{{end}}{{template "l" .}}<hr>{{template "l" .}}`,
	} {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			for _, opts := range []engine.Options{{}, {NoTyped: true}} {
				r := rand.New(rand.NewPCG(uint64(i), 9))
				for range 20 {
					checkTemplate(t, text, opts, r, 40)
				}
			}
		})
	}
}

func TestManyRowsShuffled(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 9))
	state := enginetest.NewTable(300)
	set := compile(t, enginetest.TablePage, state, engine.Options{})
	client, err := model.New(set.Manifest())
	if err != nil {
		t.Fatal(err)
	}
	v := set.NewView()
	out, err := v.Snapshot(nil, state)
	if err != nil || client.Snapshot(out) != nil {
		t.Fatal(err)
	}
	plain := enginetest.MustParse(enginetest.TablePage)
	for range 60 {
		state = state.With(func(rows []enginetest.TableRow) []enginetest.TableRow {
			for range r.IntN(40) {
				i, j := r.IntN(len(rows)), r.IntN(len(rows))
				rows[i], rows[j] = rows[j], rows[i]
			}
			rows[r.IntN(len(rows))].Name = fmt.Sprint("new ", r.IntN(1000))
			if n := r.IntN(len(rows)); n%3 == 0 {
				rows = append(rows[:n], rows[n+1:]...)
			}
			return append(rows, enginetest.NewTableRow(10000+r.IntN(10000)))
		})
		patch, _, err := v.Patch(nil, state)
		if err != nil {
			t.Fatal(err)
		}
		if err := client.Patch(patch); err != nil {
			t.Fatalf("%v: %s", err, patch)
		}
		var want strings.Builder
		if err := plain.Execute(&want, state); err != nil {
			t.Fatal(err)
		}
		if client.HTML() != want.String() {
			t.Fatalf("differs after %s", patch)
		}
	}
}
