package clientbrowser_test

import (
	"github.com/chromedp/chromedp"
	"github.com/coder/websocket"
)

const button = `<button id="b" live-click="Add">+</button>`

// never makes the client's retries come so late that only an event can be the
// cause of one.
const never = `Math.random = () => 1e7`

// connectionCases: lost and regained connections.
var connectionCases = cases{
	"unanswered clicks are sent again, once": func(p *tab) {
		p.visit(button)
		c := p.join()
		p.click("#b")
		p.click("#b")
		c.action()
		c.action()
		p.stop()
		p.start()
		c = p.accept()
		if c.hello.S != 1 || c.hello.H != "" || *c.hello.T != "token-1" || c.hello.I != 3 {
			p.t.Errorf("second hello = %s, want s=1, the token, no hash, and that the next message is the third", c.hello.text)
		}
		c.welcome(obj{"i": 1, "r": snapshot("1")}) // the first one was applied
		m := c.action()
		if m.A != "Add" || m.I != 2 {
			p.t.Errorf("sent again: %s, want i=2", m.text)
		}
		c.send(obj{"i": 2, "p": patch("2")})
		c.acked(2)
		p.check(`!$("#b").matches(".live-pending") && $("#count").textContent === "2"`)
		p.stop()
		p.start()
		c = p.join()
		p.run(`live.push("Last")`)
		if m := c.action(); m.A != "Last" || m.I != 3 {
			p.t.Errorf("after an answered click: %s, want Last with i=3", m.text)
		}
	},
	"a refusal whose frame was lost is told on the next connection": func(p *tab) {
		p.visit(button)
		c := p.join()
		p.wait(`live.connected`)
		p.run(`window.ends = []; for (const a of ["Bad", "Good"]) live.push(a).then((e) => ends.push(e?.code))`)
		c.action()
		c.action()
		p.stop()
		p.start()
		c = p.join(obj{"r": snapshot("1")}) // both are dealt with, and no answer may cover the refusal
		for i, a := range []string{"Bad", "Good"} {
			if m := c.action(); m.A != a || m.I != i+1 {
				p.t.Errorf("sent again: %s, want %s with i=%d", m.text, a, i+1)
			}
		}
		c.send(obj{"x": obj{"c": "rejected", "m": "not today", "i": 1, "a": "Bad"}})
		c.send(obj{"i": 2})
		c.acked(3)
		p.check(`JSON.stringify(ends) === '["rejected",null]' && of("live:error").length === 1`)
		p.check(`document.querySelectorAll(".live-flash-error").length === 1`)
		p.stop()
		p.start()
		c = p.join()
		p.run(`live.push("Last")`)
		if m := c.action(); m.A != "Last" || m.I != 3 {
			p.t.Errorf("after both ends are known: %s, want Last with i=3", m.text)
		}
		p.check(`of("live:error").length === 1`)
	},
	"clicks while offline wait for the connection": func(p *tab) {
		p.visit(button)
		p.join()
		p.wait(`live.connected`)
		p.stop()
		p.wait(`!live.connected`)
		p.click("#b")
		p.start()
		c := p.accept()
		select {
		case m := <-c.in:
			p.t.Errorf("%s came before the hello's answer", m.text)
		default:
		}
		c.welcome()
		if m := c.action(); m.I != 1 {
			p.t.Errorf("message = %s, want i=1", m.text)
		}
	},
	"a fresh mount gets no click of unknown fate": func(p *tab) {
		p.visit(button)
		c := p.join()
		p.click("#b")
		c.action()
		p.stop()
		p.wait(`!live.connected`)
		p.run(`live.push("Queued")`)
		p.start()
		c = p.join(obj{"re": 1, "t": "token-2", "r": snapshot("0")})
		if m := c.action(); m.A != "Queued" || m.I != 2 {
			p.t.Errorf("message = %s, want the one that was never sent", m.text)
		}
		p.check(`of("live:error").some((e) => e.code === "lost" && e.action === "Add") && !$("#b").matches(".live-pending")`)
		p.stop()
		p.start()
		if h := p.accept().hello; *h.T != "token-2" {
			p.t.Errorf("hello = %s, want the new token", h.text)
		}
	},
	"a taken connection is left to the other tab": func(p *tab) {
		p.visit("")
		c := p.join()
		c.closeWith(4000, "taken")
		c = p.accept()
		if c.hello.T == nil || *c.hello.T != "" {
			p.t.Errorf("hello = %s, want an empty token", c.hello.text)
		}
		c.welcome(obj{"re": 1, "t": "own", "r": snapshot("3")})
		c.acked(1)
	},
	"the delay follows the reason of the loss": func(p *tab) {
		p.visit("")
		for _, tt := range []struct {
			code   websocket.StatusCode
			reason string
			delay  string // the middle of its window
		}{
			{websocket.StatusServiceRestart, "900", "500"},
			{websocket.StatusServiceRestart, "", "1050"},
			{websocket.StatusGoingAway, "", "150"},
			{websocket.StatusTryAgainLater, "", "1650"},
			{websocket.StatusPolicyViolation, "", "1650"},
		} {
			c := p.join()
			p.wait(`live.connected`)
			p.run(`window.delays = []; { const real = setTimeout; window.setTimeout = (f, ms) => { delays.push(ms); return real(f, ms) } }
				Math.random = () => 0.5`)
			c.closeWith(tt.code, tt.reason)
			p.wait(`delays.includes(` + tt.delay + `)`)
			p.do(chromedp.Navigate(p.url()))
		}
	},
	"a message that cost the connection is not sent again": func(p *tab) {
		p.visit(button)
		c := p.join()
		p.click("#b")
		c.action()
		c.closeWith(websocket.StatusMessageTooBig, "")
		c = p.join()
		p.run(`live.push("Next")`)
		if m := c.action(); m.A != "Next" {
			p.t.Errorf("message = %s, want the next one", m.text)
		}
		p.check(`of("live:error").some((e) => e.code === "too_large" && e.action === "Add")`)
	},
	"online, visible and pageshow try at once": func(p *tab) {
		p.visit("")
		c := p.join()
		p.wait(`live.connected`)
		p.run(never)
		for _, event := range []string{
			`dispatchEvent(new Event("online"))`,
			`document.dispatchEvent(new Event("visibilitychange"))`,
			`dispatchEvent(new PageTransitionEvent("pageshow", {persisted: true}))`,
		} {
			c.closeWith(websocket.StatusGoingAway, "")
			p.wait(`!live.connected`)
			p.run(event)
			c = p.join()
			p.wait(`live.connected`)
		}
	},
	"a half-open socket is noticed": func(p *tab) {
		p.visit(button, configured("heartbeat", 2000))
		c := p.join()
		p.wait(`live.connected`)
		p.mute(true)
		c.ended()
		p.mute(false)
		c = p.join()
		c.send(obj{"p": patch("1")})
		c.acked(2)
	},
	"a click finds out a half-open socket early": func(p *tab) {
		p.visit(button, configured("heartbeat", 2000))
		c := p.join()
		p.wait(`live.connected`)
		p.mute(true)
		p.run(`window.setInterval = () => 0`)
		p.click("#b")
		c.ended()
		p.mute(false)
		c = p.join()
		if m := c.action(); m.I != 1 {
			p.t.Errorf("message = %s, want the click again", m.text)
		}
	},
	"heartbeats keep a quiet connection": func(p *tab) {
		p.visit("", configured("heartbeat", 2000))
		c := p.join()
		for range 3 {
			c.wait("a heartbeat", func(m message) bool { return m.text == "{}" })
		}
		p.check(`live.connected`)
	},
	"back from the back/forward cache": func(p *tab) {
		p.visit("")
		c := p.join()
		p.run(`addEventListener("pageshow", (e) => { window.persisted = e.persisted }); window.mark = 1`)
		p.run(never)
		p.do(chromedp.Navigate("http://" + p.addr + "/other"))
		if code := c.ended(); code != websocket.StatusNormalClosure {
			p.t.Errorf("close code %d, want 1000", code)
		}
		p.run(`history.back()`)
		c = p.join()
		p.wait(`live.connected`)
		p.check(`window.mark === 1 && persisted`)
		c.send(obj{"p": patch("back")})
		c.acked(2)
	},
}

// staleCases: the page says when it may be out of date.
var staleCases = cases{
	"stale and fresh": func(p *tab) {
		p.visit("")
		p.join()
		p.wait(`live.connected`)
		p.check(`!seen.length && $("#live-notice").textContent === ""`)
		p.stop()
		p.wait(`root.matches(".live-stale")`)
		p.check(`of("live:stale").length === 1`)
		p.check(`$("#live-notice").matches("[role=status][aria-live=polite]") && $("#live-notice").textContent.includes("Connection lost")`)
		p.start()
		c := p.join()
		p.wait(`!root.matches(".live-stale")`)
		p.check(`of("live:fresh").length === 1 && $("#live-notice").textContent === ""`)
		c.send(obj{"p": patch("1")})
		c.acked(2)
	},
	"a short gap is no news": func(p *tab) {
		p.visit("")
		p.join()
		p.wait(`live.connected`)
		p.stop()
		p.start()
		p.join()
		p.wait(`live.connected`)
		p.run(`window.since = performance.now()`)
		p.wait(`performance.now() - since > 1200`)
		p.check(`!of("live:stale").length`)
	},
	"own words and element": func(p *tab) {
		p.visit("", func(s *server) { s.layout = `<aside id="live-notice" hidden></aside>` })
		p.join()
		p.wait(`live.connected`)
		p.run(`root.dataset.stale = "Keine Verbindung"`)
		p.stop()
		p.wait(`$("aside#live-notice > .live-notice")?.textContent === "Keine Verbindung"`)
		p.check(`!$("#live-notice").hidden && !$("#live-notice").style.position`)
	},
}
