package plain_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
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

// serve serves the page until the test ends.
func serve(t *testing.T) string {
	t.Helper()
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
	readers, err := pushhttp.New(pushhttp.Deps{Node: node}, pushhttp.Config{Secrets: [][]byte{make([]byte, 32)}, RequireActions: true, Logger: log})
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
	server := httptest.NewServer(mux)
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
	return server.URL
}

// TestBrowserShowsPushesInAPlainPage: what the form pushes comes by both ways, and
// the page shows how.
func TestBrowserShowsPushesInAPlainPage(t *testing.T) {
	t.Parallel()
	address := serve(t)
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
