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

type contextState struct {
	V any
	S string
	H template.HTML
	U template.URL
	J template.JS
	C template.CSS
	A template.HTMLAttr
	N int
	B bool
}

// contexts are those of html/template's own escaping tests: each must arrive
// through a patch exactly as html/template prints it in a first render.
var contexts = []string{
	`<p>{{.S}}</p>`, `<p>{{.V}}</p>`, `{{.H}}`, `<p>{{.H}}</p>`,
	`<a href="{{.S}}">`, `<a href='{{.S}}'>x</a>`, `<a href={{.S}}>x</a>`, `<a href="/x/{{.S}}?a={{.S}}#{{.S}}">x</a>`,
	`<a href="{{.U}}">x</a>`, `<a href="{{.V}}">x</a>`, `<img src="{{.S}}">`, `<form action="{{.S}}"></form>`,
	`<img srcset="{{.S}} 2x, {{.S}}">`, `<div data-href="{{.S}}" xlink:href="{{.S}}"></div>`,
	`<p title="{{.S}}">x</p>`, `<p title='{{.S}}'>x</p>`, `<p title={{.S}}>x</p>`, `<p title="{{.H}}">x</p>`,
	`<p class="a {{if .B}}b{{else}}{{.S}}{{end}}">x</p>`, `<p {{.A}}>x</p>`, `<p {{.S}}="x">x</p>`, `<p data-{{.S}}="x">x</p>`,
	`<button onclick="f({{.S}})">x</button>`, `<button onclick="f('{{.S}}')">x</button>`, `<button onclick='f("{{.S}}")'>x</button>`,
	`<button onclick="f({{.V}}, {{.N}}, {{.B}})">x</button>`, `<button onclick=f({{.S}})>x</button>`, `<button onclick="{{.J}}">x</button>`,
	`<button onclick="f(/a{{.S}}b/)">x</button>`, "<button onclick=\"f(`{{.S}}`)\">x</button>",
	`<script>var x = {{.S}};</script>`, `<script>var x = '{{.S}}';</script>`, `<script>var x = "{{.S}}";</script>`,
	`<script>var x = {{.V}};</script>`, "<script>var x = `{{.S}}`;</script>", "<script>var x = `a${ {{.S}} }`;</script>",
	`<script>var r = /{{.S}}/;</script>`, `<script>{{.J}}</script>`, `<script type="application/json">{"a": {{.V}}}</script>`,
	`<script>/* {{.S}} */ f() // {{.S}}
</script>`,
	`<style>p { color: {{.S}} }</style>`, `<style>p { background: url('{{.S}}') }</style>`, `<style>p::before { content: "{{.S}}" }</style>`,
	`<style>{{.C}}</style>`, `<p style="color: {{.S}}">x</p>`, `<p style="background: url({{.S}})">x</p>`, `<p style="{{.C}}">x</p>`,
	`<textarea>{{.S}}</textarea>`, `<textarea>{{.H}}</textarea>`, `<title>{{.S}}</title>`,
	`<input value="{{.S}}">`, `<input value={{.S}} {{if .B}}checked{{end}}>`, `<meta content="{{.S}}">`,
	`<svg><a xlink:href="{{.S}}"><text>{{.S}}</text></a></svg>`, `<iframe srcdoc="{{.S}}"></iframe>`,
	`{{if .B}}<b>{{.S}}</b>{{else}}<a href="{{.S}}">x</a>{{end}}`, `<select><option value="{{.S}}"{{if .B}} selected{{end}}>{{.S}}</option></select>`,
	`<p>{{.S | html}} {{.S | urlquery}} {{.N}} {{.B}}</p>`,
	// Quotes that a branch or a call brings, and values that it may leave out.
	`<img src={{if .B}}"{{.S}}"{{else}}"none.gif"{{end}} alt=y>`, `<img src={{if .B}}'{{.S}}'{{else}}"none.gif"{{end}}title="{{.S}}">`,
	`<img src={{if .B}}a.gif{{end}} alt=y>`, `<img src={{if .B}}a.gif{{else}}b.gif{{end}} alt="{{.S}}">`, `<img src={{with .S}}"{{.}}"{{else}}none{{end}}>`,
	`<img src={{if .B}}{{if .N}}"a"{{else}}"b"{{end}}{{else}}"{{.S}}"{{end}} {{if .B}}alt="{{.S}}"{{end}}>`,
	`<p title="a{{if .B}}" class="{{.S}}{{else}}" class="{{end}}">x</p>`, `<p title='a{{if .B}}b{{else}}c{{end}}' {{if .B}}class="{{.S}}"{{end}}>x</p>`,
	`{{define "quoted"}}"{{.S}}"{{end}}<p title={{template "quoted" .}} class="{{.S}}">x</p>`,
	`{{define "two"}}{{.S}}" class="{{.S}}{{end}}<p title="{{template "two" .}}">x</p>`,
	`{{define "word"}}a {{.S}}{{end}}<p title="{{template "word" .}}" class='{{template "word" .}}'>x</p>`,
	`{{define "script"}}f({{.S}});</script><script>g({{end}}<script>{{template "script" .}}1)</script>`,
	`<input value={{if .B}}1{{else}}{{.N}}{{end}} {{if .B}}checked{{end}}>`, `<p title={{if .B}}a b={{.S}}{{else}}c d=e{{end}}>x</p>`,
}

var hostile = []string{
	"plain", "", "javascript:alert(1)", "JaVaScRiPt:alert(1)", `");alert(1);("`, "');alert(1)//", "</script><script>alert(1)</script>",
	"</style><script>", "<!--", "-->", "<b onclick=x>", "a&b", "&lt;", `"'` + "`=<>", "expression(alert(1))", "url(javascript:x)", "${alert(1)}",
	"\x00\u2028\u2029", "a\r\nb\rc", "é漢🙂", "\xff\xfe<", "x onmouseover=alert(1)", "//evil.example", "data:text/html,x", "+ADw-script+AD4-", "a b c", "</textarea><script>",
}

func TestContextsArriveEscapedThroughAPatch(t *testing.T) {
	t.Parallel()
	for _, text := range contexts {
		for _, embed := range []string{"%", "{{range .N}}{{end}}<div>%</div>", "{{with $}}%{{end}}", `{{define "x"}}%{{end}}<i>{{template "x" .}}</i>`} {
			if strings.Contains(text, "{{define") && embed != "%" {
				continue // a template is defined at the top only
			}
			page := strings.ReplaceAll(embed, "%", text)
			tmpl, err := template.New("page").Parse(page)
			if err != nil {
				t.Fatal(err)
			}
			plain, err := tmpl.Clone()
			if err != nil {
				t.Fatal(err)
			}
			if err := plain.Execute(&strings.Builder{}, contextState{}); err != nil && strings.Contains(err.Error(), "html/template:") {
				continue // refused there as well
			}
			for _, opts := range []engine.Options{{}, plainOptions} {
				checkContext(t, tmpl, plain, opts, page)
			}
		}
	}
}

func checkContext(t *testing.T, tmpl, plain *template.Template, opts engine.Options, page string) {
	t.Helper()
	set, err := engine.Compile(tmpl, reflect.TypeFor[contextState](), opts)
	if err != nil {
		t.Fatalf("%v\n%s", err, page)
	}
	client, err := model.New(set.Manifest())
	if err != nil {
		t.Fatal(err)
	}
	v := set.NewView()
	for i, s := range hostile {
		state := contextState{
			V: []any{s, i, map[string]string{s: s}}, S: s, H: template.HTML("<i>" + s + "</i>"), U: template.URL(s),
			J: "f(1)", C: "color: red", A: `lang="de"`, N: i % 3, B: i%2 == 0,
		}
		var want strings.Builder
		wantErr := plain.Execute(&want, state)
		out, changed, err := v.Patch(nil, state)
		if i == 0 {
			out, err = v.Snapshot(nil, state)
			changed = true
		}
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("error %v, html/template %v\n%s", err, wantErr, page)
		}
		if err != nil || !changed {
			continue
		}
		if i == 0 {
			err = client.Snapshot(out)
		} else {
			err = client.Patch(out)
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, page)
		}
		if got, want := client.HTML(), enginetest.Valid(want.String()); !enginetest.Same(got, want) {
			t.Fatalf("%q in %s:\n got %q\nwant %q", s, page, got, want)
		}
	}
}

func TestTypedPrintingEscapesAsHTMLTemplate(t *testing.T) {
	t.Parallel()
	plain := template.Must(template.New("t").Parse(`{{.}}`))
	for i := range 0x10FFFF {
		if i > 0x3000 && i%251 != 0 {
			continue
		}
		checkEscape(t, plain, "a"+string(rune(i))+"b")
	}
	for _, s := range hostile {
		checkEscape(t, plain, s)
	}
}

func checkEscape(t *testing.T, plain *template.Template, s string) {
	t.Helper()
	var want strings.Builder
	if err := plain.Execute(&want, s); err != nil {
		t.Fatal(err)
	}
	if got := string(engine.AppendEscaped(nil, []byte(s))); got != want.String() {
		t.Fatalf("%q: got %q, want %q", s, got, want.String())
	}
}
