package clientbrowser_test

type cases = map[string]func(*tab)

// frameCases: what the server says reaches the page.
var frameCases = cases{
	"hello, patch, ack": func(p *tab) {
		p.visit("")
		c := p.accept()
		h := c.hello
		if h.V != 1 || h.T == nil || *h.T != "token-1" || h.H != "cafe" || h.F != "m1" || h.S != 0 || h.Q != 0 {
			p.t.Errorf("hello = %s", h.text)
		}
		c.welcome()
		c.send(obj{"p": patch("41")})
		c.send(obj{"p": patch("42")})
		c.acked(3)
		p.check(`$("#count").textContent === "42"`)
		p.check(`live.connected`)
	},
	"an ack rides along with a message": func(p *tab) {
		p.visit("")
		c := p.join()
		p.wait(`live.connected`)
		p.run(`live.on("custom", () => setTimeout(() => live.push("Ride")))`)
		c.send(obj{"p": patch("1"), "e": []any{[]any{"custom", nil}}})
		m := c.action()
		if m.K != 2 || m.A != "Ride" {
			p.t.Errorf("message = %s, want the action with k=2", m.text)
		}
	},
	"a hidden page acknowledges without a timer": func(p *tab) {
		p.visit("")
		c := p.join()
		c.acked(1)
		p.run(`Object.defineProperty(document, "hidden", {value: true}); window.setTimeout = () => 0`)
		c.send(obj{"p": patch("1")})
		c.acked(2)
	},
	"title, events, flash": func(p *tab) {
		p.visit("")
		c := p.join()
		p.run(`window.got = []; window.off = live.on("custom", (d) => got.push(d.n))`)
		c.send(obj{
			"title": "7 new", "e": []any{[]any{"custom", obj{"n": 7}}},
			"fl": []any{[]any{"info", "<b>saved</b>"}, []any{"error", "broken"}},
		})
		p.wait(`document.title === "7 new" && of("custom").length`)
		p.check(`got.join() === "7"`)
		p.check(`$(".live-flash-info").textContent === "<b>saved</b>"`)
		p.check(`$(".live-flash-error").getAttribute("role") === "alert"`)
		p.click(".live-flash-info")
		p.check(`!$(".live-flash-info")`)

		p.run(`off(); root.addEventListener("live:flash", (e) => e.preventDefault())`)
		c.send(obj{"e": []any{[]any{"custom", obj{"n": 8}}}, "fl": []any{[]any{"info", "own"}}})
		p.wait(`of("live:flash").length === 3`)
		p.check(`got.join() === "7" && !$(".live-flash-info")`)
	},
	"navigate": func(p *tab) {
		p.visit("")
		c := p.join()
		c.send(obj{"n": obj{"u": "javascript:document.title='hacked'"}})
		p.wait(`of("live:error").some((e) => e.code === "navigate")`)
		p.check(`document.title === "first"`)
		c.send(obj{"n": obj{"u": "http://["}})
		p.wait(`of("live:error").some((e) => e.code === "internal")`)
		c.send(obj{"p": patch("9"), "n": obj{"u": "/other"}})
		c.acked(4) // before it goes
		p.wait(`document.title === "other"`)
	},
	"hooks": func(p *tab) {
		p.visit(`<i id="h" live-hook="Chart"></i><i id="bad" live-hook="Bad"></i>`)
		p.join()
		p.wait(`live.connected`)
		p.run(`
			window.calls = [];
			live.hook("Chart", { mounted: (el) => calls.push("mounted " + el.id) });
			live.hook("Bad", { mounted() { throw new Error("oops") } });`)
		p.wait(`calls.join() === "mounted h"`)
		p.wait(`of("live:error").some((e) => e.code === "hook" && e.message.includes("oops"))`)
	},
	"a deploy brings a new manifest": func(p *tab) {
		p.visit("", func(s *server) { s.manifests["m2"] = manifest("") })
		c := p.join()
		c.send(obj{"f": "m2", "r": snapshot("after")})
		c.send(obj{"p": patch("more")})
		c.acked(3)
		p.check(`$("#count").textContent === "more"`)
		if n := p.count("GET /page?_live=manifest.m2.json"); n != 1 {
			p.t.Errorf("new manifest loaded %d times, want 1", n)
		}
		p.stop()
		p.start()
		if h := p.accept().hello; h.F != "m2" || h.S != 3 || h.H != "" {
			p.t.Errorf("hello after it = %s, want f=m2, s=3 and no hash", h.text)
		}
	},
	"a page whose manifest is gone takes the server's": func(p *tab) {
		p.visit("", configured("manifest", "old"), func(s *server) { s.manifests["m2"] = manifest("") })
		c := p.accept()
		p.wait(`of("live:error").some((e) => e.code === "manifest")`)
		c.welcome(obj{"f": "m2", "r": snapshot("5")})
		c.acked(1)
		p.check(`$("#count").textContent === "5"`)
	},
}
