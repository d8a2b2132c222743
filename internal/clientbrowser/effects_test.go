package clientbrowser_test

import (
	"context"
	"html/template"
	"net/http"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"lastmile/internal/browser"
	"lastmile/internal/patience"
	"lastmile/live"
	"lastmile/push"
	"lastmile/push/mempush"
)

// actor's actions have effects besides changing the state.
type actor struct{ session chan push.Session }

type actorState struct{ Count int }

func (b *actor) OnConnect(s actorState, ctx *live.Context) (actorState, error) {
	select {
	case b.session <- ctx.Session():
	default:
	}
	return s, nil
}

func (b *actor) Add(s actorState, _ *live.Context) (actorState, error) {
	s.Count++
	return s, nil
}

// Act has each effect that leaves the page where it is.
func (b *actor) Act(s actorState, ctx *live.Context) (actorState, error) {
	s.Count++
	ctx.SetFlash("info", "acted")
	return s, ctx.Emit("chart", map[string]int{"n": s.Count})
}

// Leave sends the browser on, with a message for the page that it finds there.
func (b *actor) Leave(s actorState, ctx *live.Context) (actorState, error) {
	ctx.SetFlash("info", "left")
	return s, ctx.Navigate("/there")
}

// Follow has the page hear what its session's pages publish.
func (b *actor) Follow(s actorState, ctx *live.Context) (actorState, error) {
	return s, ctx.Subscribe(ctx.SelfTopic())
}

// Tell publishes an action to the session's other pages.
func (b *actor) Tell(s actorState, ctx *live.Context) (actorState, error) {
	return s, ctx.Publish(ctx.SelfTopic(), ctx.GetString("action"), nil)
}

// TestBrowserEffectsWhateverTheCause: what an action does besides changing the
// state reaches the page once, whatever has had it run.
func TestBrowserEffectsWhateverTheCause(t *testing.T) {
	t.Parallel()
	ctx := browser.New(t)
	for name, cause := range map[string]func(p *effectsPage, action string){
		"click": func(p *effectsPage, action string) { p.run(`live.push("` + action + `", {})`) },
		"push":  func(p *effectsPage, action string) { p.trigger(action) },
		"push that was missed": func(p *effectsPage, action string) {
			p.run(`away()`)
			p.gone()
			p.trigger(action)
			p.run(`blocked = false`)
		},
		"backlog of a GET": func(p *effectsPage, action string) {
			browser.Do(p.ctx, p.t, chromedp.Navigate("about:blank"))
			p.gone()
			p.trigger(action)
			browser.Do(p.ctx, p.t, chromedp.Navigate("http://"+p.node.addr+"/"))
		},
		"topic message": func(p *effectsPage, action string) {
			p.run(`window.follows = false; live.push("Follow", {}).then(() => follows = true)`)
			browser.WaitFor(p.ctx, p.t, `window.follows`) // who is not there misses it
			p.run(`fetch("/", {method: "POST", body: new URLSearchParams({"live-action": "Tell", action: "` + action + `"})})`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newEffectsPage(browser.Isolated(ctx, t), t)
			cause(p, "Act")
			browser.WaitFor(p.ctx, t, `document.title === "1 counted" && document.getElementById("live-flash").textContent === "acted" && +sessionStorage.charts === 1`)
			p.run(`live.push("Add", {})`) // what was to come has come
			browser.WaitFor(p.ctx, t, `document.title === "2 counted"`)
			if got := browser.Eval[string](p.ctx, t, `document.getElementById("live-flash").textContent + " " + sessionStorage.charts`); got != "acted 1" {
				t.Errorf("messages and events: %q, want one each", got)
			}
			cause(p, "Leave")
			browser.WaitFor(p.ctx, t, `location.pathname === "/there" && window.live?.connected && document.getElementById("live-flash").textContent === "left"`)
			browser.Do(p.ctx, t, chromedp.Navigate("http://"+p.node.addr+"/"))
			browser.WaitFor(p.ctx, t, `window.live?.connected`)
			if got := browser.Eval[string](p.ctx, t, `location.pathname + document.getElementById("live-flash").textContent`); got != "/" {
				t.Errorf("back on the page: %q, want neither the message nor the navigation again", got)
			}
		})
	}
}

// effectsPage is an actor's page in a browser of its own.
type effectsPage struct {
	t       *testing.T
	ctx     context.Context // the browser
	node    *node
	hub     *live.Hub
	session push.Session
}

// effectsScript counts events over all pages of the tab, and can keep it from
// connecting.
const effectsScript = `addEventListener("chart", () => sessionStorage.charts = 1 + +(sessionStorage.charts ?? 0), true);
	const sockets = [];
	window.blocked = false;
	window.away = () => { blocked = true; sockets.forEach((s) => s.close()) };
	window.WebSocket = class extends WebSocket {
		constructor(...args) { super(...args); sockets.push(this); if (blocked) this.close() }
	}`

func newEffectsPage(ctx context.Context, t *testing.T) *effectsPage {
	t.Helper()
	store, err := mempush.New(mempush.Config{})
	if err != nil {
		t.Fatal(err)
	}
	c := &actor{session: make(chan push.Session, 1)}
	p := &effectsPage{t: t, ctx: ctx}
	p.node = startServing(t, store, "127.0.0.1:0", func(hub *live.Hub) (http.Handler, error) {
		p.hub = hub
		tmpl := template.Must(template.New("actor").Parse(`{{define "title"}}{{.Count}} counted{{end}}<output>{{.Count}}</output>`))
		return live.NewView(hub, "actor", c, actorState{}, tmpl, live.ViewConfig{})
	})
	script := page.AddScriptToEvaluateOnNewDocumentParams{Source: effectsScript}
	if _, err := chromedp.Call(p.ctx, page.AddScriptToEvaluateOnNewDocument, script); err != nil {
		t.Fatal(err)
	}
	browser.Do(p.ctx, t, chromedp.Navigate("http://"+p.node.addr+"/"))
	browser.WaitFor(p.ctx, t, `window.live?.connected`)
	p.session = <-c.session
	return p
}

// gone waits until the server knows that the page has gone.
func (p *effectsPage) gone() {
	p.t.Helper()
	deadline := time.After(patience.Limit)
	for p.hub.Connections() > 0 {
		select {
		case <-deadline:
			p.t.Fatal("the page is still connected")
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// run runs a script in the page.
func (p *effectsPage) run(script string) {
	p.t.Helper()
	browser.Do(p.ctx, p.t, chromedp.Evaluate[chromedp.Void](`{ `+script+` }; undefined`))
}

// trigger pushes.
func (p *effectsPage) trigger(action string) {
	p.t.Helper()
	if err := p.session.TriggerAction(action, nil); err != nil {
		p.t.Fatal(err)
	}
}
