package pushhttp_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"lastmile/internal/browser"
	"lastmile/internal/patience"
	"lastmile/push"
	"lastmile/push/cookie"
	"lastmile/push/mempush"
	"lastmile/push/pushhttp"
)

// pageOf reads in one way and keeps what comes in window.got.
const pageOf = `<!doctype html><link rel="icon" href="data:,"><title>%[1]s</title><script type="module">
window.got = []; window.resets = 0; window.states = [];
window.heard = [];
const take = (action, data, id) => { (action === "Told" ? heard : got).push(data.n); };
if (%[1]q === "EventSource") {
	const s = new EventSource("/push/events?topics=room");
	s.addEventListener("Did", (e) => take("Did", JSON.parse(e.data)));
	s.addEventListener("Told", (e) => take("Told", JSON.parse(e.data)));
	s.addEventListener("reset", () => { resets++; });
} else {
	const { open } = await import("/push/push.js");
	window.connection = open("/push", { topics: ["room"], on: take, reset() { resets++; }, state: (s) => { states.push(s); }, poll: %[1]q === "poll", hidden: "keep", share: %[1]q === "shared" });
}
</script>`

// realSite is a program that Chromium reads, and whose connections can be cut.
type realSite struct {
	url   string
	pub   *push.Publisher
	store push.Transport

	mu      sync.Mutex
	conns   map[net.Conn]bool
	session string
}

func newRealSite(t *testing.T) *realSite {
	t.Helper()
	store, err := mempush.New(mempush.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s := &realSite{store: store, conns: map[net.Conn]bool{}}
	node, err := push.NewNode(store, push.NodeConfig{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	if s.pub, err = push.NewPublisher(store, push.PublisherConfig{Logger: quiet}); err != nil {
		t.Fatal(err)
	}
	sessions, err := cookie.New(cookie.Config{Secrets: [][]byte{secret}})
	if err != nil {
		t.Fatal(err)
	}
	handler, err := pushhttp.New(pushhttp.Deps{Node: node, Broker: store}, pushhttp.Config{
		Secrets: [][]byte{secret}, Authenticator: sessions.Authenticate, AckAfter: 5 * time.Second, Logger: quiet,
		Topics: func(_, topic string) error {
			if topic != "room" {
				return errors.New("not for readers")
			}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/push/", handler)
	mux.HandleFunc("/page/{kind}", func(w http.ResponseWriter, r *http.Request) {
		id := sessions.Session(w, r, "")
		s.mu.Lock()
		s.session = id
		s.mu.Unlock()
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprintf(w, pageOf, r.PathValue("kind")) // the browser has left
	})
	server := httptest.NewUnstartedServer(mux)
	server.Config.ErrorLog = slog.NewLogLogger(quiet.Handler(), slog.LevelError)
	server.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.conns[c] = true
		return ctx
	}
	running(t, node.Run)
	running(t, handler.Run)
	server.Start()
	t.Cleanup(func() { s.cut(); server.Close() })
	s.url = server.URL
	return s
}

// cut breaks all connections.
func (s *realSite) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		_ = c.Close() // that is the fault
	}
	clear(s.conns)
}

// push publishes to the browser's session.
func (s *realSite) push(t *testing.T, from, to int) {
	t.Helper()
	s.mu.Lock()
	session := s.session
	s.mu.Unlock()
	for n := from; n < to; n++ {
		if _, err := s.pub.Session(session).Trigger(t.Context(), "Did", map[string]any{"n": n}); err != nil {
			t.Fatal(err)
		}
	}
}

// tell publishes on the topic that the tabs follow, once more for each time that a
// connection which was just made has missed it.
func (s *realSite) tell(t *testing.T, tabs []context.Context) {
	t.Helper()
	patience.Until(t, "all tabs hear the topic", func() bool {
		if err := s.pub.PublishTopic(t.Context(), "room", "Told", map[string]any{"n": 1}); err != nil {
			t.Fatal(err)
		}
		for _, tab := range tabs {
			if browser.Eval[int](tab, t, `heard.length`) == 0 {
				return false
			}
		}
		return true
	})
}

// drained waits until the session's mailbox is empty.
func (s *realSite) drained(t *testing.T) {
	t.Helper()
	patience.Until(t, "everything is confirmed", func() bool {
		b, err := s.store.Pending(t.Context(), s.session, 0)
		return err == nil && len(b.Entries) == 0
	})
}

// TestBrowserReadsPushes: an EventSource, push.js by streams and by polls, and two
// tabs that share a connection see every push once, in order, while their
// connections are cut, and the mailbox is empty at the end.
func TestBrowserReadsPushes(t *testing.T) {
	t.Parallel()
	first := browser.New(t)
	for _, kind := range []string{"EventSource", "stream", "poll", "shared"} {
		s := newRealSite(t)
		tabs := []context.Context{browser.Isolated(first, t)}
		if kind == "shared" {
			tabs = []context.Context{first, browser.Tab(first, t)}
		}
		for _, tab := range tabs {
			browser.Do(tab, t, chromedp.Navigate(s.url+"/page/"+kind))
			browser.WaitFor(tab, t, `window.got && (document.title !== "shared" || connection.cursor)`) // a tab begins where the pushes stand then
		}
		want := func(n int) string {
			return fmt.Sprintf(`got.length >= %d && got.every((n, i) => n === i) && got.length === %[1]d && !resets`, n)
		}
		for n := 0; n < 60; n += 20 {
			s.push(t, n, n+10)
			s.cut()
			s.push(t, n+10, n+20)
			for _, tab := range tabs {
				browser.WaitFor(tab, t, want(n+20))
			}
		}
		s.drained(t)
		if kind != "poll" { // which follows no topics
			s.tell(t, tabs)
		}
		if kind == "shared" {
			// The one with the connection goes, the other takes it over.
			browser.Do(tabs[0], t, chromedp.Navigate("about:blank"))
			s.push(t, 60, 80)
			browser.WaitFor(tabs[1], t, want(80))
			s.drained(t)
		}
	}
}
