package plain_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"
	"go.uber.org/goleak"

	"lastmile/cmd/web/plain"
	"lastmile/cmd/web/ui"
	"lastmile/internal/browser"
	"lastmile/internal/patience"
	"lastmile/push"
	"lastmile/push/mempush"
	"lastmile/push/pushhttp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// site is the pages, whose connections can be cut.
type site struct {
	address   string
	publisher *push.Publisher

	mu    sync.Mutex
	conns []net.Conn
}

// cutter remembers the connections that it accepts.
type cutter struct {
	net.Listener
	s *site
}

func (c cutter) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err == nil {
		c.s.mu.Lock()
		c.s.conns = append(c.s.conns, conn)
		c.s.mu.Unlock()
	}
	return conn, err
}

// cut ends all connections.
func (s *site) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		_ = c.Close() // the browser may have
	}
	s.conns = nil
}

// serve serves the pages until the test ends.
func serve(t *testing.T) *site {
	t.Helper()
	s := &site{}
	store, err := mempush.New(mempush.Config{})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	node, err := push.NewNode(store, push.NodeConfig{Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	publisher, err := push.NewPublisher(store, push.PublisherConfig{Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	readers, err := pushhttp.New(pushhttp.Deps{Node: node}, pushhttp.Config{Secrets: [][]byte{make([]byte, 32)}, RequireActions: true, Render: plain.Render(), Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	look, err := ui.New(log)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/push/", readers)
	look.Register(mux)
	if err := plain.Register(mux, plain.Deps{Readers: readers, Publisher: publisher, UI: look}); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'self'") // as strict as cmd/web's
		mux.ServeHTTP(w, r)
	}))
	server.Listener = cutter{server.Listener, s}
	server.Start()
	s.address, s.publisher = server.URL, publisher
	for _, run := range []func(context.Context) error{node.Run, readers.Run} {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- run(ctx) }()
		t.Cleanup(func() {
			cancel()
			if err := patience.Receive(t, "a clean stop", ended); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(server.Close)
	return s
}

// TestBrowserShowsPushesInAPlainPage: what the form pushes comes by both ways, and
// the page shows how.
func TestBrowserShowsPushesInAPlainPage(t *testing.T) {
	t.Parallel()
	address := serve(t).address
	tab := browser.New(t)
	browser.Quiet(tab, t)
	browser.Do(tab, t, chromedp.Navigate(address+"/plain"))
	browser.WaitFor(tab, t, `document.querySelector("#state").textContent === "open"`)
	for _, text := range []string{"one", "two"} {
		browser.Do(tab, t, chromedp.SendKeys("#text", text+"\r"))
		for _, list := range []string{"#by-eventsource", "#by-pushjs"} {
			browser.WaitFor(tab, t, `document.querySelector("`+list+`").lastChild?.textContent === "`+text+`"`)
		}
	}
	if got := browser.Eval[string](tab, t, `document.querySelector("#by-pushjs").innerText + document.querySelector("#by-eventsource").innerText`); strings.Count(got, "one") != 2 || strings.Count(got, "two") != 2 {
		t.Errorf("the lists: %q", got)
	}
	if got := browser.Eval[string](tab, t, `document.querySelector("main").innerText`); !strings.Contains(got, `new EventSource("/push/events`) || !strings.Contains(got, `import { open } from "/push/push.js"`) {
		t.Errorf("the page does not show its source: %s", got)
	}
}

// TestBrowserFrontEnds: htmx, Turbo, Datastar and React each put every push into
// their page once and in order, also those of the time when all connections were
// cut, and the page shows its source.
func TestBrowserFrontEnds(t *testing.T) {
	t.Parallel()
	for key, shows := range map[string]string{
		"htmx": "hx-sse:connect", "turbo": "<turbo-stream-source", "datastar": "data-on-load", "react": `useLastmile("/push"`,
	} {
		t.Run(key, func(t *testing.T) {
			t.Parallel()
			s := serve(t)
			tab := browser.New(t)
			browser.Quiet(tab, t, "net::ERR_", "network error", "Datastar failed to reach") // connections are cut
			browser.Do(tab, t, chromedp.Navigate(s.address+"/plain/"+key))
			want := ""
			say := func(texts ...string) {
				for _, text := range texts {
					browser.WaitFor(tab, t, `document.querySelector("#text").value === ""`)
					browser.Do(tab, t, chromedp.SendKeys("#text", text+"\r"))
					want += text + " "
					browser.WaitFor(tab, t, `[...document.querySelectorAll("#list li")].map((e) => e.textContent + " ").join("") === "`+want+`"`)
				}
			}
			say("one", "<b>two</b>")
			for round := range 3 {
				s.cut()
				say(fmt.Sprint("cut", round), fmt.Sprint("more", round))
			}
			if got := browser.Eval[string](tab, t, `document.querySelector("main").innerText`); !strings.Contains(got, shows) {
				t.Errorf("the page does not show its source: %s", got)
			}
		})
	}
}
