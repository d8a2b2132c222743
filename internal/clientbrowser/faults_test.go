package clientbrowser_test

import (
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"lastmile/internal/browser"
)

// faultCases: errors are seen, and repaired where they can be.
var faultCases = cases{
	"errors reach the page and its user": func(p *tab) {
		p.visit(button)
		c := p.join()
		p.click("#b")
		c.action()
		c.send(obj{"x": obj{"c": "rejected", "m": "not today", "i": 1, "a": "Add"}})
		p.wait(`of("live:error").length === 1`)
		p.check(`JSON.stringify(of("live:error")[0]) === '{"code":"rejected","message":"not today","action":"Add","i":1}'`)
		p.check(`!$("#b").matches(".live-pending") && $(".live-flash-error").textContent === "not today"`)
		p.run(`root.addEventListener("live:error", (e) => e.preventDefault())`)
		c.send(obj{"x": obj{"c": "dead_letter", "m": "given up", "a": "Done"}})
		p.wait(`of("live:error").length === 2`)
		p.check(`document.querySelectorAll(".live-flash-error").length === 1`)
	},
	"a gap asks for a snapshot": func(p *tab) {
		p.visit("")
		c := p.join()
		c.send(obj{"p": patch("1")})
		c.send(obj{"s": 5, "p": patch("lost")})
		m := c.wait("a request", func(m message) bool { return m.Q == 1 })
		if m.K > 2 {
			p.t.Errorf("acknowledged %d over a gap", m.K)
		}
		p.check(`$("#count").textContent === "1"`)
		c.send(obj{"p": patch("ignored")})
		c.send(obj{"r": snapshot("whole")})
		c.acked(7)
		p.check(`$("#count").textContent === "whole"`)
		c.send(obj{"s": 7, "p": patch("twice")}) // a duplicate
		c.send(obj{"s": 8, "p": patch("next")})
		c.acked(8)
		p.check(`$("#count").textContent === "next" && !of("live:error").length`)
	},
	"a patch that does not fit asks for a snapshot": func(p *tab) {
		p.visit("")
		c := p.join()
		c.send(obj{"p": impossible()})
		c.wait("a request", func(m message) bool { return m.Q == 1 })
		p.check(`of("live:error")[0].code === "patch"`)
		p.stop()
		p.start()
		c = p.accept()
		if c.hello.Q != 1 || c.hello.S != 1 {
			p.t.Errorf("hello = %s, want q=1 and s=1", c.hello.text)
		}
		c.welcome(obj{"r": snapshot("well")})
		c.acked(1)
		p.check(`$("#count").textContent === "well"`)
	},
	"a translator's texts are replaced by the server's": func(p *tab) {
		p.visit("")
		c := p.join()
		c.send(obj{"p": patch("one")})
		c.acked(2)
		// As browsers translate: elements instead of the page's own text.
		p.run(`$("#count").innerHTML = "<font><font>eins</font></font>"`)
		c.send(obj{"p": patch("two")})
		c.wait("a request", func(m message) bool { return m.Q == 1 })
		c.send(obj{"r": snapshot("two")})
		c.acked(4)
		p.check(`$("#count").innerHTML === "two"`)
		c.send(obj{"p": patch("three")})
		c.acked(5)
		p.check(`$("#count").innerHTML === "three"`)
	},
	"another protocol version reloads once": func(p *tab) {
		p.visit("")
		p.accept().send(obj{"v": 2})
		p.accept().closeWith(4003, "version")
		p.accept().send(obj{"v": 2})
		if n := p.count("GET /page"); n != 2 {
			p.t.Errorf("page loaded %d times, want 2", n)
		}
		p.wait(`of("live:error").some((e) => e.code === "version")`)
	},
	"rubbish costs only the connection": func(p *tab) {
		p.visit("")
		c := p.join()
		if err := c.ws.Write(p.t.Context(), 1, []byte("<html>proxy error</html>")); err != nil {
			p.t.Fatal(err)
		}
		c.ended()
		c = p.join()
		c.send(obj{"p": patch("1")})
		c.acked(2)
	},
	"focus, caret and typed text stay": func(p *tab) {
		p.visit(`<input id="i" name="i" value="server"><textarea id="t"></textarea><details id="d"><summary>more</summary>text</details>`)
		c := p.join()
		p.do(chromedp.SendKeys("#t", "typed"), chromedp.SendKeys("#i", kb.End+" and me"))
		p.run(`$("#i").setSelectionRange(2, 5); $("#d").open = true`)
		const same = `document.activeElement.id === "i" && $("#i").value === "server and me" && $("#t").value === "typed" &&
			$("#i").selectionStart === 2 && $("#i").selectionEnd === 5 && $("#d").open`
		p.check(same)
		for _, v := range []string{"1", "2", "3"} {
			c.send(obj{"p": patch(v)})
		}
		c.acked(4)
		p.check(same)
		p.stop()
		p.start()
		c = p.join(obj{"r": snapshot("4")})
		c.acked(1)
		p.check(same)
		if got := browser.Eval[string](p.ctx, p.t, `$("#count").textContent`); got != "4" {
			p.t.Errorf("count = %s, want 4", got)
		}
	},
}
