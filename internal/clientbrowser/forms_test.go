package clientbrowser_test

import (
	"net/http"
	"os"
	"path/filepath"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/google/go-cmp/cmp"
)

// formCases: submissions become actions, or stay the browser's.
var formCases = cases{
	"form data": func(p *tab) {
		p.visit(`<form id="f" method="post" live-value-from="form">
			<input type="hidden" name="live-action" value="Save"><input name="name" id="name">
			<input type="checkbox" name="tag" value="a" checked><input type="checkbox" name="tag" value="b" checked>
			<input type="checkbox" name="off" value="1"><input name="__proto__" value="p">
			<select name="one"><option>x<option selected>y</select><textarea name="text">two
lines</textarea>
			<button id="save" name="how" value="fast" live-value-extra="e">Save</button>
			<button id="del" name="live-action" value="Delete">Delete</button></form>`)
		c := p.join()
		p.do(chromedp.SendKeys("#name", "Zoë"+kb.Enter)) // the default button submits
		m := c.action()
		want := obj{
			"name": "Zoë", "tag": []any{"a", "b"}, "one": "y", "text": "two\nlines",
			"how": "fast", "from": "form", "extra": "e", "__proto__": "p",
		}
		if diff := cmp.Diff(want, m.D); diff != "" || m.A != "Save" {
			p.t.Errorf("action %s, data (-want +got):\n%s", m.A, diff)
		}
		p.check(`$("#f").matches(".live-pending") && $("#save").matches("[aria-busy]")`)
		p.click("#save") // a double submit
		c.send(obj{"i": 1})
		p.wait(`!$("#f").matches(".live-pending")`)
		p.check(`$("#name").value === "Zoë"`)
		p.click("#del")
		if m := c.action(); m.A != "Delete" || m.I != 2 {
			p.t.Errorf("message = %s, want Delete with i=2", m.text)
		}
	},
	"reset and dialog": func(p *tab) {
		p.visit(`<form id="f" method="post" live-reset><input name="text" id="text">
				<button name="live-action" value="Say">Say</button></form>
			<dialog id="d"><form method="dialog"><button id="yes" name="live-action" value="Yes">Yes</button></form></dialog>`)
		c := p.join()
		p.do(chromedp.SendKeys("#text", "hi"+kb.Enter))
		c.action()
		c.send(obj{"x": obj{"c": "error", "m": "no", "i": 1}})
		p.wait(`of("live:error").length === 1`)
		p.check(`$("#text").value === "hi"`)
		p.do(chromedp.SendKeys("#text", kb.Enter))
		c.action()
		c.send(obj{"i": 2})
		p.wait(`$("#text").value === ""`)
		p.run(`$("#d").showModal()`)
		p.click("#yes")
		if m := c.action(); m.A != "Yes" {
			p.t.Errorf("action = %s, want Yes", m.A)
		}
		p.check(`!$("#d").open`)
	},
	"the browser's own": func(p *tab) {
		p.visit(`<form id="plain" method="post" action="/upload" enctype="multipart/form-data">
				<input type="file" name="file" id="file"><button id="up">Upload</button></form>`)
		uploads := make(chan string, 1)
		p.mux.HandleFunc("POST /upload", func(_ http.ResponseWriter, r *http.Request) {
			_, header, err := r.FormFile("file")
			if err != nil {
				uploads <- err.Error()
				return
			}
			uploads <- header.Filename
		})
		p.join()
		path := filepath.Join(p.t.TempDir(), "data.csv")
		if err := os.WriteFile(path, []byte("a,b\n"), 0o600); err != nil {
			p.t.Fatal(err)
		}
		p.do(chromedp.SetUploadFiles("#file", []string{path}))
		p.click("#up")
		if got := <-uploads; got != "data.csv" {
			p.t.Errorf("uploaded %q, want data.csv", got)
		}
	},
	"elsewhere or with a file": func(p *tab) {
		p.visit(`<form id="there" method="post" action="/other"><button name="live-action" value="X">X</button></form>
			<form id="window" method="post" target="w"><button name="live-action" value="X">X</button></form>
			<form id="get" method="get"><button>search</button></form>
			<form id="file" method="post"><input type="file" name="f"><button name="live-action" value="Up">Up</button></form>`)
		c := p.join()
		p.wait(`live.connected`)
		// Behind the client's listener, which decides, and before the browser's navigation.
		p.run(`window.left = []; document.addEventListener("submit", (e) => {
			if (!e.defaultPrevented) { left.push(e.target.id); e.preventDefault(); } })`)
		for _, form := range []string{"#there", "#window", "#get", "#file"} {
			if form == "#file" {
				p.run(`{ const d = new DataTransfer(); d.items.add(new File(["x"], "x.txt")); $("#file input").files = d.files }`)
			}
			p.click(form + " button")
		}
		p.run(`$("#file").reset()`)
		p.click("#file button") // no file chosen: an ordinary action
		if m := c.action(); m.A != "Up" || m.I != 1 || m.D["f"] != "" {
			p.t.Errorf("message = %s, want Up with i=1 and an empty f", m.text)
		}
		p.check(`left.join() === "there,window,get,file"`)
	},
}

// editCases: changes of fields, with and without a delay.
var editCases = cases{
	"change of a field and of a form": func(p *tab) {
		p.visit(`<input type="checkbox" id="box" name="box" value="on" live-change="Box" live-value-id="7">
			<select id="many" name="many" multiple live-change="Many"><option id="o1">a<option>b</select>
			<form live-change="Form"><input type="hidden" name="live-action" value="Save"><input name="x" value="1">
				<select id="sel" name="y"><option>p<option>q</select></form>`)
		c := p.join()
		for _, step := range []struct {
			script, action string
			want           obj
		}{
			{`$("#box").click()`, "Box", obj{"box": "on", "id": "7"}},
			{`$("#box").click()`, "Box", obj{"box": "", "id": "7"}},
			{`$("#o1").selected = true; $("#many").dispatchEvent(new Event("change", {bubbles: true}))`, "Many", obj{"many": []any{"a"}}},
			{`$("#sel").value = "q"; $("#sel").dispatchEvent(new Event("change", {bubbles: true}))`, "Form", obj{"x": "1", "y": "q", "_target": "y"}},
		} {
			p.run(step.script)
			m := c.action()
			if diff := cmp.Diff(step.want, m.D); diff != "" || m.A != step.action {
				p.t.Errorf("%s: action %s, data (-want +got):\n%s", step.script, m.A, diff)
			}
		}
	},
	"input waits for its debounce, or for a click": func(p *tab) {
		p.visit(`<input id="q" name="q" live-input="Search" live-debounce="3600000"><button id="go" live-click="Go">Go</button>
			<input id="r" name="r" live-input="Now" live-debounce="50">`)
		c := p.join()
		p.do(chromedp.SendKeys("#q", "abc"))
		p.click("#go")
		if m := c.action(); m.A != "Search" || m.D["q"] != "abc" {
			p.t.Errorf("first message = %s, want the whole input once", m.text)
		}
		if m := c.action(); m.A != "Go" {
			p.t.Errorf("second message = %s, want the click", m.text)
		}
		p.do(chromedp.SendKeys("#r", "x"))
		if m := c.action(); m.A != "Now" || m.D["r"] != "x" {
			p.t.Errorf("message = %s, want Now with r=x", m.text)
		}
	},
	"half-composed input stays here": func(p *tab) {
		p.visit(`<input id="q" name="q" live-input="Search">`)
		c := p.join()
		p.wait(`live.connected`)
		p.run(`{ const q = $("#q");
			q.value = "k"; q.dispatchEvent(new InputEvent("input", {bubbles: true, isComposing: true}));
			q.value = "か"; q.dispatchEvent(new CompositionEvent("compositionend", {bubbles: true})); }`)
		if m := c.action(); m.D["q"] != "か" || m.I != 1 {
			p.t.Errorf("message = %s, want the composed text only", m.text)
		}
	},
	"newer input replaces older that waits": func(p *tab) {
		p.visit(`<input id="q" name="q" live-input="Search">`)
		c := p.accept()
		p.do(chromedp.SendKeys("#q", "abc"))
		c.welcome()
		if m := c.action(); m.D["q"] != "abc" {
			p.t.Errorf("message = %s, want the last input only", m.text)
		}
	},
}
