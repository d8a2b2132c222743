package e2e_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"lastmile/internal/browser"
	"lastmile/internal/e2e/harness"
	"lastmile/internal/patience"
)

// TestPushesPassProxies: Debian's proxies, as packaged and as people set them up,
// pass each push on while the stream is open, and a live page works behind each of
// them, also where no WebSocket passes.
func TestPushesPassProxies(t *testing.T) {
	t.Parallel()
	addr := harness.FreeAddr(t)
	harness.Start(t, harness.Spec{Name: "web", Path: binaries.Web(t), Args: []string{"--demo"}, Env: []string{"LASTMILE_ADDR=" + addr}})
	patience.Until(t, "the program", func() bool {
		status, _, err := get(t.Context(), newVisitor(t), "http://"+addr+"/readyz")
		return err == nil && status == http.StatusOK
	})
	first := browser.New(t)
	for kind := range proxyKinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			front := "http://" + startProxy(t, kind, addr)
			readStream(t, front)
			useBoard(browser.Isolated(first, t), t, front, kind)
		})
	}
}

// readStream reads two pushes from one answer: a proxy that holds back what is small
// would keep the first one until the answer's end.
func readStream(t *testing.T, front string) {
	t.Helper()
	visitor := newVisitor(t)
	_, page, err := get(t.Context(), visitor, front+"/plain")
	if err != nil {
		t.Fatal(err)
	}
	cursor := regexp.MustCompile(`data-cursor="([^"]+)"`).FindStringSubmatch(page)
	if cursor == nil {
		t.Fatalf("the page has no cursor: %s", page)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, front+"/push/events?actions=PlainSaid&after="+cursor[1], nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "text/event-stream")
	res, err := visitor.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	lines := make(chan string)
	go func() {
		defer close(lines)
		for scan := bufio.NewScanner(res.Body); scan.Scan(); {
			if text, ok := strings.CutPrefix(scan.Text(), "data: "); ok {
				lines <- text
			}
		}
	}()
	for _, text := range []string{"one", "two"} {
		post(t, visitor, front+"/plain", url.Values{"text": {text}})
		if got := patience.Receive(t, "the push of "+text, lines); got != fmt.Sprintf(`{"text":%q}`, text) {
			t.Errorf("got %q, want %s", got, text)
		}
	}
	_ = res.Body.Close()
	for range lines { // until the reader has seen the end
	}
}

// useBoard posts on a page whose posts come to all by a topic: the page stays the
// same document.
func useBoard(tab context.Context, t *testing.T, front, kind string) {
	t.Helper()
	browser.Do(tab, t, chromedp.Navigate(front+"/board"))
	browser.WaitFor(tab, t, `window.live?.connected && (window.same = true)`)
	for _, text := range []string{"first by " + kind, "second by " + kind} {
		browser.Do(tab, t, chromedp.SendKeys("#text", text+"\r"))
		browser.WaitFor(tab, t, fmt.Sprintf(`window.same && [...document.querySelectorAll("li p")].filter((p) => p.textContent === %q).length === 1`, text))
		browser.WaitFor(tab, t, `document.querySelector("#text").value === ""`)
	}
}
