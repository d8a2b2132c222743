package clientbrowser_test

import (
	"context"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"lastmile/internal/browser"
)

// faultCases: errors are seen, and repaired where they can be.
var faultCases = cases{
	"errors reach the page and its user": func(ctx context.Context, t *testing.T) {
		p := visit(ctx, t, button)
		c := p.join(t)
		p.click("#b")
		c.action(t)
		c.send(t, obj{"x": obj{"c": "rejected", "m": "not today", "i": 1, "a": "Add"}})
		p.wait(`of("live:error").length === 1`)
		p.check(`JSON.stringify(of("live:error")[0]) === '{"code":"rejected","message":"not today","action":"Add","i":1}'`)
		p.check(`!$("#b").matches(".live-pending") && $(".live-flash-error").textContent === "not today"`)
		p.run(`root.addEventListener("live:error", (e) => e.preventDefault())`)
		c.send(t, obj{"x": obj{"c": "dead_letter", "m": "given up", "a": "Done"}})
		p.wait(`of("live:error").length === 2`)
		p.check(`document.querySelectorAll(".live-flash-error").length === 1`)
	},
	"a gap asks for a snapshot": func(ctx context.Context, t *testing.T) {
		p := visit(ctx, t, "")
		c := p.join(t)
		c.send(t, obj{"p": patch("1")})
		c.send(t, obj{"s": 5, "p": patch("lost")})
		m := c.wait(t, "a request", func(m message) bool { return m.Q == 1 })
		if m.K > 2 {
			t.Errorf("acknowledged %d over a gap", m.K)
		}
		p.check(`$("#count").textContent === "1"`)
		c.send(t, obj{"p": patch("ignored")})
		c.send(t, obj{"r": snapshot("whole")})
		c.acked(t, 7)
		p.check(`$("#count").textContent === "whole"`)
		c.send(t, obj{"s": 7, "p": patch("twice")}) // a duplicate
		c.send(t, obj{"s": 8, "p": patch("next")})
		c.acked(t, 8)
		p.check(`$("#count").textContent === "next" && !of("live:error").length`)
	},
	"a patch that does not fit asks for a snapshot": func(ctx context.Context, t *testing.T) {
		p := visit(ctx, t, "")
		c := p.join(t)
		c.send(t, obj{"p": impossible()})
		c.wait(t, "a request", func(m message) bool { return m.Q == 1 })
		p.check(`of("live:error")[0].code === "patch"`)
		p.stop()
		p.start(t)
		c = p.accept(t)
		if c.hello.Q != 1 || c.hello.S != 1 {
			t.Errorf("hello = %s, want q=1 and s=1", c.hello.text)
		}
		c.welcome(t, obj{"r": snapshot("well")})
		c.acked(t, 1)
		p.check(`$("#count").textContent === "well"`)
	},
	"another protocol version reloads once": func(ctx context.Context, t *testing.T) {
		p := visit(ctx, t, "")
		for range 3 {
			p.accept(t).send(t, obj{"v": 2})
		}
		if n := p.count("GET /page"); n != 2 {
			t.Errorf("page loaded %d times, want 2", n)
		}
		p.wait(`of("live:error").some((e) => e.code === "version")`)
	},
	"rubbish costs only the connection": func(ctx context.Context, t *testing.T) {
		p := visit(ctx, t, "")
		c := p.join(t)
		if err := c.ws.Write(t.Context(), 1, []byte("<html>proxy error</html>")); err != nil {
			t.Fatal(err)
		}
		c.ended(t)
		c = p.join(t)
		c.send(t, obj{"p": patch("1")})
		c.acked(t, 2)
	},
	"focus, caret and typed text stay": func(ctx context.Context, t *testing.T) {
		p := visit(ctx, t, `<input id="i" name="i" value="server"><textarea id="t"></textarea><details id="d"><summary>more</summary>text</details>`)
		c := p.join(t)
		p.do(chromedp.SendKeys("#t", "typed"), chromedp.SendKeys("#i", kb.End+" and me"))
		p.run(`$("#i").setSelectionRange(2, 5); $("#d").open = true`)
		const same = `document.activeElement.id === "i" && $("#i").value === "server and me" && $("#t").value === "typed" &&
			$("#i").selectionStart === 2 && $("#i").selectionEnd === 5 && $("#d").open`
		p.check(same)
		for _, v := range []string{"1", "2", "3"} {
			c.send(t, obj{"p": patch(v)})
		}
		c.acked(t, 4)
		p.check(same)
		p.stop()
		p.start(t)
		c = p.join(t, obj{"r": snapshot("4")})
		c.acked(t, 1)
		p.check(same)
		if got := browser.Eval[string](p.ctx, t, `$("#count").textContent`); got != "4" {
			t.Errorf("count = %s, want 4", got)
		}
	},
}
