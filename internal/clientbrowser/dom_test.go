package clientbrowser_test

import (
	"fmt"
	"strings"

	"github.com/chromedp/chromedp"
)

// branch gives a page a place {1} that a block fills or leaves empty, and below
// it what each test needs.
func branch(block, filled string) func(*server) {
	return func(s *server) {
		skeleton := strings.ReplaceAll(counter+s.raw, "{0}", "\uFDD00\uFDD0")
		skeleton = strings.ReplaceAll(skeleton, "{1}", "<!--1-->")
		s.content = strings.ReplaceAll(rendered(s.raw, "0"), "{1}", filled)
		s.manifests["m1"] = text(obj{"v": 1, "r": 0, "b": []any{
			obj{"h": skeleton, "u": []any{"T", "B"}},
			obj{"h": block, "u": []any{}},
			obj{"h": "<b>other</b>", "u": []any{}},
		}})
	}
}

// hiding are names of fields that hide what their form has under them.
var hiding = []string{
	"remove", "matches", "querySelectorAll", "attributes", "classList", "setAttribute", "getAttribute", "removeAttribute",
	"hasAttribute", "getAttributeNames", "closest", "contains", "firstChild", "nextSibling", "parentNode", "childNodes", "nodeName", "nodeType",
	"insertBefore", "append", "reset", "submit", "data", "id", "name", "isConnected", "moveBefore", "parentElement", "getAttributeNode", "setAttributeNode",
}

// domCases: pages on which the DOM is not what its names say, or not as it was
// left.
var domCases = cases{
	"a form's fields hide nothing": func(p *tab) {
		var fields strings.Builder
		for _, name := range hiding {
			fmt.Fprintf(&fields, `<input name=%q value="v">`, name)
		}
		form := `<form live-hook="H" live-reset class="f">` + fields.String() + `<button name="live-action" value="Save" class="save">s</button></form>`
		p.visit(`<div id="place">{1}</div>`, branch(form, "<!--[1-->"+form+"<!--]-->"))
		c := p.join()
		p.wait(`live.connected`)
		p.run(`window.gone = 0; live.hook("H", { destroyed: () => gone++ })`)
		p.do(chromedp.SetValue("[name=remove]", "typed"))
		p.click(".save")
		m := c.action()
		if m.A != "Save" || m.D["remove"] != "typed" || m.D["attributes"] != "v" {
			p.t.Errorf("message %s, want the form's fields", m.text)
		}
		p.check(`HTMLFormElement.prototype.matches.call($(".f"), ".live-pending")`)
		c.send(obj{"i": 1})
		c.acked(2)
		p.check(`!HTMLFormElement.prototype.matches.call($(".f"), ".live-pending") && $("[name=remove]").value === "v"`)
		c.send(obj{"p": []any{1, -3}})
		c.acked(3)
		p.check(`$("#place").textContent === "other" && gone === 1`)
		c.send(obj{"p": []any{1, -2}})
		c.acked(4)
		p.check(`$("#place form") && !of("live:error").length`)
		// Neither does the repair fail.
		p.run(`$("#count").innerHTML = "<font>translated</font>"`)
		c.send(obj{"p": patch("5")})
		c.wait("a request", func(m message) bool { return m.Q == 1 })
		c.send(obj{"r": []any{-1, "5", 0}})
		c.acked(6)
		p.check(`!$("#place form") && $("#count").textContent === "5" && of("live:error").length === 1`)
	},
	"a translated branch is repaired": func(p *tab) {
		p.visit(`<div id="place">{1}</div>`, branch("switched on", "<!--[1-->switched on<!--]-->"))
		c := p.join()
		p.wait(`live.connected`)
		p.run(`{ const font = document.createElement("font"); font.textContent = "eingeschaltet";
			[...$("#place").childNodes].find((n) => n.nodeType === 3).replaceWith(font) }`)
		c.send(obj{"p": []any{1, -3}})
		c.wait("a request", func(m message) bool { return m.Q == 1 })
		c.send(obj{"r": []any{-1, "0", -3}})
		c.acked(3)
		p.check(`$("#place").textContent === "other"`)
	},
	"trusted types": func(p *tab) {
		p.visit(`<div id="place">{1}</div>`, branch("<i>on</i>", "<!--[--><!--]-->"), func(s *server) { s.policy = "require-trusted-types-for 'script'" })
		c := p.join()
		c.send(obj{"p": []any{0, "a &amp; b", 1, -2}})
		c.acked(2)
		p.check(`$("#count").textContent === "a & b" && $("#place i").textContent === "on"`)
	},
	"attributes are as the parser makes them": func(p *tab) {
		p.visit(`<svg id="svg"><symbol id="s" {1}></symbol><use id="u" {2}></use></svg><math><mi id="m" {3}></mi></math><p id="p" {4}></p>`, with(
			unit{[]any{"S", "", "", "viewBox preserveAspectRatio"}, ""}, unit{[]any{"S", "", "", "xlink:href"}, ""},
			unit{[]any{"S", "", "", "definitionURL"}, ""}, unit{[]any{"S", "", "", "*"}, ""}))
		c := p.join()
		c.send(obj{"p": []any{1, ` viewBox="0 0 1 1"`, 2, ` xlink:href="#s"`, 3, ` definitionURL="d"`, 4, ` @click="x" =odd="y" [z]="1"`}})
		c.acked(2)
		p.check(`$("#s").getAttribute("viewBox") === "0 0 1 1"`)
		p.check(`$("#u").getAttributeNS("http://www.w3.org/1999/xlink", "href") === "#s"`)
		p.check(`$("#m").getAttribute("definitionURL") === "d"`)
		p.check(`$("#p").getAttribute("@click") === "x" && $("#p").getAttribute("=odd") === "y" && !of("live:error").length`)
		c.send(obj{"p": []any{1, ``, 2, ` xlink:href="#t"`, 3, ``, 4, ` =odd="z"`}})
		c.acked(3)
		p.check(`!$("#s").hasAttribute("viewBox") && $("#u").getAttributeNS("http://www.w3.org/1999/xlink", "href") === "#t"`)
		p.check(`$("#p").getAttributeNames().join() === "id,=odd"`)
	},
	"autofocus in what a click brings": func(p *tab) {
		p.visit(`<button id="b" live-click="Open">o</button><div id="place">{1}</div><input id="other">`, branch(`<p><input id="new" autofocus></p>`, "<!--[--><!--]-->"))
		c := p.join()
		p.click("#b")
		c.action()
		c.send(obj{"i": 1, "p": []any{1, -2}})
		c.acked(2)
		p.check(`document.activeElement === $("#new")`)
		c.send(obj{"p": []any{1, 0}})
		c.acked(3)
		p.do(chromedp.SendKeys("#other", "x"))
		c.send(obj{"p": []any{1, -2}})
		c.acked(4)
		p.check(`document.activeElement === $("#other")`)
	},
	"a push never rejects": func(p *tab) {
		p.visit("")
		c := p.join()
		p.wait(`live.connected`)
		p.run(`window.codes = []; const cycle = {}; cycle.self = cycle;
			for (const d of [{ n: 1n }, cycle, [1], null, 7]) live.push("A", d).then((e) => codes.push(e?.code), (e) => codes.push("rejected " + e))`)
		if m := c.action(); m.A != "A" || m.I == 0 {
			p.t.Errorf("message %s, want the one without data", m.text)
		}
		p.wait(`codes.length === 4 && codes.every((c) => c === "invalid")`)
	},
	"a repair that fails twice reloads": func(p *tab) {
		p.visit("")
		c := p.join()
		for range 2 {
			c.send(obj{"r": []any{-9, "x"}})
		}
		p.join().acked(1)
		if n := p.count("GET /page"); n != 2 {
			p.t.Errorf("page loaded %d times, want 2", n)
		}
	},
}
