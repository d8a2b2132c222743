package clientbrowser_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/coder/websocket"

	"lastmile/internal/browser"
	"lastmile/internal/patience"
)

// refuse has WebSockets answered with a status, and the page by a handler; nil
// lets both be as they were.
func (s *server) refuse(status int, page http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusal, s.instead = status, page
}

func (s *server) refusing() (status int, page http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refusal, s.instead
}

// asked waits until the page's address has been asked for more than before.
func (p *tab) asked(before int) {
	p.t.Helper()
	patience.Until(p.t, "the client asks the page's address", func() bool { return p.count("GET /page") > before })
}

// says answers with a status and a text.
func says(status int, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		fmt.Fprint(w, text)
	}
}

func toSignIn(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, "/other", http.StatusSeeOther)
}

// late makes the client's next try come when the test is over.
const late = `Math.random = () => 1e5`

// TestBrowserRefused: the connection is lost, and from then on WebSockets are
// refused. What the page's own address says decides what the user sees.
func TestBrowserRefused(t *testing.T) {
	t.Parallel()
	ctx := browser.New(t)
	for name, tc := range map[string]struct {
		upgrade int
		page    http.HandlerFunc // nil: as before
		shows   string           // "": the page stays
	}{
		"401, and sent to sign in":          {401, toSignIn, "other"},
		"303 to sign in":                    {303, toSignIn, "other"},
		"401 for both":                      {401, says(401, "who are you?"), "who are you?"},
		"403 for both":                      {403, says(403, "not you"), "not you"},
		"404 for both":                      {404, says(404, "no such page"), "no such page"},
		"410 for both":                      {410, says(410, "closed"), "closed"},
		"401, and a form of the same name":  {401, says(200, "sign in here"), "sign in here"},
		"503 for both":                      {503, says(503, "busy"), ""},
		"502 of a proxy":                    {502, says(502, "bad gateway"), ""},
		"429 for both":                      {429, says(429, "slowly"), ""},
		"WebSockets alone, by a proxy":      {403, nil, ""},
		"WebSockets alone, their header":    {400, nil, ""},
		"503 for WebSockets, no room there": {503, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := &tab{t: t, ctx: browser.Isolated(ctx, t)}
			p.visit(`<input id="i" name="i">`)
			c := p.join()
			p.run(`window.mark = 1; $('#i').value = "typed"`)
			loads := p.count("GET /page")
			p.refuse(tc.upgrade, tc.page)
			c.closeWith(1011, "")
			if tc.shows != "" {
				p.wait(`document.body.textContent.includes("` + tc.shows + `")`)
				return
			}
			p.asked(loads)
			p.refuse(0, nil)
			c = p.join()
			c.acked(1)
			p.check(`window.mark && $("#i").value === "typed"`)
		})
	}
}

// TestBrowserToldToLoadAgain: the server says that the page is another one now.
func TestBrowserToldToLoadAgain(t *testing.T) {
	t.Parallel()
	ctx := browser.New(t)
	for name, code := range map[string]websocket.StatusCode{"session closed": 4002, "identity": 4004} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := &tab{t: t, ctx: browser.Isolated(ctx, t)}
			p.visit("")
			// Each time, however soon: who signs out may sign in again at once.
			for range 3 {
				c := p.join()
				c.acked(1)
				p.run(`window.mark = 1;` + late)
				c.closeWith(code, "")
				p.wait(`!window.mark && document.readyState === "complete"`)
			}
			// A server that has no time for it now is asked again.
			c := p.join()
			c.acked(1)
			p.run(`window.mark = 1`)
			loads := p.count("GET /page")
			p.refuse(503, says(503, "busy"))
			c.closeWith(code, "")
			p.asked(loads)
			p.check(`window.mark`)
			p.refuse(401, toSignIn)
			p.wait(`location.pathname === "/other"`)
		})
	}
}

// TestBrowserNeverLoadsInACircle: a page that is refused as soon as it is loaded,
// though its address serves it, is loaded once.
func TestBrowserNeverLoadsInACircle(t *testing.T) {
	t.Parallel()
	p := &tab{t: t, ctx: browser.New(t)}
	p.server = newServer(t, "")
	p.extra = journal + late
	p.do(chromedp.Navigate(p.url()))
	p.accept().closeWith(4004, "")
	p.accept().closeWith(4004, "") // by the page that was loaded again
	p.wait(`of("live:error").some((e) => e.code === "refused")`)
	if n := p.count("GET /page"); n != 4 { // each load, and each question
		t.Errorf("GET /page %d times, want 4", n)
	}
}
