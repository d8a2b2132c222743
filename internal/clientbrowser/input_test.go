package clientbrowser_test

import (
	"strconv"
	"strings"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// unit is one of a page's units besides the counter: its kind on the wire and
// its first value.
type unit struct {
	kind  any // "A", or ["S", "", "", names]
	value string
}

// with gives a page units: {1}, {2}, ... in its content.
func with(units ...unit) func(*server) {
	return func(s *server) {
		kinds := []any{"T"}
		skeleton, html := counter+s.raw, rendered(s.raw, "0")
		skeleton = strings.ReplaceAll(skeleton, "{0}", "\uFDD00\uFDD0")
		for i, u := range units {
			n := strconv.Itoa(i + 1)
			kinds = append(kinds, u.kind)
			html = strings.ReplaceAll(html, "{"+n+"}", u.value)
			mark := "\uFDD0" + n + "\uFDD0"
			if list, ok := u.kind.([]any); ok && list[0] == "S" {
				mark = " " + mark
			}
			skeleton = strings.ReplaceAll(skeleton, "{"+n+"}", mark)
		}
		s.content = html
		s.manifests["m1"] = text(obj{"v": 1, "r": 0, "b": []any{obj{"h": skeleton, "u": kinds}}})
	}
}

// ticks is the kind of a unit that may tick a box.
var ticks = []any{"S", "", "", "checked"}

// chosen is the kind of a unit that may select an option.
var chosen = []any{"S", "", "", "selected"}

// inputCases: what the user types or chooses is the user's until the message that
// carries it has been answered.
var inputCases = cases{
	"an echo does not take what was typed since": func(p *tab) {
		p.visit(`<input id="q" name="q" live-input="Type" live-debounce="900" value="{1}">
			<form id="f"><input id="r" name="r" value="{2}" live-input="Type" live-debounce="900"><button id="save" name="live-action" value="Save">s</button></form>`,
			with(unit{"A", ""}, unit{"A", ""}))
		c := p.join()
		p.do(chromedp.SendKeys("#q", "a"))
		c.action()
		p.do(chromedp.SendKeys("#q", "b"))
		c.send(obj{"i": 1, "p": []any{1, "a"}})
		c.acked(2)
		p.run(`$("#q").blur()`)
		if m := c.action(); m.D["q"] != "ab" || m.I != 2 {
			p.t.Errorf("left, the field sends %s, want ab", m.text)
		}
		p.check(`$("#q").value === "ab"`)
		c.send(obj{"i": 2, "p": []any{1, "AB"}})
		c.acked(3)
		p.check(`$("#q").value === "AB"`)

		p.do(chromedp.SendKeys("#r", "a"))
		c.action()
		p.do(chromedp.SendKeys("#r", "b"))
		c.send(obj{"i": 3, "p": []any{2, "a"}})
		c.acked(4)
		p.click("#save")
		if m := c.action(); m.A != "Type" || m.D["r"] != "ab" {
			p.t.Errorf("before Save comes %s, want the edit", m.text)
		}
		if m := c.action(); m.A != "Save" || m.D["r"] != "ab" {
			p.t.Errorf("the form sends %s, want ab", m.text)
		}
	},
	"the answer to a choice shows what the server decided": func(p *tab) {
		p.visit(`<input id="box" type="checkbox" name="box" live-change="Box"{1}>
			<select id="sel" name="sel" live-change="Pick" {5}><option value="a"{2}>a<option value="b"{3}>b</select>
			<input id="code" name="code" live-input="Code" value="{4}">
			<input id="forced" name="forced" live-force live-change="Forced" value="{6}">`,
			with(unit{ticks, ""}, unit{chosen, " selected"}, unit{chosen, ""}, unit{"A", "AB"}, unit{[]any{"S", "", "", "title"}, ""}, unit{"A", "X"}))
		c := p.join()
		p.click("#box")
		c.action()
		p.check(`$("#box").checked`)
		c.send(obj{"i": 1}) // it stays as it was
		c.acked(2)
		p.check(`!$("#box").checked`)
		p.click("#box")
		c.action()
		c.send(obj{"x": obj{"c": "error", "m": "no", "i": 2}})
		c.acked(3)
		p.check(`!$("#box").checked`)
		p.run(`$("#sel").value = "b"; for (const e of ["input", "change"]) $("#sel").dispatchEvent(new Event(e, {bubbles: true}))`)
		c.action()
		c.send(obj{"x": obj{"c": "error", "m": "no", "i": 3}})
		c.acked(4)
		p.check(`$("#sel").value === "a"`)
		// What the server writes once in answer to an edit, it is trusted to write again.
		p.do(chromedp.SendKeys("#code", "c"))
		c.action()
		c.send(obj{"i": 4, "p": []any{4, "ABC"}})
		c.acked(5)
		p.run(`$("#code").blur()`)
		p.check(`$("#code").value === "ABC"`)
		p.run(`$("#code").focus(); $("#code").value = "abc"; $("#code").dispatchEvent(new InputEvent("input", {bubbles: true}))`)
		c.action()
		p.run(`$("#code").blur()`)
		c.send(obj{"i": 5})
		c.acked(6)
		p.check(`$("#code").value === "ABC"`)
		p.do(chromedp.SendKeys("#forced", "y"+kb.Enter))
		c.action()
		c.send(obj{"i": 6})
		c.acked(7)
		p.check(`$("#forced").value === "X" && document.activeElement === $("#forced")`)
	},
	"a page that starts anew gets what the user touched": func(p *tab) {
		p.visit(`<form id="f" live-input="Form"><input id="a" name="a" value="{1}"><input type="checkbox" id="b" name="b"{2}></form>
			<select id="c" name="c" live-change="Pick"><option value="1">1<option value="2">2</select>
			<input id="d" name="d" live-input="Add" live-recover="no">`,
			with(unit{"A", ""}, unit{ticks, ""}))
		c := p.join()
		p.do(chromedp.SendKeys("#a", "x"))
		c.action()
		p.click("#b")
		c.action()
		p.run(`$("#c").value = "2"; for (const e of ["input", "change"]) $("#c").dispatchEvent(new Event(e, {bubbles: true}))`)
		c.action()
		p.do(chromedp.SendKeys("#d", "y"))
		c.action()
		c.send(obj{"i": 4, "p": []any{1, "x", 2, "checked"}})
		c.acked(2)
		p.stop()
		p.wait(`!live.connected`)
		p.run(`live.push("Click")`)
		p.start()
		c = p.join(obj{"re": 1, "t": "token-2", "r": []any{-1, "0", "", ""}})
		want := []string{"Form", "Pick", "Click"}
		number := 4
		for _, a := range want {
			m := c.action()
			if m.A != a || m.I <= number {
				p.t.Errorf("message %s, want %s with a number behind %d", m.text, a, number)
			}
			number = m.I
			if a == "Form" && (m.D["a"] != "x" || m.D["b"] != "on") {
				p.t.Errorf("message %s, want a=x, b=on", m.text)
			}
		}
		p.check(`$("#a").value === "x" && $("#b").checked && $("#c").value === "2" && $("#d").value === "y"`)
	},
	"a submission resets what it has sent": func(p *tab) {
		p.visit(`<form id="f" live-reset><input id="a" name="a"><input id="b" name="b"><button id="save" name="live-action" value="Save">s</button></form>`)
		c := p.join()
		p.do(chromedp.SendKeys("#a", "one"), chromedp.SendKeys("#b", "two"))
		p.click("#save")
		c.action()
		p.do(chromedp.SendKeys("#a", "!"))
		c.send(obj{"i": 1})
		c.acked(2)
		p.check(`$("#a").value === "one!" && $("#b").value === ""`)
	},
	"another submission while one is pending is sent too": func(p *tab) {
		p.visit(`<form id="f"><input id="a" name="a"><button id="save" name="live-action" value="Save">s</button></form>`)
		c := p.join()
		p.do(chromedp.SendKeys("#a", "1"))
		p.click("#save")
		p.click("#save") // a double one
		p.do(chromedp.SendKeys("#a", "2"))
		p.click("#save")
		for i, want := range []string{"1", "12"} {
			if m := c.action(); m.D["a"] != want || m.I != i+1 {
				p.t.Errorf("message %s, want %s", m.text, want)
			}
		}
	},
	"edits made offline keep their place": func(p *tab) {
		p.visit(`<input id="q" name="q" live-input="Type"><button id="b" live-click="Add">+</button>`)
		p.join()
		p.wait(`live.connected`)
		p.stop()
		p.wait(`!live.connected`)
		p.do(chromedp.SendKeys("#q", "1"))
		p.click("#b")
		p.do(chromedp.SendKeys("#q", "2"), chromedp.SendKeys("#q", "3"))
		p.start()
		c := p.join()
		for _, want := range []string{"Type 1", "Add", "Type 123"} {
			m := c.action()
			got := m.A
			if v, ok := m.D["q"].(string); ok {
				got += " " + v
			}
			if got != want {
				p.t.Errorf("message %s, want %s", m.text, want)
			}
		}
	},
	"a renamed field is another one": func(p *tab) {
		p.visit(`<form id="f"><input id="a" name="{1}" value="{2}"><input type="radio" id="r" name="r" value="{3}"><button name="live-action" value="Next">n</button></form>`,
			with(unit{"A", "q1"}, unit{"A", ""}, unit{"A", "x"}))
		c := p.join()
		p.do(chromedp.SendKeys("#a", "secret"))
		p.click("#r")
		c.send(obj{"p": []any{1, "q2", 3, "y"}})
		c.acked(2)
		p.check(`$("#a").value === "" && !$("#r").checked`)
		c.send(obj{"p": []any{1, "q1", 3, "x"}})
		c.acked(3)
		p.check(`$("#a").value === "secret" && $("#r").checked`)
	},
	"a busy server gets the edit again, untold": func(p *tab) {
		p.visit(`<input id="q" name="q" live-input="Type" value="{1}">`, with(unit{"A", ""}))
		c := p.join()
		p.do(chromedp.SendKeys("#q", "a"))
		c.action()
		c.send(obj{"x": obj{"c": "rate_limited", "m": "slow down", "i": 1}})
		if m := c.action(); m.D["q"] != "a" || m.I != 2 {
			p.t.Errorf("message %s, want the edit again", m.text)
		}
		p.check(`!of("live:error").length && $("#q").value === "a"`)
	},
	"a page from the back/forward cache goes on": func(p *tab) {
		p.visit(`<select id="c" name="c" live-change="Pick"><option value="1">1<option value="2">2</select><input id="t" name="t"><a id="go" href="/other">go</a>`)
		c := p.join()
		p.wait(`live.connected`)
		p.run(`addEventListener("pageshow", (e) => { window.persisted = e.persisted })`)
		p.run(`$("#c").value = "2"; for (const e of ["input", "change"]) $("#c").dispatchEvent(new Event(e, {bubbles: true}))`)
		p.do(chromedp.SendKeys("#t", "typed"))
		c.action()
		c.send(obj{"i": 1})
		c.acked(2)
		p.click("#go")
		c.ended()
		p.wait(`document.title === "other"`)
		p.run(`history.back()`)
		c = p.join()
		if *c.hello.T != "token-1" || c.hello.I != 2 {
			p.t.Errorf("hello = %s, want the connection to go on", c.hello.text)
		}
		p.wait(`window.persisted && live.connected`)
		p.check(`$("#c").value === "2" && $("#t").value === "typed"`)
	},
	"controls that the browser puts back are told": func(p *tab) {
		p.visit(`<form id="f" live-change="Form"><select id="c" name="c"><option value="1">1<option value="2">2</select><input id="t" name="t"></form>`)
		c := p.join()
		p.wait(`live.connected`)
		p.run(`$("#c").value = "2"; for (const e of ["input", "change"]) $("#c").dispatchEvent(new Event(e, {bubbles: true}))`)
		c.action()
		p.do(chromedp.SendKeys("#t", "x"))
		p.run(`addEventListener("unload", () => {})`) // keeps the page out of the back/forward cache
		p.do(chromedp.Navigate("http://" + p.addr + "/other"))
		p.run(`history.back()`)
		c = p.join()
		if m := c.action(); m.A != "Form" || m.D["c"] != "2" || m.D["t"] != "x" || m.I != 1 {
			p.t.Errorf("message %s, want what the controls show", m.text)
		}
	},
}
