package engine_test

import (
	"errors"
	"fmt"
	"html/template"
	"io"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"lastmile/live/internal/engine"
	"lastmile/live/internal/engine/enginetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type person struct {
	Name  string
	Admin bool
	Boom  func() string
}

func (p person) Panic() string {
	if p.Admin {
		panic("no such luck")
	}
	return "fine"
}

func (p person) Seq() func(yield func(int) bool) {
	return func(yield func(int) bool) {
		if p.Admin {
			panic("iterator failed")
		}
		yield(1)
	}
}

func TestErrorsKeepTheBaseAndNameTheLine(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, text, want string }{
		{"method panics", "<p>{{.Name}}</p>\n{{.Panic}}", "page:2"},
		{"iterator panics", "<p>{{.Name}}</p>\n{{range .Seq}}<i>{{.}}</i>{{end}}", "page:2"},
		{"missing field", "<p>{{.Name}}</p>\n{{if .Admin}}\n{{.Missing}}{{end}}", "page:3"},
		{"index out of range", "<p>{{.Name}}</p>{{if .Admin}}{{index .Name 99}}{{end}}", "page:1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			set := compile(t, tt.text, person{}, engine.Options{})
			v := set.NewView()
			render(t, v, person{Name: "Ann"})
			hash := v.Hash()
			dst := []byte("kept")
			out, changed, err := v.Patch(dst, person{Name: "Bob", Admin: true})
			if err == nil || changed || string(out) != "kept" {
				t.Fatalf("got %q, %v, error %v; want an error and nothing else", out, changed, err)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %q does not name %s", err, tt.want)
			}
			if v.Hash() != hash {
				t.Error("the base has changed")
			}
			out, changed, err = v.Patch(nil, person{Name: "Cid"})
			if want := `[0,"Cid"]`; err != nil || !changed || string(out) != want {
				t.Errorf("after the error: %s, %v, %v; want %s", out, changed, err, want)
			}
		})
	}
}

func TestCompileRefuses(t *testing.T) {
	t.Parallel()
	executed := template.Must(template.New("page").Parse("x"))
	if err := executed.Execute(io.Discard, nil); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		t    *template.Template
		want string
	}{
		{"nothing", nil, "empty or missing"},
		{"an empty template", template.New("page"), "empty or missing"},
		{"an executed template", executed, "before its first execution"},
		{"what html/template refuses", template.Must(template.New("page").Parse(`<a href="{{if .A}}"{{end}}>`)), "different contexts"},
		{"a missing callee", template.Must(template.New("page").Parse(`{{template "x"}}`)), `no such template "x"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, err := engine.Compile(tt.t, nil, engine.Options{}); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestCompileLeavesTheTemplateAlone(t *testing.T) {
	t.Parallel()
	tmpl := template.Must(template.New("page").Parse(`{{define "x"}}<i>{{.}}</i>{{end}}<a title="{{template "x" .Name}}">{{template "x" .Name}}</a>`))
	before := tmpl.Tree.Root.String()
	if _, err := engine.Compile(tmpl, reflect.TypeFor[person](), engine.Options{}); err != nil {
		t.Fatal(err)
	}
	if got := tmpl.Tree.Root.String(); got != before {
		t.Errorf("got %s, want %s", got, before)
	}
	if _, err := tmpl.Clone(); err != nil {
		t.Errorf("the template was executed: %v", err)
	}
}

func TestStatesOfAnotherTypeAreRefused(t *testing.T) {
	t.Parallel()
	v := compile(t, "{{.Name}}", person{}, engine.Options{}).NewView()
	if err := v.Rebase(&person{}); err == nil || !strings.Contains(err.Error(), "engine_test.person") {
		t.Errorf("error %v, want one that names the type", err)
	}
	if _, _, err := v.Patch(nil, person{}); !errors.Is(err, engine.ErrNoBase) {
		t.Errorf("patch before a render: %v, want ErrNoBase", err)
	}
}

func TestDevModeReportsDuplicateKeys(t *testing.T) {
	t.Parallel()
	type state struct{ IDs []int }
	set := compile(t, "<ul>{{range .IDs}}\n<li id=\"{{.}}\">x</li>{{end}}</ul>", state{}, engine.Options{Dev: true})
	v := set.NewView()
	render(t, v, state{[]int{1, 2, 2, 3}})
	if _, _, err := v.Patch(nil, state{[]int{3, 2, 2, 1}}); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(set.Diagnostics()); !strings.Contains(got, "page:1") || !strings.Contains(got, "same key") {
		t.Errorf("diagnostics %s", got)
	}
}

func TestDiagnosticsNameIrregularElements(t *testing.T) {
	t.Parallel()
	set := compile(t, "<div>\n<table>{{range .IDs}}\n<td>{{.}}</td>{{end}}</table></div>", struct{ IDs []int }{}, engine.Options{})
	if got := fmt.Sprint(set.Diagnostics()); !strings.Contains(got, "page:2") || !strings.Contains(got, "<table>") {
		t.Errorf("diagnostics %s", got)
	}
}

func TestWithoutMarkersThePageIsOneValue(t *testing.T) {
	t.Parallel()
	tmpl := template.Must(template.New("page").Parse(`<p>{{.Name}}</p>{{if .Admin}}<b>x</b>{{end}}`))
	set, err := engine.CompileWithoutMarkers(tmpl, reflect.TypeFor[person]())
	if err != nil {
		t.Fatal(err)
	}
	v := set.NewView()
	html, err := v.HTML(nil, person{Name: "<Ann>"})
	if want := "<p>&lt;Ann&gt;</p>"; err != nil || string(html) != want {
		t.Errorf("got %s, %v; want %s", html, err, want)
	}
	out, _, err := v.Patch(nil, person{Name: "B", Admin: true})
	if want := `[0,"<p>B</p><b>x</b>"]`; err != nil || string(out) != want {
		t.Errorf("got %s, %v; want %s", out, err, want)
	}
	if len(set.Diagnostics()) != 1 {
		t.Errorf("diagnostics %q, want one", set.Diagnostics())
	}
}

func TestHashesAgreeBetweenSets(t *testing.T) {
	t.Parallel()
	state := enginetest.Random(rand.New(rand.NewPCG(1, 1)))
	text := `{{.S}}{{range .Rows}}<i id="{{.ID}}">{{.Name}}</i>{{end}}`
	a, b := newPage(t, text, engine.Options{}), newPage(t, text, plainOptions)
	render(t, a.view, state)
	render(t, b.view, state)
	if a.view.Hash() != b.view.Hash() || a.set.Fingerprint() != b.set.Fingerprint() {
		t.Error("two sets of one template disagree")
	}
	state.S += "x"
	render(t, b.view, state)
	if a.view.Hash() == b.view.Hash() {
		t.Error("different renders have the same hash")
	}
}

// TestManyGoroutinesShareASet renders from many goroutines at once; run it
// with -race.
func TestManyGoroutinesShareASet(t *testing.T) {
	t.Parallel()
	text := enginetest.TablePage
	set := compile(t, text, enginetest.Table{}, engine.Options{Dev: true})
	plain := enginetest.MustParse(text)
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 3))
			v := set.NewView()
			var want strings.Builder
			for range 30 {
				state := enginetest.NewTable(r.IntN(40))
				r.Shuffle(len(state.Rows), func(i, j int) { state.Rows[i], state.Rows[j] = state.Rows[j], state.Rows[i] })
				want.Reset()
				if err := plain.Execute(&want, state); err != nil {
					t.Error(err)
				}
				if _, _, err := v.Patch(nil, state); err != nil && !errors.Is(err, engine.ErrNoBase) {
					t.Error(err)
				}
				html, err := v.HTML(nil, state)
				if got := stripMarks(string(html)); err != nil || got != want.String() {
					t.Errorf("got %s, %v; want %s", got, err, want.String())
				}
			}
		})
	}
	wg.Wait()
}

func stripMarks(html string) string {
	for {
		i := strings.Index(html, "<!--")
		if i < 0 {
			return html
		}
		html = html[:i] + html[i+strings.Index(html[i:], "-->")+3:]
	}
}
