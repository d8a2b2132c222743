package enginetest

// element writes an element with attributes and content.
func (g *generator) element(s scope, depth int) {
	switch g.r.IntN(12) {
	case 0:
		g.form(s)
		return
	case 1:
		g.table(depth)
		return
	case 2:
		g.svg()
		return
	case 3:
		g.w("<ul>%s{{range $.Rows}}%s<li", g.one("", "\n"), g.one("", "\n  "))
		g.attributes(row)
		g.w(">")
		g.text(row)
		g.w("</li>%s{{end}}</ul>", g.one("", "\n"))
		return
	}
	tag := g.one("div", "span", "section", "b", "details", "article", "p", "h2", "pre")
	g.w("<%s", tag)
	g.attributes(s)
	g.w(">")
	if g.r.IntN(6) > 0 {
		g.block(s, depth+1)
	}
	g.w("</%s>", tag)
}

// rowElement writes an element that is a whole row.
func (g *generator) rowElement(s scope) {
	id := ".ID"
	if s == word1 {
		id = "."
	}
	tag := g.one("div", "p", "li", "b")
	g.w("%s<%s", g.one("", "", "\n  "), tag)
	switch g.r.IntN(4) {
	case 0:
		g.w(` id="r{{%s}}"`, id)
	case 1:
		g.w(` data-key="{{%s}}"`, id)
	case 2:
		g.w(` class="row" data-key="a-{{%s}}-z"`, id)
	}
	g.attributes(s)
	g.w(">")
	for range g.r.IntN(3) {
		switch g.r.IntN(4) {
		case 0:
			g.branch(s, func() { g.text(s) })
		case 1:
			g.w("<i")
			g.attributes(s)
			g.w(">{{%s}}</i>", g.value(s))
		default:
			g.text(s)
		}
	}
	g.w("</%s>%s", tag, g.one("", "", "\n"))
}

// attributes writes some attributes of the kinds that html/template escapes
// each in its own way.
func (g *generator) attributes(s scope) {
	seen := map[int]bool{}
	for range g.r.IntN(3) {
		n := g.r.IntN(13)
		if seen[n] {
			continue
		}
		seen[n] = true
		v := g.value(s)
		switch n {
		case 0:
			g.w(` class="%s"`, g.one("a", "a {{"+v+"}}", "{{"+v+"}} b", "{{if "+g.condition(s)+"}}on{{else}}off{{end}}"))
		case 1:
			g.w(` title='{{%s}} and "{{%s}}"'`, v, g.value(s))
		case 2:
			g.w(` href="%s"`, g.one("{{$.URL}}", "/x/{{"+v+"}}", "?q={{"+v+"}}&amp;copy=1", "/p?a={{$.S}}&copy={{$.T}}#{{$.N}}"))
		case 3:
			g.w(` onclick="f({{%s}}, '{{%s}}')"`, v, g.value(s))
		case 4:
			g.w(` style="color: {{%s}}; width: {{$.N}}px"`, v)
		case 5:
			g.w(` data-u={{%s}}`, v)
		case 6:
			g.w(`{{if %s}} hidden{{end}}`, g.condition(s))
		case 7:
			g.w(` {{if %s}}lang="{{%s}}"{{else}}dir=ltr{{end}}`, g.condition(s), v)
		case 8:
			g.w(` {{$.Attr}}`)
		case 9:
			g.w(`{{if %s}} data-p{{end}}{{if %s}} data-q="1"{{end}}`, g.condition(s), g.condition(s))
		case 10:
			g.w(` srcset="{{$.URL}} 2x"`)
		case 11:
			g.w(` data-{{if %s}}x{{else}}y{{end}}="{{%s}}"`, g.condition(s), v)
		case 12:
			g.w(` contenteditable %s`, g.one("", "accesskey=k", `{{if $.A}}tabindex="1"{{end}}`))
		}
	}
}

func (g *generator) form(s scope) {
	v := g.value(s)
	switch g.r.IntN(5) {
	case 0:
		g.w(`<input type="text" name=n value="{{%s}}">`, v)
	case 1:
		g.w(`<input type=checkbox{{""}} %s>`, g.one("checked", "{{if "+g.condition(s)+"}}checked{{end}}"))
	case 2:
		g.w("<textarea name=t>%s{{%s}}%s</textarea>", g.one("", "\n", "a "), v, g.one("", " z"))
	case 3:
		g.w(`<select>{{range $.Rows}}<option value="{{.ID}}"{{if .On}} selected{{end}}>{{.Name}}</option>{{end}}</select>`)
	default:
		g.w(`<button {{if %s}}disabled{{end}} type=button>{{%s}}</button>`, g.condition(s), v)
	}
}

func (g *generator) table(depth int) {
	g.w("<table>%s<tbody>{{range $.Rows}}<tr data-key={{.ID}}><td>{{.Name}}</td><td>", g.one("", "<caption>{{$.S}}</caption>", "\n"))
	g.block(row, depth+2)
	g.w("</td></tr>{{end}}</tbody>%s</table>", g.one("", "\n"))
}

func (g *generator) svg() {
	g.w(`<svg viewBox="0 0 {{$.N}} 9"><title>{{$.S}}</title>{{range $.Rows}}<rect x="{{.ID}}" height="{{.Price}}"/>%s{{end}}</svg>`,
		g.one("", "{{if .On}}<text>{{.Name}}</text>{{end}}", "<linearGradient id=\"g{{.ID}}\"></linearGradient>"))
}

// special writes what html/template treats in a way of its own.
func (g *generator) special(s scope) {
	v := g.value(s)
	switch g.r.IntN(5) {
	case 0:
		g.w("<script>var x = {{%s}}; var y = '{{%s}}'; var z = `a{{$.N}}`;</script>", v, g.value(s))
	case 1:
		g.w("<style>.a { width: {{$.N}}px; color: {{%s}} }</style>", v)
	case 2:
		g.w(`<iframe title="{{%s}}"></iframe>`, v)
	case 3:
		g.w(`<img alt="{{%s}}" src="{{$.URL}}">`, v)
	default:
		g.w(`<a href="{{if %s}}/a/{{%s}}{{else}}/b{{end}}">l</a>`, g.condition(s), v)
	}
}

// wildNode writes what a DOM cannot be patched part by part for.
func (g *generator) wildNode(s scope, depth int) {
	c := g.condition(s)
	switch g.r.IntN(13) {
	case 0:
		g.w("{{if %s}}<div>{{end}}", c)
		g.text(s)
		g.w("{{if %s}}</div>{{end}}", g.one(c, g.condition(s)))
	case 1:
		g.w("{{if %s}}<a href=x>{{end}}link{{if %s}}</a>{{end}}", c, c)
	case 2:
		g.w("{{if %s}}<section>{{else}}<section class=b>{{end}}", c)
		g.block(s, depth+1)
		g.w("</section>")
	case 3:
		g.w("<table><tr><td>{{%s}}</td></tr></table>", g.value(s))
	case 4:
		g.w("<ul><li>one{{%s}}<li>two</ul>", g.value(s))
	case 5:
		g.w("<p><div>{{%s}}</div></p>", g.value(s))
	case 6:
		g.w("<h{{$.N}}>{{%s}}</h{{$.N}}>", g.value(s))
	case 7:
		g.w("{{range $.Rows}}<div>{{.Name}}{{if .On}}{{%s}}{{end}}</div>{{end}}", g.one("break", "continue"))
	case 8:
		g.w("<table><tbody>{{%s}}<tr><td>x</table>", g.value(s))
	case 9:
		g.w("</div>{{%s}}", g.value(s))
	case 10:
		g.w("<b>{{%s}}", g.value(s))
	case 11:
		g.w(`<p {{if %s}}title="a">{{else}}>{{end}}{{%s}}</p>`, c, g.value(s))
	default:
		g.w("<form><form>{{%s}}</form></form><button><button>{{%s}}</button></button>", g.value(s), g.value(s))
	}
}
