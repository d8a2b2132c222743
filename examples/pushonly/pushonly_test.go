// Package pushonly_test compares an application of Asynq and html/template
// (before) with the same whose page hears of its tasks (after), and runs both.
package pushonly_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"lastmile/examples/pushonly/after"
	"lastmile/examples/pushonly/before"
	"lastmile/internal/patience"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lines are those of an application that say something, beside its name.
func lines(t *testing.T, file string) (all []string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		line = strings.Join(strings.Fields(line), " ") // fields that are lined up are no change
		if line != "" && !strings.HasPrefix(line, "package ") && !strings.HasPrefix(line, "//") {
			all = append(all, line)
		}
	}
	return all
}

// TestAtMostFifteenLines: that is what an application adds, imports and changed
// lines included.
func TestAtMostFifteenLines(t *testing.T) {
	t.Parallel()
	rest := lines(t, "before/app.go")
	var added []string
	for _, line := range lines(t, "after/app.go") {
		if i := slices.Index(rest, line); i >= 0 {
			rest = slices.Delete(rest, i, i+1)
		} else {
			added = append(added, line)
		}
	}
	t.Logf("report: push-only adoption: %d lines, at most 15", len(added))
	if len(added) == 0 || len(added) > 15 {
		t.Errorf("%d lines were added, want at most 15:\n%s", len(added), strings.Join(added, "\n"))
	}
}

// serve runs an application until the test ends, and returns its address and a
// browser.
func serve(t *testing.T, run func(context.Context, redis.UniversalClient, net.Listener) error) (string, *http.Client) {
	t.Helper()
	m := miniredis.RunT(t)
	rdb := redis.NewClient(&redis.Options{Addr: m.Addr(), Protocol: 2})
	t.Cleanup(func() { _ = rdb.Close() })
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, rdb, l) }()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	t.Cleanup(func() {
		browser.CloseIdleConnections()
		cancel()
		if err := patience.Receive(t, "the application to end", ended); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return "http://" + l.Addr().String(), browser
}

// order asks for a report, and returns the page that follows.
func order(t *testing.T, browser *http.Client, address string) string {
	t.Helper()
	res, err := browser.PostForm(address+"/reports", url.Values{"name": {"sales"}})
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%d %s, %v", res.StatusCode, text, err)
	}
	return string(text)
}

// TestThePageHears: the report is made while nobody listens, and the event waits
// for the page.
func TestThePageHears(t *testing.T) {
	t.Parallel()
	address, browser := serve(t, after.Run)
	if page := order(t, browser, address); !strings.Contains(page, `new EventSource("/push/events")`) {
		t.Errorf("the page: %s", page)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address+"/push/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	events, err := browser.Do(r) //nolint:bodyclose // it is, below
	if err != nil {
		t.Fatal(err)
	}
	defer events.Body.Close()
	heard := make(chan string, 1)
	go func() {
		text := ""
		for in := bufio.NewScanner(events.Body); in.Scan() && !strings.HasPrefix(in.Text(), "data: "); {
			text = in.Text()
		}
		heard <- text
	}()
	if got := patience.Receive(t, "the event", heard); got != "event: ReportMade" {
		t.Errorf("heard %q", got)
	}
}

// TestTheFormerRuns as it is.
func TestTheFormerRuns(t *testing.T) {
	t.Parallel()
	address, browser := serve(t, before.Run)
	patience.Until(t, "a report", func() bool { return strings.Contains(order(t, browser, address), "<li>sales</li>") })
}
