package enginetest

import (
	"fmt"
	"html/template"
	"math/rand/v2"
	"strings"
)

// Parse parses a generated template with the functions that it may call.
func Parse(text string) (*template.Template, error) {
	return template.New("page").Funcs(template.FuncMap{
		"upper": strings.ToUpper,
		"two":   func() []int { return []int{1, 2} },
		"rec":   func(n int) int { return n - 1 },
	}).Parse(text)
}

// Template returns a random template of State that html/template accepts. A
// wild one also leaves elements open, breaks out of ranges in the middle of an
// element and does other things that a DOM cannot be patched part by part for.
func Template(r *rand.Rand, wild bool) string {
	for {
		g := &generator{r: r, wild: wild}
		text := g.page()
		t, err := Parse(text)
		if err != nil {
			panic(fmt.Sprintf("generated template does not parse: %v\n%s", err, text))
		}
		// html/template refuses some combinations; they are of no interest.
		if c, err := t.Clone(); err == nil && accepted(c) {
			return text
		}
	}
}

func accepted(t *template.Template) bool {
	t, err := t.New("probe").Parse(`{{if false}}{{template "page"}}{{end}}`)
	return err == nil && t.Execute(new(strings.Builder), nil) == nil
}

type generator struct {
	r       *rand.Rand
	b       strings.Builder
	wild    bool
	size    int
	loops   int
	defined []string
	vars    int
	jumps   bool // a break or continue is allowed here
}

// scope is what dot is.
type scope byte

const (
	state scope = iota
	row
	item
	word1 // a string
)

// w writes format, whose every {{%s}} and %d takes the next of args.
func (g *generator) w(format string, args ...any) {
	if len(args) > 0 {
		format = fmt.Sprintf(format, args...)
	}
	g.b.WriteString(format)
}

func (g *generator) one(list ...string) string { return list[g.r.IntN(len(list))] }

func (g *generator) page() string {
	if g.r.IntN(3) == 0 {
		g.w(`{{define "row"}}`)
		g.rowElement(row)
		g.w(`{{end}}`)
		g.defined = append(g.defined, "row")
	}
	if g.r.IntN(4) == 0 {
		g.w(`{{define "tree"}}<div data-key="{{.ID}}"><b>{{.Name}}</b>{{with .Next}}%s{{template "tree" .}}{{end}}</div>{{end}}`,
			g.one("", "<hr>", "next: "))
		g.defined = append(g.defined, "tree")
	}
	if g.r.IntN(4) == 0 {
		g.w(`{{define "words"}}{{range .}}%s{{end}}{{end}}`, g.one("{{.}}, ", "<i>{{.}}</i>", "{{if .}}{{.}};{{end}}"))
		g.defined = append(g.defined, "words")
	}
	g.size = 10 + g.r.IntN(30)
	g.block(state, 0)
	return g.b.String()
}

// block writes a run of nodes.
func (g *generator) block(s scope, depth int) {
	for range 1 + g.r.IntN(4) {
		if g.size <= 0 {
			return
		}
		g.size--
		g.node(s, depth)
	}
}

func (g *generator) node(s scope, depth int) {
	if depth > 5 {
		g.w(g.one("x", "{{.}}", " "))
		return
	}
	switch n := g.r.IntN(20); {
	case n < 4:
		g.text(s)
	case n < 9:
		g.element(s, depth)
	case n < 12:
		g.branch(s, func() { g.block(s, depth+1) })
	case n < 14:
		g.rangeOver(s, depth)
	case n < 15:
		g.with(s, depth)
	case n < 16:
		g.call(s)
	case n < 17:
		g.special(s)
	case n < 18:
		g.variable(s)
	case n < 19 && g.wild:
		g.wildNode(s, depth)
	default:
		g.w(g.one("\n", " text ", "&amp;", "&nbsp;", "a b", "{{/* note */}}", "{{- /* trim */ -}}"))
	}
}

// value is an expression of a printable value.
func (g *generator) value(s scope) string {
	return g.one(map[scope][]string{
		state: {".S", ".T", ".N", ".A", ".HTML", ".URL", ".S | upper", `printf "%d-%s" .N .T`, ".Any", "len .Rows", ".Fail"},
		row: {
			".ID", ".Name", ".Tag", ".On", ".Price", ".Size.W", ".Name | upper", `printf "%q" .Tag`, "$.N", "eq .ID $.N",
		},
		item:  {".ID", ".Name", ".On", "len .Sub", ".Name | html"},
		word1: {".", "len .", ". | upper", `print . "!"`},
	}[s]...)
}

func (g *generator) condition(s scope) string {
	return g.one(map[scope][]string{
		state: {".A", ".B", ".C", ".S", "gt .N 4", ".Inner", ".Rows", "and .A .B", "not .C"},
		row:   {".On", ".Tag", "gt .ID 2", "$.A", `eq .Name "x"`},
		item:  {".On", ".Name", ".Sub", ".Next"},
		word1: {".", "gt (len .) 4", "$.A"},
	}[s]...)
}

func (g *generator) text(s scope) {
	v := g.value(s)
	g.w(g.one("{{%s}}", "word {{%s}}", "{{%s}} tail", "{{- %s -}}", "&lt;{{%s}}&gt;", "a {{%s}} b {{.}} c"), v)
}

// branch writes an if around what body writes, with more alternatives at times.
func (g *generator) branch(s scope, body func()) {
	g.w("{{if %s}}", g.condition(s))
	body()
	if g.r.IntN(3) == 0 {
		g.w("{{else if %s}}", g.condition(s))
		body()
	}
	if g.r.IntN(2) == 0 {
		g.w("{{else}}")
		body()
	}
	g.w("{{end}}")
}

func (g *generator) with(s scope, depth int) {
	if s == state {
		g.w("{{with .Inner}}")
		g.block(item, depth+1)
		g.w("%s{{end}}", g.one("", "{{else}}none", "{{else with .S}}<u>{{.}}</u>{{else}}-"))
		return
	}
	g.w("{{with %s}}<em>{{.}}</em>{{end}}", g.one(".", "$.S", "$.Inner.Name | print", "$.Map.k"))
}

func (g *generator) rangeOver(s scope, depth int) {
	var over string
	inner := row
	if s == item && g.r.IntN(3) > 0 {
		g.w("{{range .Sub}}")
	} else {
		switch g.r.IntN(6) {
		case 0, 1:
			over = "$.Rows"
			if s == state {
				over = ".Rows"
			}
			inner = row
		case 2:
			over, inner = "$.Items", item
		case 3:
			over, inner = g.one("$.Words", "$.Iter", "$.Map"), word1
		case 4:
			g.w("{{range $i%d, $e := $.Rows}}<span>{{$i%d}}: {{$e.Name}}</span>{{end}}", g.loops, g.loops)
			g.loops++
			return
		default:
			g.w("{{range %s}}[{{.}}]{{end}}", g.one("two", "$.N", "3"))
			return
		}
		g.w("{{range %s}}", over)
	}
	was := g.jumps
	g.jumps = true
	switch g.r.IntN(5) {
	case 0, 1, 2:
		g.jump(inner)
		g.rowElement(inner)
	case 3:
		g.block(inner, depth+1)
	default:
		if inner == row && len(g.defined) > 0 && g.defined[0] == "row" {
			g.w(`{{template "row" .}}`)
		} else {
			g.w("{{.}} ")
		}
	}
	g.jump(inner)
	g.jumps = was
	g.w("%s{{end}}", g.one("", "", "{{else}}<p>empty</p>", "{{else}}none"))
}

func (g *generator) jump(inner scope) {
	if g.r.IntN(8) == 0 {
		g.w("{{if %s}}{{%s}}{{end}}", g.condition(inner), g.one("break", "continue"))
	}
}

func (g *generator) call(s scope) {
	for _, name := range g.defined {
		switch {
		case name == "tree" && (s == item || s == state):
			if s == state {
				g.w(`{{with .Inner}}{{template "tree" .}}{{end}}`)
			} else {
				g.w(`{{template "tree" .}}`)
			}
			return
		case name == "words" && s == state:
			g.w(g.one(`{{template "words" .Words}}`, `<a title="{{template "words" .Words}}">w</a>`, `<textarea>{{template "words" .Words}}</textarea>`))
			return
		}
	}
	g.text(s)
}

func (g *generator) variable(s scope) {
	g.vars++
	v := g.vars
	g.w("{{$v%d := %s}}{{if %s}}{{$v%d = %s}}%s{{end}}<q>{{$v%d}}</q>", v, g.value(s), g.condition(s), v, g.value(s),
		g.one("", "set"), v)
}
