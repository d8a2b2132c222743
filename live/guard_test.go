package live_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"lastmile/live"
	"lastmile/live/livetest"
	"lastmile/push/mempush"
)

// vault is a page for those alone whom its guard lets in. It counts what it does.
type vault struct {
	open, byURL  atomic.Bool // by OnURL in place of Mount
	acted, links atomic.Int64
}

type secrets struct {
	N    int
	Rows []string `live:"load"`
}

const vaultHTML = `<p>{{.N}}{{range .Rows}} {{.}}{{end}}</p>`

func (v *vault) guard(s secrets, ctx *live.Context) (secrets, error) {
	if v.open.Load() {
		return s, nil
	}
	return s, ctx.Redirect("/sign-in")
}

func (v *vault) Mount(s secrets, ctx *live.Context) (secrets, error) {
	if v.byURL.Load() {
		return s, nil
	}
	return v.guard(s, ctx)
}

func (v *vault) OnURL(s secrets, ctx *live.Context) (secrets, error) {
	if !v.byURL.Load() {
		return s, nil
	}
	return v.guard(s, ctx)
}

func (v *vault) OnLoad(s secrets, _ *live.Context) (secrets, error) {
	s.Rows = []string{"the secret"}
	return s, nil
}

func (v *vault) OnConnect(s secrets, _ *live.Context) (secrets, error) {
	v.links.Add(1)
	return s, nil
}

func (v *vault) Act(s secrets, _ *live.Context) (secrets, error) {
	v.acted.Add(1)
	s.N++
	return s, nil
}

// Told is what is pushed to the session.
func (v *vault) Told(s secrets, _ *live.Context) (secrets, error) {
	s.N++
	return s, nil
}

// visit is somebody who comes to a guarded page.
type visit struct {
	t *testing.T
	s store
	b *livetest.Browser
	h http.Handler
	v *vault
}

// invited returns a page from while the visitor was let in.
func (g visit) invited(h http.Handler) *livetest.Page {
	g.t.Helper()
	g.v.open.Store(true)
	defer g.v.open.Store(false)
	return g.b.Load(h, "/")
}

// returns connects a page that can do nothing but mount anew, and tells where that
// leads.
func (g visit) returns(p *livetest.Page) string {
	g.t.Helper()
	p.Connect(g.h)
	return p.State().Location
}

// ways are those by which somebody may come to a page. Each returns all that the
// server has said.
func ways() map[string]func(visit) string {
	const late = 2 * time.Hour // behind Config.FirstTTL
	told := func(d *livetest.Document) string { return d.HTML + d.Header.Get("Location") }
	return map[string]func(visit) string{
		"GET":                       func(g visit) string { return told(g.b.Peek(g.h, "/")) },
		"a form without JavaScript": func(g visit) string { return told(g.b.Post(g.h, "/", url.Values{"live-action": {"Act"}})) },
		"a WebSocket by hand":       func(g visit) string { return byHand(g, "") },
		"a WebSocket by hand, with the token of a page whose record is gone": func(g visit) string {
			token := dataOf(g.invited(g.h).HTML()).Token
			time.Sleep(late)
			return byHand(g, token)
		},
		"a lane by hand": func(g visit) string {
			r := httptest.NewRequestWithContext(g.t.Context(), http.MethodPost, "http://live.test/?_live=lane", strings.NewReader(`{"v":1,"t":"","q":1,"i":1}`))
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Origin", "http://live.test")
			_, body := g.b.Do(g.h, r) //nolint:bodyclose // Do has read and closed it
			return body
		},
		"a page that comes back too late": func(g visit) string {
			p := g.invited(g.h)
			time.Sleep(late)
			return g.returns(p)
		},
		"a page that comes back too late, by a lane": func(g visit) string {
			g.b.WithoutWebSockets(g.h)
			p := g.invited(g.h)
			time.Sleep(late)
			return g.returns(p)
		},
		"a page of an earlier version, whose state cannot be read": func(g visit) string {
			return g.returns(g.invited(view(g.t, startNode(g.t, g.s, live.Config{}), struct{}{}, struct{ N string }{}, `<p>{{.N}}</p>`)))
		},
	}
}

// byHand opens a WebSocket, says hello, acts, and returns all that it is told.
func byHand(g visit, token string) string {
	t := g.t
	t.Helper()
	ws := dialWith(t, g.b, g.h, token, "")
	go func() { // the pipe below takes nothing while nobody reads
		_ = ws.Write(t.Context(), websocket.MessageText, []byte(`{"i":1,"a":"Act"}`)) // it may be over
	}()
	var said strings.Builder
	for {
		_, text, err := ws.Read(t.Context())
		if code := websocket.CloseStatus(err); code != -1 && code != closeIdentity {
			t.Errorf("closed with %d, want %d", code, closeIdentity)
		}
		if err != nil {
			return said.String() + ", closed with " + strconv.Itoa(int(websocket.CloseStatus(err)))
		}
		said.Write(text)
	}
}

// TestMountGuardsThePage: whom Mount, or OnURL behind it, sends elsewhere gets
// nothing of the page and cannot act on it, whichever way he comes, and what is
// meant for the session waits for a page that is shown.
func TestMountGuardsThePage(t *testing.T) {
	t.Parallel()
	for name, come := range ways() {
		for _, hook := range []string{"Mount", "OnURL"} {
			t.Run(name+"/"+hook, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					v := &vault{}
					v.byURL.Store(hook == "OnURL")
					s := memStore(t)
					n := startNode(t, s, live.Config{})
					h := view(t, n, v, secrets{}, vaultHTML)
					g := visit{t, s, livetest.NewBrowser(t), h, v}
					v.open.Store(true)
					p := g.b.Open(h, "/")
					p.Drop()
					v.open.Store(false)
					trigger(t, sessionOf(t, n, g.b), "Told", nil)
					links := v.links.Load()

					said := come(g)
					if strings.Contains(said, "secret") || !strings.Contains(said, "/sign-in") && !strings.Contains(said, "4004") {
						t.Errorf("he was told %q", said)
					}
					if v.acted.Load() != 0 || v.links.Load() != links {
						t.Errorf("acted %d times, connected %d times", v.acted.Load(), v.links.Load()-links)
					}
					v.open.Store(true)
					g.b.Open(h, "/").WaitText("1 the secret")
				})
			})
		}
	}
}

// TestMountGuardsAnOpenPage: one that has to mount anew while it is connected ends
// too.
func TestMountGuardsAnOpenPage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, err := mempush.New(mempush.Config{})
		if err != nil {
			t.Fatal(err)
		}
		v := &vault{}
		h := view(t, startNode(t, s, live.Config{}), v, secrets{}, vaultHTML)
		v.open.Store(true)
		p := livetest.Open(t, h, "/")
		v.open.Store(false)
		frames := p.State().Frames
		s.Flush() // another epoch: it mounts anew
		p.Wait("the end", func() bool { return p.State().Closed == closeIdentity })
		if got := p.State().Frames; got != frames {
			t.Errorf("%d frames behind it, want none", got-frames)
		}
	})
}

// careless sends visitors elsewhere where only fields are loaded.
type careless struct{ vault }

func (c *careless) Mount(s secrets, _ *live.Context) (secrets, error) { return s, nil }
func (c *careless) OnURL(s secrets, _ *live.Context) (secrets, error) { return s, nil }

func (c *careless) OnLoad(s secrets, ctx *live.Context) (secrets, error) {
	s, err := c.vault.OnLoad(s, ctx)
	if err == nil && !c.open.Load() {
		err = ctx.Redirect("/sign-in")
	}
	return s, err
}

// TestOnLoadSendsNobodyElsewhere: it runs any number of times. That it tries to
// refuses the page, on the socket too.
func TestOnLoadSendsNobodyElsewhere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &careless{}
		h := view(t, startNode(t, memStore(t), live.Config{}), c, secrets{}, vaultHTML)
		b := livetest.NewBrowser(t)
		if d := b.Peek(h, "/"); d.Status != http.StatusInternalServerError || strings.Contains(d.HTML, "secret") {
			t.Errorf("GET: status %d, %q", d.Status, d.HTML)
		}
		_, _, err := dialWith(t, b, h, "", "").Read(t.Context())
		if got := websocket.CloseStatus(err); got != websocket.StatusInternalError {
			t.Errorf("WebSocket: %v, want it closed with 1011", err)
		}
	})
}
