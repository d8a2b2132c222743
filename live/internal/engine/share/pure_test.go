package share_test

import (
	"reflect"
	"strings"
	"testing"
	"text/template"
	"text/template/parse"
	"time"

	"lastmile/live/internal/engine/digest"
	"lastmile/live/internal/engine/share"
)

// source is that of a page with the functions upper and those of text/template.
func source(text string, state reflect.Type, pure ...string) share.Source {
	tmpl := template.Must(template.New("page").Funcs(template.FuncMap{"upper": strings.ToUpper}).Parse(text))
	return share.Source{
		Template: "page", State: state, Funcs: map[string]bool{"upper": true}, Pure: pure,
		Body: func(name string) *parse.ListNode {
			if t := tmpl.Lookup(name); t != nil {
				return t.Root
			}
			return nil
		},
	}
}

type stamp struct{ At time.Time }

type linked struct {
	Name string
	Next *linked
}

type colour int

func (colour) String() string { return "red" }

// calm has a method that only matters where a template calls it.
type calm struct{ N int }

func (calm) Now() int { return time.Now().Nanosecond() }

func TestWhatIsShared(t *testing.T) {
	t.Parallel()
	type tags struct{ Tags []string }
	for _, tt := range []struct {
		text  string
		state any
		pure  []string
		why   string // "" for shared
	}{
		{`{{.Name}}`, struct{ Name string }{}, nil, ""},
		{`{{range $i, $t := .Tags}}{{$i}} {{$t}}{{end}}{{index .Tags 0}}`, tags{}, nil, ""},
		{`{{.At.Format "15:04"}} {{.At}}`, stamp{}, nil, ""},
		{`{{.Name}}{{with .Next}}{{.Name}}{{end}}`, linked{}, nil, ""},
		{`{{define "l"}}{{.Name}}{{with .Next}}{{template "l" .}}{{end}}{{end}}{{template "l" .}}`, linked{}, nil, ""},
		{`{{range $k, $v := .M}}{{$k}}={{$v}}{{end}}{{.M.x}}`, struct{ M map[string]int }{}, nil, ""},
		{`{{.V}}`, struct{ V any }{}, nil, ""},
		{`{{printf "%d of %s" .N .S}}`, struct{ N, S string }{}, nil, ""},
		{`{{upper .Name}}`, struct{ Name string }{}, []string{"upper"}, ""},
		{`{{.C}}`, struct{ C colour }{}, []string{"String"}, ""},

		{`{{upper .Name}}`, struct{ Name string }{}, nil, "upper"},
		{`{{.C}}`, struct{ C colour }{}, nil, "String"},
		{`{{.N}}`, calm{}, nil, ""},
		{`{{.Now}}`, calm{}, []string{"Now"}, ""},
		{`{{.Now}}`, calm{}, nil, "Now"},
		{`{{.F}}`, struct{ F func() }{}, nil, "func"},
		{`{{.M}}`, struct{ M map[*int]int }{}, nil, "address"},
		{`{{.M}}`, struct{ M map[int]*int }{}, nil, "address"},
		{`{{len .M}}{{.N}}`, struct {
			M map[string]*int
			N int
		}{}, nil, ""},
		{`{{template "nowhere" .}}`, struct{ N int }{}, nil, "nowhere"},
		{`{{len .F}}`, struct{ F chan int }{}, nil, "chan"},
		{`{{.}}`, linked{}, nil, "address"},
		{`{{.Next}}`, linked{}, nil, "address"},
		{`{{range .L}}{{.}}{{end}}`, struct{ L []*linked }{}, nil, "address"},
		{`{{eq .Next .Next}}`, linked{}, nil, "address"},
		{`{{printf "%p" .Tags}}`, tags{}, nil, "address"},
		{`{{with $x := .Next}}{{$x}}{{end}}`, linked{}, nil, "address"},
		{`{{.M.x}}`, struct{ M map[string]linked }{}, nil, "address"},
		{`{{slice .Tags 0 9}}`, tags{}, nil, "slice"},
		{`<a title="{{template "x" .}}">{{define "x"}}{{upper .Name}}{{end}}`, struct{ Name string }{}, nil, "upper"},
	} {
		keys := digest.NewKeys()
		_, got := share.New[string](source(tt.text, reflect.TypeOf(tt.state), tt.pure...), &keys)
		if (tt.why == "") != (got == "") || !strings.Contains(got, tt.why) {
			t.Errorf("%s with %T: not shared because %q, want %q", tt.text, tt.state, got, tt.why)
		}
	}
}
