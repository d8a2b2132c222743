package clientbrowser_test

import (
	"github.com/chromedp/chromedp"
	"github.com/google/go-cmp/cmp"
)

// clickCases: what a click sends, and what it leaves alone.
var clickCases = cases{
	"click is pending until its reply": func(p *tab) {
		p.visit(`<button id="b" live-click="Add" live-value-by="2" live-value-item-id="x" name="n" value="v">+</button>`)
		c := p.join()
		p.click("#b")
		p.click("#b")
		m := c.action()
		want := obj{"by": "2", "item-id": "x", "n": "v"}
		if diff := cmp.Diff(want, m.D); diff != "" || m.A != "Add" || m.I != 1 {
			p.t.Errorf("message %s, data (-want +got):\n%s", m.text, diff)
		}
		if m := c.action(); m.I != 2 {
			p.t.Errorf("second message has i=%d, want 2", m.I)
		}
		p.check(`$("#b").matches(".live-pending[aria-busy=true]")`)
		c.send(obj{"i": 1, "p": patch("1")})
		c.acked(2)
		p.check(`$("#b").matches(".live-pending[aria-busy=true]")`)
		c.send(obj{"i": 2, "p": patch("2")})
		c.acked(3)
		p.check(`!$("#b").matches(".live-pending") && !$("#b").hasAttribute("aria-busy")`)
	},
	"what a click is not": func(p *tab) {
		p.visit(`
			<div id="row" live-click="Row" live-value-at="row"><span id="cell">row</span>
				<a id="link" href="#there">link</a> <button id="plain" type="button">plain</button>
				<button id="inner" type="button" live-click="Inner">inner</button></div>
			<button id="off" live-click="Off" disabled>off</button>
			<a id="act" href="/other" live-click="Act">act</a>
			<a id="own" href="#own" live-click="Own">own</a>
			<label id="label" live-click="Label">label <input id="box" type="checkbox"></label>`)
		c := p.join()
		p.wait(`live.connected`)
		p.run(`$("#own").addEventListener("click", (e) => e.preventDefault())`)
		p.do(chromedp.Evaluate[chromedp.Void](`$("#off").dispatchEvent(new MouseEvent("click", {bubbles: true}))`))
		for _, key := range []string{"ctrlKey", "metaKey", "shiftKey", "altKey"} {
			p.run(`$("#cell").dispatchEvent(new MouseEvent("click", {bubbles: true, cancelable: true, ` + key + `: true}))`)
		}
		for _, s := range []string{"#link", "#plain", "#own", "#cell", "#inner", "#act", "#box"} {
			p.click(s)
		}
		p.check(`location.hash === "#there" && $("#box").checked`)
		p.run(`live.push("End", {n: 1})`)
		var got []string
		for {
			m := c.action()
			if got = append(got, m.A); m.A == "End" {
				break
			}
		}
		if diff := cmp.Diff([]string{"Row", "Inner", "Act", "End"}, got); diff != "" {
			p.t.Errorf("actions (-want +got):\n%s", diff)
		}
	},
	"push resolves with its reply": func(p *tab) {
		p.visit("")
		c := p.join()
		p.wait(`live.connected`)
		p.run(`window.results = []; live.push("Ok", {a: [1, null]}).then((e) => results.push(e));
			live.push("Bad").then((e) => results.push(e))`)
		if diff := cmp.Diff(obj{"a": []any{1.0, nil}}, c.action().D); diff != "" {
			p.t.Errorf("data (-want +got):\n%s", diff)
		}
		c.action()
		c.send(obj{"i": 1})
		c.send(obj{"x": obj{"c": "error", "m": "it failed", "i": 2, "a": "Bad"}})
		p.wait(`results.length === 2`)
		p.check(`results[0] === undefined && results[1].code === "error" && results[1].action === "Bad"`)
	},
	"a message that is too large stays here": func(p *tab) {
		p.visit("")
		c := p.join()
		p.wait(`live.connected`)
		p.run(`live.push("Big", {text: "ü".repeat(31 * 1024)}); live.push("Small", {text: "x".repeat(59 * 1024)})`)
		if m := c.action(); m.A != "Small" {
			p.t.Errorf("action = %s, want Small", m.A)
		}
		p.check(`of("live:error")[0].code === "too_large"`)
	},
	"the client keeps below the server's rate": func(p *tab) {
		p.visit("")
		c := p.join()
		p.wait(`live.connected`)
		p.run(`for (let n = 1; n <= 30; n++) live.push("Tick", {n})`)
		p.check(`live.connected`)
		for n := range 30 {
			if m := c.action(); m.I != n+1 {
				p.t.Fatalf("message %d has i=%d", n+1, m.I)
			}
		}
	},
}
