package e2e_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"lastmile/internal/e2e/harness"
	"lastmile/internal/e2e/testapp"
	"lastmile/internal/e2e/wsclient"
	"lastmile/internal/patience"
	"lastmile/internal/redistest"
	"lastmile/push"
	"lastmile/push/redisstream"
)

var slowPushes = flag.Int("slow", 1200, "pushes of 4 KiB to the client of TestClientThatNeverReads; from 9,000 on, the most, the node has its usual patience of 10 seconds")

// maxHeapGrowth is what a client that never reads may cost its node.
const maxHeapGrowth = 2 << 20

// TestClientThatNeverReads floods a page whose browser takes nothing off the
// wire any more: it costs its node next to nothing, is cut when the node's
// patience ends, and has everything once it reads again.
func TestClientThatNeverReads(t *testing.T) {
	t.Parallel()
	timeout := 2 * time.Second
	if *slowPushes >= 9_000 {
		timeout = 10 * time.Second
	}
	f := startFlood(t, testapp.Spec{MailboxLen: *slowPushes + 1000, WriteTimeout: timeout})
	const before = 200 // pools and buffers grow with the first load
	end := before + *slowPushes
	f.publish(0, before)
	patience.UntilSaid(t, "the first pushes", func() (bool, string) { return f.shows(before), f.page.Text() })
	weight := f.weigh()
	base, cuts := weight.Heap, weight.Slow // a busy machine may have cut the page once by now

	f.page.Stall(time.Hour)
	began := time.Now()
	var cut time.Duration
	most := 0
	look := func(until int) func() (bool, string) {
		return func() (bool, string) {
			w := f.weigh()
			if w.Slow > cuts && cut == 0 {
				cut = time.Since(began)
			}
			return w.Slow > cuts || w.Applied >= until, fmt.Sprint(w)
		}
	}
	for n := before; n < end; n += 100 {
		f.publish(n, n+100)
		patience.UntilSaid(t, "what was pushed, or the cut", look(n+100))
		if w := f.weigh(); w.Slow == cuts { // nothing is under way: later the page catches up after each cut
			most = max(most, w.Heap-base)
		}
	}
	patience.UntilSaid(t, "the cut", look(math.MaxInt))
	f.page.Stall(0)
	patience.UntilSaid(t, "all pushes", func() (bool, string) { return f.shows(end), fmt.Sprint(f.page.Stats()) })
	most = max(most, f.weigh().Heap-base)
	if cut < timeout {
		t.Errorf("cut after %v, before its %v were over", cut, timeout)
	}
	if most > maxHeapGrowth {
		t.Errorf("the node's heap has grown by %d bytes, want at most %d", most, maxHeapGrowth)
	}
	if n := f.page.Stats().Remounts; n > 0 {
		t.Errorf("the page was mounted anew %d times", n)
	}
	t.Logf("report: %d pushes of 4 KiB to a client that never reads: heap %+d bytes at most, cut %v after the flood began with a timeout of %v, all there once in order after it",
		*slowPushes, most, cut.Round(10*time.Millisecond), timeout)
}

// flood is one web node with one heavy page.
type flood struct {
	t       *testing.T
	addr    string
	page    *wsclient.Page
	session push.Session
}

func startFlood(t *testing.T, spec testapp.Spec) *flood {
	t.Helper()
	redis := redistest.Start(t, redistest.Config{AOF: "everysec"})
	f := &flood{t: t, addr: harness.FreeAddr(t)}
	spec.Mode, spec.Redis, spec.Addr = testapp.Web, redis.Addr(), f.addr
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	harness.Start(t, harness.Spec{Name: "web", Path: self, Env: []string{spec.Env()}})
	patience.UntilSaid(t, "web node", func() (bool, string) {
		_, _, err := get(t.Context(), http.DefaultClient, "http://"+f.addr+"/weights")
		return err == nil, fmt.Sprint(err)
	})
	store, err := redisstream.New(redis.Client(t), redisstream.Config{MailboxLen: spec.MailboxLen})
	if err != nil {
		t.Fatal(err)
	}
	publisher, err := push.NewPublisher(store, push.PublisherConfig{})
	if err != nil {
		t.Fatal(err)
	}
	f.session = publisher.Session(testapp.SessionID(0))
	f.open()
	return f
}

// open opens the page, straight at the node: a proxy would read for it.
func (f *flood) open() {
	f.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		f.t.Fatal(err)
	}
	jar.SetCookies(&url.URL{Scheme: "http", Host: f.addr}, []*http.Cookie{{Name: "session", Value: testapp.SessionID(0)}})
	transport := &http.Transport{DisableKeepAlives: true}
	f.t.Cleanup(transport.CloseIdleConnections)
	f.page, err = wsclient.Open(f.t.Context(), wsclient.Config{Client: &http.Client{Jar: jar, Transport: transport}, URL: "http://" + f.addr + "/heavy"})
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(f.t.Context()))
	var running sync.WaitGroup
	running.Go(func() { f.page.Run(ctx) })
	f.t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	patience.UntilSaid(f.t, "the connection", func() (bool, string) { return f.page.Stats().Connects > 0, "" })
}

// publish pushes the numbers from first to before end.
func (f *flood) publish(first, end int) {
	cargo := strings.Repeat("0123456789abcdef", 4<<10/16)
	for n := first; n < end; n++ {
		patience.UntilSaid(f.t, fmt.Sprintf("push %d", n), func() (bool, string) {
			_, err := f.session.Trigger(f.t.Context(), "Weigh", map[string]any{"token": n, "cargo": cargo}, push.WithID(fmt.Sprint("push-", n)))
			return err == nil, fmt.Sprint(err)
		})
	}
}

// shows tells whether the page has all pushes before end, once and in order.
func (f *flood) shows(end int) bool {
	var want strings.Builder
	for n := range end {
		fmt.Fprintf(&want, "%d,", n)
	}
	log, _, _ := strings.Cut(f.page.Text(), "|")
	return log == want.String()
}

func (f *flood) weigh() (w testapp.Weights) {
	f.t.Helper()
	_, body, err := get(f.t.Context(), http.DefaultClient, "http://"+f.addr+"/weights")
	if err == nil {
		err = json.Unmarshal([]byte(body), &w)
	}
	if err != nil {
		f.t.Errorf("weigh: %v", err)
	}
	return w
}
