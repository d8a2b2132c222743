package engine_test

import (
	"encoding/json"
	"html/template"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"lastmile/live/internal/engine"
	"lastmile/live/internal/engine/enginetest"
	"lastmile/live/internal/engine/model"
)

// FuzzTemplate checks any template text that html/template accepts: what a
// model client shows is what html/template prints.
func FuzzTemplate(f *testing.F) {
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 4))
		f.Add(enginetest.Template(r, seed%2 == 0), seed)
	}
	for _, text := range contexts {
		f.Add(text, uint64(1))
	}
	f.Fuzz(func(t *testing.T, text string, seed uint64) {
		tmpl, err := enginetest.Parse(text)
		if err != nil || tmpl.Tree == nil || strings.Contains(text, "range") && strings.Contains(text, "999") {
			return // long ranges only cost time
		}
		probe, err := tmpl.Clone()
		if err != nil {
			return
		}
		r := rand.New(rand.NewPCG(seed, 5))
		if err := probe.Execute(&strings.Builder{}, enginetest.Random(r)); err != nil && strings.Contains(err.Error(), "html/template:") {
			return
		}
		if tmpl.Lookup("page").Tree.Root == nil {
			return
		}
		checkTemplate(t, text, engine.Options{NoMemo: seed&1 == 1, NoTyped: seed&2 == 2}, r, 4)
		checkShared(t, text, r)
	})
}

// FuzzEscape compares typed printing's escaping with html/template's.
func FuzzEscape(f *testing.F) {
	for _, s := range hostile {
		f.Add(s)
	}
	plain := template.Must(template.New("t").Parse(`{{.}}`))
	f.Fuzz(func(t *testing.T, s string) { checkEscape(t, plain, s) })
}

// FuzzPatch feeds the model client anything: it may refuse, never panic.
func FuzzPatch(f *testing.F) {
	for _, s := range []string{
		`[0,"x"]`, `[1,{"d":[0,[1,2]],"u":[3,[0,"a"]],"o":[4,0],"i":[1,[[-5,"1","","x"]]]}]`, `-1`, `[-2,"a",[],0]`, `[2,[0,"y"]]`,
	} {
		f.Add(s)
	}
	text := `<p>{{.S}}</p>{{range .Rows}}<i id="{{.ID}}">{{.Name}}{{if .On}}<b>on</b>{{end}}</i>{{end}}{{with .Inner}}{{.Name}}{{end}}`
	set, err := engine.Compile(template.Must(template.New("page").Parse(text)), reflect.TypeFor[enginetest.State](), engine.Options{})
	if err != nil {
		f.Fatal(err)
	}
	snapshot, err := set.NewView().Snapshot(nil, enginetest.Random(rand.New(rand.NewPCG(7, 7))))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, patch string) {
		c, err := model.New(set.Manifest())
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Snapshot(snapshot); err != nil {
			t.Fatal(err)
		}
		if c.Patch(json.RawMessage(patch)) == nil {
			_ = c.HTML()
		}
		_ = c.Snapshot(json.RawMessage(patch))
	})
}
