package clientbrowser_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"lastmile/internal/browser"
	"lastmile/push/mempush"
)

// way is a proxy in front of nodes, which take the requests in turn, and what it
// does to WebSockets.
type way struct {
	*httptest.Server
	closing chan struct{}

	mu    sync.Mutex
	nodes []string
	next  int
	// refuse answers an upgrade; nil lets it pass.
	refuse func(*way, http.ResponseWriter, *http.Request) bool
}

func newWay(t *testing.T, nodes ...string) *way {
	t.Helper()
	w := &way{nodes: nodes, closing: make(chan struct{})}
	w.Server = httptest.NewServer(http.HandlerFunc(w.serve))
	t.Cleanup(func() {
		close(w.closing)
		w.CloseClientConnections()
		w.Close()
	})
	return w
}

func (w *way) serve(out http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	node := w.nodes[w.next%len(w.nodes)]
	w.next++
	refuse := w.refuse
	w.mu.Unlock()
	if r.Header.Get("Upgrade") != "" && refuse != nil && refuse(w, out, r) {
		return
	}
	proxy := &httputil.ReverseProxy{
		Rewrite:      func(p *httputil.ProxyRequest) { p.Out.URL.Scheme, p.Out.URL.Host, p.Out.Host = "http", node, p.In.Host },
		ErrorHandler: func(out http.ResponseWriter, _ *http.Request, _ error) { out.WriteHeader(http.StatusBadGateway) },
	}
	defer func() { _ = recover() }() // the proxy gives up a stream whose node is gone
	proxy.ServeHTTP(out, r)
}

// set changes what happens to WebSockets to come, and the nodes.
func (w *way) set(refuse func(*way, http.ResponseWriter, *http.Request) bool, nodes ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refuse = refuse
	if len(nodes) > 0 {
		w.nodes = nodes
	}
}

func answers(status int) func(*way, http.ResponseWriter, *http.Request) bool {
	return func(_ *way, out http.ResponseWriter, _ *http.Request) bool {
		out.WriteHeader(status)
		return true
	}
}

// strips drops the header of the upgrade, so the node sends its page.
func strips(_ *way, _ http.ResponseWriter, r *http.Request) bool {
	for name := range r.Header {
		if name == "Upgrade" || name == "Connection" || strings.HasPrefix(name, "Sec-Websocket") {
			r.Header.Del(name)
		}
	}
	return false
}

// silent takes the request and never answers.
func silent(w *way, _ http.ResponseWriter, r *http.Request) bool {
	select {
	case <-r.Context().Done():
	case <-w.closing:
	}
	return true
}

// swallows has the node take the WebSocket and keeps its answer.
func swallows(w *way, _ http.ResponseWriter, r *http.Request) bool {
	proxy := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host, p.Out.Host = "http", w.nodes[0], p.In.Host
		},
		ModifyResponse: func(*http.Response) error {
			silent(w, nil, r)
			return http.ErrAbortHandler
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) {},
	}
	proxy.ServeHTTP(httptest.NewRecorder(), r)
	return true
}

// tries counts the WebSockets that a page makes, and the lanes that it opens.
const tries = `window.sockets = 0; window.lanes = 0; window.open_ = [];
	window.WebSocket = class extends WebSocket { constructor(...a) { super(...a); sockets++; open_.push(this) } };
	{ const real = fetch; window.fetch = (u, o) => { if (/_live=lane$/.test(u)) lanes++; return real(u, o) } }`

// TestBrowserWithoutWebSockets runs a page behind proxies that let no WebSocket
// through, each in its way, in front of two nodes that take its requests in turn.
func TestBrowserWithoutWebSockets(t *testing.T) {
	t.Parallel()
	store, err := mempush.New(mempush.Config{})
	if err != nil {
		t.Fatal(err)
	}
	one, two := startNode(t, store, "127.0.0.1:0"), startNode(t, store, "127.0.0.1:0")
	ctx := browser.New(t)
	for name, c := range map[string]struct {
		refuse func(*way, http.ResponseWriter, *http.Request) bool
		// sockets bounds the tries before the lane: each silence lasts for seconds.
		sockets int
	}{
		"400":     {answers(http.StatusBadRequest), 12},
		"403":     {answers(http.StatusForbidden), 12},
		"502":     {answers(http.StatusBadGateway), 12},
		"strips":  {strips, 12},
		"silent":  {silent, 2},
		"swallow": {swallows, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWay(t, one.addr, two.addr)
			w.set(c.refuse)
			p := &tab{t: t, ctx: browser.Isolated(ctx, t)}
			p.before(tries)
			p.do(chromedp.Navigate(w.URL))
			p.wait(`window.live?.connected`)
			if got := browser.Eval[int](p.ctx, t, `sockets`); got > c.sockets {
				t.Errorf("%d WebSockets before there was a lane, want at most %d", got, c.sockets)
			}
			p.everything()
		})
	}
}

// before runs a script in each document before its own.
func (p *tab) before(script string) {
	p.t.Helper()
	params := page.AddScriptToEvaluateOnNewDocumentParams{Source: script}
	if _, err := chromedp.Call(p.ctx, page.AddScriptToEvaluateOnNewDocument, params); err != nil {
		p.t.Fatal(err)
	}
}

// everything uses all that a connection carries.
func (p *tab) everything() {
	p.t.Helper()
	text := func(selector, want string) {
		p.t.Helper()
		p.wait(`document.querySelector("` + selector + `")?.textContent === "` + want + `"`)
	}
	p.run(`window.errors = []; live.on("live:error", (e) => errors.push(e.code))`)
	for range 5 {
		p.click("#add")
	}
	text("#count", "10")
	p.run(`for (let i = 0; i < 10; i++) live.push("Add", {by: 1})`) // in one request, or in several
	text("#count", "20")
	p.do(chromedp.SendKeys("#text", "one <b>"), chromedp.Click("form button"))
	text("li", "one <b>")
	p.click("#ask")
	text("#pushed", "far")
	p.do(chromedp.SendKeys("#q", "abc"))
	text("#found", "You look for abc.")
	p.run(`document.querySelector("#text").value = ""`)
	p.click("form button")
	p.wait(`errors.join() === "error"`)
	if browser.Eval[int](p.ctx, p.t, `lanes`) == 0 {
		p.t.Error("no lane was opened: something else carried it")
	}
}

// TestBrowserWayChanges: WebSockets pass, break, and pass again; and the node of a
// lane goes away in the middle.
func TestBrowserWayChanges(t *testing.T) {
	t.Parallel()
	store, err := mempush.New(mempush.Config{})
	if err != nil {
		t.Fatal(err)
	}
	one, two := startNode(t, store, "127.0.0.1:0"), startNode(t, store, "127.0.0.1:0")
	w := newWay(t, one.addr, two.addr)
	p := &tab{t: t, ctx: browser.New(t)}
	p.before(tries)
	p.do(chromedp.Navigate(w.URL))
	clicks := 0
	click := func() {
		p.t.Helper()
		clicks++
		p.click("#add")
		p.wait(`document.querySelector("#count").textContent === "` + strconv.Itoa(2*clicks) + `"`)
	}
	p.wait(`window.live?.connected`)
	click()

	w.set(answers(http.StatusForbidden))
	p.run(`open_.forEach((s) => s.close())`)
	p.wait(`lanes > 0 && live.connected`)
	click()

	w.set(answers(http.StatusForbidden), two.addr)
	one.stop() // perhaps the lane's node
	click()
	p.wait(`live.connected`)
	w.CloseClientConnections() // as a killed node, or the network, does
	click()
	p.wait(`live.connected`)

	w.set(nil)
	p.run(`window.had = sockets; dispatchEvent(new Event("online"))`) // as after a change of network
	p.wait(`open_.at(-1).readyState === 1 && sockets > had + 1 && live.connected`)
	click()
	// From now on it comes back over WebSockets.
	p.run(`open_.forEach((s) => s.close())`)
	p.wait(`open_.at(-1).readyState === 1 && live.connected`)
	click()
}

// TestBrowserFormsBeforeTheFirstConnection are the browser's own.
func TestBrowserFormsBeforeTheFirstConnection(t *testing.T) {
	t.Parallel()
	store, err := mempush.New(mempush.Config{})
	if err != nil {
		t.Fatal(err)
	}
	n := startNode(t, store, "127.0.0.1:0")
	w := newWay(t, n.addr)
	w.set(silent)
	p := &tab{t: t, ctx: browser.New(t)}
	p.before(tries + `; window.fetch = () => new Promise(() => {})`) // and no lane either
	p.do(chromedp.Navigate(w.URL), chromedp.SendKeys("#text", "posted"), chromedp.Click("form button"))
	p.wait(`document.querySelector("#live-flash")?.textContent === "said"`) // by the page that came next
	p.check(`!live.connected`)
}
