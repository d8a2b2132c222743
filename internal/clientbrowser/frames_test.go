package clientbrowser_test

import (
	"context"
	"testing"
)

type cases = map[string]func(context.Context, *testing.T)

// frameCases: what the server says reaches the page.
var frameCases = cases{
	"hello, patch, ack": func(ctx context.Context, t *testing.T) {
		p := visit(ctx, t, "")
		c := p.accept(t)
		h := c.hello
		if h.V != 1 || h.T == nil || *h.T != "token-1" || h.H != "cafe" || h.F != "m1" || h.S != 0 || h.Q != 0 {
			t.Errorf("hello = %s", h.text)
		}
		c.welcome(t)
		c.send(t, obj{"p": patch("41")})
		c.send(t, obj{"p": patch("42")})
		c.acked(t, 3)
		p.check(`$("#count").textContent === "42"`)
		p.check(`live.connected`)
	},
	"an ack rides along with a message": func(ctx context.Context, t *testing.T) {
		p := visit(ctx, t, "")
		c := p.join(t)
		p.wait(`live.connected`)
		p.run(`live.on("custom", () => setTimeout(() => live.push("Ride")))`)
		c.send(t, obj{"p": patch("1"), "e": []any{[]any{"custom", nil}}})
		m := c.action(t)
		if m.K != 2 || m.A != "Ride" {
			t.Errorf("message = %s, want the action with k=2", m.text)
		}
	},
	"a hidden page acknowledges without a timer": func(ctx context.Context, t *testing.T) {
		p := visit(ctx, t, "")
		c := p.join(t)
		c.acked(t, 1)
		p.run(`Object.defineProperty(document, "hidden", {value: true}); window.setTimeout = () => 0`)
		c.send(t, obj{"p": patch("1")})
		c.acked(t, 2)
	},
	"title, events, flash": func(ctx context.Context, t *testing.T) {
		p := visit(ctx, t, "")
		c := p.join(t)
		p.run(`window.got = []; window.off = live.on("custom", (d) => got.push(d.n))`)
		c.send(t, obj{"title": "7 new", "e": []any{[]any{"custom", obj{"n": 7}}},
			"fl": []any{[]any{"info", "<b>saved</b>"}, []any{"error", "broken"}}})
		p.wait(`document.title === "7 new" && of("custom").length`)
		p.check(`got.join() === "7"`)
		p.check(`$(".live-flash-info").textContent === "<b>saved</b>"`)
		p.check(`$(".live-flash-error").getAttribute("role") === "alert"`)
		p.click(".live-flash-info")
		p.check(`!$(".live-flash-info")`)

		p.run(`off(); root.addEventListener("live:flash", (e) => e.preventDefault())`)
		c.send(t, obj{"e": []any{[]any{"custom", obj{"n": 8}}}, "fl": []any{[]any{"info", "own"}}})
		p.wait(`of("live:flash").length === 3`)
		p.check(`got.join() === "7" && !$(".live-flash-info")`)
	},
	"navigate": func(ctx context.Context, t *testing.T) {
		p := visit(ctx, t, "")
		c := p.join(t)
		c.send(t, obj{"n": obj{"u": "javascript:document.title='hacked'"}})
		p.wait(`of("live:error").some((e) => e.code === "navigate")`)
		p.check(`document.title === "first"`)
		c.send(t, obj{"n": obj{"u": "http://["}})
		p.wait(`of("live:error").some((e) => e.code === "internal")`)
		c.send(t, obj{"p": patch("9"), "n": obj{"u": "/other"}})
		c.acked(t, 4) // before it goes
		p.wait(`document.title === "other"`)
	},
	"hooks": func(ctx context.Context, t *testing.T) {
		p := visit(ctx, t, `<i id="h" live-hook="Chart"></i><i id="bad" live-hook="Bad"></i>`)
		p.join(t)
		p.wait(`live.connected`)
		p.run(`
			window.calls = [];
			live.hook("Chart", { mounted: (el) => calls.push("mounted " + el.id) });
			live.hook("Bad", { mounted() { throw new Error("oops") } });`)
		p.wait(`calls.join() === "mounted h"`)
		p.wait(`of("live:error").some((e) => e.code === "hook" && e.message.includes("oops"))`)
	},
	"a deploy brings a new manifest": func(ctx context.Context, t *testing.T) {
		p := visit(ctx, t, "")
		p.manifests["m2"] = manifest("")
		c := p.join(t)
		c.send(t, obj{"f": "m2", "r": snapshot("after")})
		c.send(t, obj{"p": patch("more")})
		c.acked(t, 3)
		p.check(`$("#count").textContent === "more"`)
		if n := p.count("GET /page?_live=manifest.m2.json"); n != 1 {
			t.Errorf("new manifest loaded %d times, want 1", n)
		}
		p.stop()
		p.start(t)
		if h := p.accept(t).hello; h.F != "m2" || h.S != 3 || h.H != "" {
			t.Errorf("hello after it = %s, want f=m2, s=3 and no hash", h.text)
		}
	},
	"a page whose manifest is gone takes the server's": func(ctx context.Context, t *testing.T) {
		p := visit(ctx, t, "", configured("manifest", "old"))
		p.manifests["m2"] = manifest("")
		c := p.accept(t)
		p.wait(`of("live:error").some((e) => e.code === "manifest")`)
		c.welcome(t, obj{"f": "m2", "r": snapshot("5")})
		c.acked(t, 1)
		p.check(`$("#count").textContent === "5"`)
	},
}
