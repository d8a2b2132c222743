package clientbrowser_test

import (
	"context"
	"errors"
	"html/template"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"lastmile/internal/browser"
	"lastmile/live"
	"lastmile/push"
	"lastmile/push/mempush"
)

// board is a page of every kind of interaction.
type board struct{}

type boardState struct {
	Count  int
	Query  string
	Said   []string
	Pushed string
}

func (b *board) Add(s boardState, ctx *live.Context) (boardState, error) {
	s.Count += ctx.GetInt("by")
	return s, nil
}

func (b *board) Search(s boardState, ctx *live.Context) (boardState, error) {
	s.Query = ctx.GetString("q")
	return s, nil
}

func (b *board) Say(s boardState, ctx *live.Context) (boardState, error) {
	if ctx.GetString("text") == "" {
		return s, errors.New("nothing said")
	}
	s.Said = append(s.Said, ctx.GetString("text"))
	ctx.SetFlash("info", "said")
	return s, nil
}

func (b *board) Ask(s boardState, ctx *live.Context) (boardState, error) {
	return s, ctx.Session().TriggerAction("Pushed", map[string]any{"value": ctx.GetString("for")})
}

func (b *board) Pushed(s boardState, ctx *live.Context) (boardState, error) {
	s.Pushed = ctx.GetString("value")
	return s, nil
}

const boardPage = `{{define "title"}}{{.Count}} counted{{end}}
<output id="count">{{.Count}}</output> <button id="add" live-click="Add" live-value-by="2">+</button>
<input id="q" name="q" live-input="Search"> <p id="found">You look for {{.Query}}.</p>
<form method="post"><input name="text" id="text"><button name="live-action" value="Say">Say</button></form>
<ul>{{range .Said}}<li>{{.}}</li>{{end}}</ul>
<button id="ask" live-disable live-click="Ask" live-value-for="far">ask</button>{{with .Pushed}}<p id="pushed" live-hook="Note">{{.}}</p>{{end}}`

// node is a web process with the board at its root.
type node struct {
	addr string
	stop func()
}

// startNode serves the board at addr from the store that all nodes share.
func startNode(t *testing.T, store *mempush.Transport, addr string) *node {
	t.Helper()
	return startServing(t, store, addr, func(hub *live.Hub) (http.Handler, error) {
		return live.NewView(hub, "board", &board{}, boardState{}, template.Must(template.New("board").Parse(boardPage)), live.ViewConfig{})
	})
}

// startServing serves a view at addr from the store that all nodes share. Its
// stop drains it as a deploy does.
func startServing(t *testing.T, store *mempush.Transport, addr string, newView func(*live.Hub) (http.Handler, error)) *node {
	t.Helper()
	return startConfigured(t, store, addr, live.Config{}, newView)
}

// startConfigured is startServing for a hub with settings.
func startConfigured(t *testing.T, store *mempush.Transport, addr string, cfg live.Config, newView func(*live.Hub) (http.Handler, error)) *node {
	t.Helper()
	cfg.Secret = []byte(strings.Repeat("a secret of all nodes, ", 2))
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	inner, err := push.NewNode(store, push.NodeConfig{})
	must(err)
	publisher, err := push.NewPublisher(store, push.PublisherConfig{})
	must(err)
	hub, err := live.New(live.Deps{Node: inner, Publisher: publisher, States: store, Broker: store}, cfg)
	must(err)
	view, err := newView(hub)
	must(err)
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", addr)
	must(err)
	srv := &http.Server{Handler: view, ReadHeaderTimeout: time.Minute}
	nodeCtx, stopNode := context.WithCancel(context.WithoutCancel(t.Context()))
	hubCtx, stopHub := context.WithCancel(nodeCtx)
	nodeDone, hubDone, httpDone := make(chan error, 1), make(chan error, 1), make(chan error, 1)
	go func() { nodeDone <- inner.Run(nodeCtx) }()
	go func() { hubDone <- hub.Run(hubCtx) }()
	go func() { httpDone <- srv.Serve(ln) }()
	stopped := false
	n := &node{addr: ln.Addr().String(), stop: func() {
		if stopped {
			return
		}
		stopped = true
		stopHub()
		_ = srv.Close() // new tries find nobody
		if err := errors.Join(<-hubDone, ignoreClosed(<-httpDone)); err != nil {
			t.Errorf("stop: %v", err)
		}
		stopNode()
		if err := <-nodeDone; err != nil {
			t.Errorf("stop node: %v", err)
		}
	}}
	t.Cleanup(n.stop)
	return n
}

func ignoreClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// TestBrowserRealServer runs the client against the real handler of a view, and
// moves it from one node to the next.
func TestBrowserRealServer(t *testing.T) {
	t.Parallel()
	store, err := mempush.New(mempush.Config{})
	if err != nil {
		t.Fatal(err)
	}
	first := startNode(t, store, "127.0.0.1:0")
	ctx := browser.New(t)
	// What the server says is kept from before the page's first script on.
	listen := page.AddScriptToEvaluateOnNewDocumentParams{Source: `window.heard = [];
		window.WebSocket = class extends WebSocket {
			constructor(...args) { super(...args); this.addEventListener("message", (e) => heard.push(e.data)) }
		}`}
	if _, err := chromedp.Call(ctx, page.AddScriptToEvaluateOnNewDocument, listen); err != nil {
		t.Fatal(err)
	}
	browser.Do(ctx, t, chromedp.Navigate("http://"+first.addr))
	browser.WaitFor(ctx, t, `window.live?.connected`)
	join := browser.Eval[string](ctx, t, `heard[0]`)
	t.Logf("report: first frame of a page that is current: %d B", len(join))
	if want := `{"v":1,"s":1}`; join != want {
		t.Errorf("the server's first frame is %s, want %s: the page is as the server left it, and its token is young", join, want)
	}
	text := func(selector, want string) {
		t.Helper()
		browser.WaitFor(ctx, t, `document.querySelector("`+selector+`")?.textContent === "`+want+`"`)
	}
	browser.Do(ctx, t, chromedp.Evaluate[chromedp.Void](`window.same = document.querySelector("#q"); window.errors = [];
		live.on("live:error", (e) => errors.push(e.code));
		window.notes = [];
		live.hook("Note", {
			mounted: (el) => notes.push("+" + el.textContent),
			updated: (el) => notes.push("=" + el.textContent),
			destroyed: (el) => notes.push("-" + el.textContent),
		})`))

	browser.Do(ctx, t, chromedp.Click("#add"), chromedp.Click("#add"))
	text("#count", "4")
	browser.WaitFor(ctx, t, `document.title === "4 counted"`)
	browser.Do(ctx, t, chromedp.SendKeys("#text", "one <b>"), chromedp.Click("form button"))
	text("li", "one <b>")
	text(".live-flash-info", "said")
	// Three clicks at once are one: the page has loaded what live-disable needs.
	browser.WaitFor(ctx, t, `performance.getEntriesByType("resource").some((r) => r.name.includes("_live=disable.") && r.responseEnd)`)
	browser.Do(ctx, t, chromedp.Evaluate[chromedp.Void](`ask.click(); ask.click(); ask.click()`))
	text("#pushed", "far")
	browser.WaitFor(ctx, t, `!ask.disabled`)
	browser.Do(ctx, t, chromedp.Evaluate[chromedp.Void](`live.push("Ask", {for: "farther"})`))
	text("#pushed", "farther")
	browser.Do(ctx, t, chromedp.Evaluate[chromedp.Void](`live.push("Ask")`))
	browser.WaitFor(ctx, t, `notes.join() === "+far,=farther,-farther"`)
	browser.Do(ctx, t, chromedp.SendKeys("#q", "abc"))
	text("#found", "You look for abc.")

	first.stop()
	browser.WaitFor(ctx, t, `!live.connected`)
	browser.Do(ctx, t, chromedp.Click("#add")) // waits for a connection
	startNode(t, store, first.addr)
	text("#count", "6")
	browser.WaitFor(ctx, t, `!document.querySelector("#add").matches(".live-pending")`)
	for _, same := range []string{
		`window.same === document.querySelector("#q")`, `document.querySelector("#q").value === "abc"`,
		`document.querySelector("li").textContent === "one <b>"`, `!errors.length`,
	} {
		if !browser.Eval[bool](ctx, t, same) {
			t.Errorf("after the move %s is not true; errors: %s", same, browser.Eval[string](ctx, t, `errors.join()`))
		}
	}
	browser.Do(ctx, t, chromedp.Evaluate[chromedp.Void](`document.querySelector("#text").value = ""`), chromedp.Click("form button"))
	browser.WaitFor(ctx, t, `errors.join() === "error"`)
	browser.WaitFor(ctx, t, `document.querySelector(".live-flash-error")`)
}
