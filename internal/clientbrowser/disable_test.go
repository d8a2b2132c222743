package clientbrowser_test

import (
	"strings"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/google/go-cmp/cmp"
)

// until returns the actions that came before "End", which the page sends now.
func (p *tab) until(c *conn) []string {
	p.t.Helper()
	p.run(`live.push("End")`)
	var got []string
	for {
		m := c.action()
		if m.A == "End" {
			return got
		}
		got = append(got, m.A)
	}
}

// quiet waits for the connection, and has no flash cover what is clicked.
func (p *tab) quiet() {
	p.t.Helper()
	p.wait(`live.connected`)
	p.run(`root.addEventListener("live:error", (e) => e.preventDefault())`)
}

// sends fails the test unless these actions came, in order.
func (p *tab) sends(c *conn, want ...string) {
	p.t.Helper()
	if diff := cmp.Diff(want, p.until(c)); diff != "" {
		p.t.Errorf("actions (-want +got):\n%s", diff)
	}
}

// disableCases: a control with live-disable sends once until its answer.
var disableCases = cases{
	"live-disable: clicks": func(p *tab) {
		p.visit(`<button id="b" live-click="Slow" live-disable>slow</button> <button id="c" live-click="Other" live-disable {1}>other</button>
			<a id="a" href="/other" live-click="Link" live-disable>link</a>
			<div id="d" live-click="Area" live-disable><i id="i">area</i> <button id="in" type="button" live-click="Inner">in</button></div>
			<button id="off" live-click="Off" live-disable disabled>off</button>`,
			with(unit{[]any{"S", "", "", "disabled"}, ""}))
		c := p.join()
		p.quiet()
		p.click("#b")
		p.click("#b")
		p.run(`for (const id of ["b", "b", "c", "c", "a", "a", "i", "i", "off", "in", "in"]) document.getElementById(id).click()`)
		p.sends(c, "Slow", "Other", "Link", "Area", "Inner", "Inner") // 1 to 6, End is 7
		p.check(`$("#b").disabled && $("#c").disabled && $("#off").disabled && !$("#in").disabled`)
		p.check(`$("#a").matches("[aria-disabled=true]") && $("#d").matches("[aria-disabled=true]")`)

		// Each is enabled with its own answer, a refusal too, and has the focus that it had.
		c.send(obj{"x": obj{"c": "error", "m": "no", "i": 1, "a": "Slow"}})
		p.wait(`!$("#b").disabled && document.activeElement === $("#b")`)
		p.check(`$("#c").disabled && $("#a").hasAttribute("aria-disabled")`)
		c.send(obj{"i": 2, "p": []any{1, ` disabled=""`}}) // the answer says that it is over
		c.acked(3)
		p.check(`$("#c").disabled && $("#c").getAttribute("disabled") === ""`)
		c.send(obj{"i": 7, "p": []any{1, ``}})
		c.acked(4)
		p.check(`!$("#c").disabled && $("#off").disabled && !document.querySelector("[aria-disabled]")`)
		p.click("#b")
		p.sends(c, "Slow") // 8
		p.check(`$("#b").disabled`)
		p.run(`$("#c").focus()`)
		c.send(obj{"i": 9})
		p.wait(`!$("#b").disabled`)
		p.check(`document.activeElement === $("#c")`)
	},
	"live-disable: forms": func(p *tab) {
		p.visit(`<form id="f" method="post" live-disable><input id="elements" name="elements"><input name="matches">
				<button id="save" name="live-action" value="Save">s</button> <button id="more" name="live-action" value="More">m</button>
				<button id="never" name="live-action" value="Never" disabled>n</button><button id="plain" type="button">p</button></form>
			<button id="far" form="f" name="live-action" value="Far">far</button>
			<form id="g" method="post"><input id="one" name="one"><button id="go" name="live-action" value="Go" live-disable>go</button>
				<button id="stop" name="live-action" value="Stop">stop</button></form>`)
		c := p.join()
		p.quiet()
		p.do(chromedp.SendKeys("#elements", "a"+kb.Enter+"b"+kb.Enter))
		p.run(`$("#more").click(); $("#far").click(); $("#f").requestSubmit()`)
		p.sends(c, "Save") // 1
		p.check(`$("#save").disabled && $("#more").disabled && $("#far").disabled && $("#never").disabled && !$("#plain").disabled`)
		p.check(`$("#elements").value === "ab" && document.activeElement === $("#elements") && !$("#elements").disabled`)
		c.send(obj{"i": 2})
		p.wait(`!$("#save").disabled && !$("#more").disabled && !$("#far").disabled`)
		p.check(`$("#never").disabled && document.activeElement === $("#elements")`)
		p.do(chromedp.SendKeys("#elements", kb.Enter))
		p.sends(c, "Save") // 3

		// One button's is that button's alone.
		p.click("#go")
		p.do(chromedp.SendKeys("#one", "x"+kb.Enter))
		p.click("#stop")
		p.sends(c, "Go", "Stop") // 5, 6
		c.send(obj{"i": 7})
		p.wait(`!$("#go").disabled && !$("#save").disabled`)
	},
	"live-disable: made anew": func(p *tab) {
		block := `<p><button class="b" live-click="Slow" live-value-n="1" live-disable>one</button></p>`
		p.visit(`<div id="place">{1}</div>`, branch(block, "<!--[1-->"+block+"<!--]-->"), func(s *server) {
			s.layout = "<!-- live-disable -->"
			s.manifests["m1"] = strings.Replace(s.manifests["m1"], text("<b>other</b>"), text(`<div><button class="b second" live-click="Slow" live-value-n="1" live-disable>two</button>`+
				`<button class="c" live-click="Slow" live-value-n="2" live-disable>three</button></div>`), 1)
		})
		c := p.join()
		p.quiet()
		p.click(".b")
		c.action() // 1
		c.send(obj{"p": []any{1, -3}})
		c.acked(2)
		p.wait(`$(".b").textContent === "two" && $(".b").disabled && !$(".c").disabled`)
		p.run(`$(".b").click(); $(".c").click()`)
		p.sends(c, "Slow") // 2, the one beside it
		c.send(obj{"i": 1})
		p.wait(`!$(".b").disabled && document.activeElement === $(".b")`)
		p.check(`$(".c").disabled`)

		// A snapshot that finds the page rewritten, and one that brings the same.
		p.run(`$(".c").innerHTML = "<font>drei</font>"; $("#count").innerHTML = "<font>null</font>"`)
		c.send(obj{"p": patch("5")})
		c.wait("a request", func(m message) bool { return m.Q == 1 })
		c.send(obj{"r": []any{-1, "5", -3}})
		c.acked(5)
		p.wait(`$(".c").textContent === "three" && $(".c").disabled`)
		c.send(obj{"r": []any{-1, "6", -3}})
		c.acked(6)
		p.check(`$(".c").disabled`)
		p.run(`$(".c").className = "c own"; $(".c").removeAttribute("aria-busy")`) // as a patch of the class
		p.wait(`$(".c").matches(".live-pending")`)
		c.send(obj{"i": 3, "p": []any{1, -2}}) // goes with its answer
		c.acked(7)
		p.check(`$(".b").textContent === "one" && !$(".b").disabled`)
		p.click(".b")
		p.sends(c, "Slow") // 4
	},
	"live-disable: connections": func(p *tab) {
		p.visit(`<button id="b" live-click="Slow" live-disable>slow</button><form id="f" method="post" live-disable><button id="s" name="live-action" value="Save">s</button></form>`)
		c := p.join()
		p.quiet()
		p.click("#b")
		p.sends(c, "Slow") // 1, 2
		p.stop()
		p.check(`$("#b").disabled`)
		p.click("#s") // waits for a connection
		p.run(`$("#b").click(); $("#s").click()`)
		p.check(`$("#s").disabled`)
		p.start()
		c = p.join()
		for _, want := range []string{"Slow", "End", "Save"} {
			if m := c.action(); m.A != want {
				p.t.Errorf("message %s, want %s", m.text, want)
			}
		}
		p.check(`$("#b").disabled && $("#s").disabled`)
		c.send(obj{"i": 2})
		p.wait(`!$("#b").disabled`)
		p.check(`$("#s").disabled`)
		p.stop()
		p.start()
		c = p.join(obj{"re": 1, "r": snapshot("0")}) // nobody knows what became of it
		p.wait(`!$("#s").disabled`)
		p.check(`of("live:error").some((e) => e.code === "lost")`)

		// Away and back, while its action is under way.
		p.click("#b")
		p.sends(c, "Slow")
		p.run(`addEventListener("pageshow", (e) => { window.persisted = e.persisted })`)
		p.do(chromedp.Navigate("http://" + p.addr + "/other"))
		p.run(`history.back()`)
		p.wait(`window.persisted`)
		c = p.join()
		m := c.action()
		p.check(`$("#b").disabled`)
		c.send(obj{"i": m.I + 1})
		p.wait(`!$("#b").disabled`)
		p.check(`$("#b").click() ?? $("#b").disabled`)
	},
}
