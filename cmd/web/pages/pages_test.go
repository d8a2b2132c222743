package pages_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/cmd/internal/filestore"
	"lastmile/cmd/web/pages"
	"lastmile/cmd/web/webtest"
	"lastmile/live"
	"lastmile/live/livetest"
)

// start serves the pages in a bubble.
func start(t *testing.T) *webtest.World {
	t.Helper()
	w, group := register(t)
	w.Run()
	livetest.Run(t, group.Run)
	return w
}

func register(t *testing.T) (*webtest.World, *pages.Group) {
	t.Helper()
	w := webtest.New(t, filestore.Config{})
	group := pages.NewGroup()
	err := pages.Register(w.Mux, pages.Deps{
		Hub: w.Hub, Publisher: w.Publisher, UI: w.UI, Group: group, Secret: make([]byte, 32),
		PublicURL: &url.URL{Scheme: "http", Host: "live.test"}, Log: w.Log,
	})
	if err != nil {
		t.Fatal(err)
	}
	return w, group
}

// The program that it all started from: the page is there at once, the data
// when it is.
func TestSlowLoad(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t)
		begun := time.Now()
		p := livetest.Open(t, w.Mux, "/slow")
		if !strings.Contains(p.Text(), "Loading") {
			t.Errorf("first page:\n%s", p.Text())
		}
		p.WaitText("loaded at")
		if took := time.Since(begun); took < 2*time.Second || took > 3*time.Second {
			t.Errorf("the data took %s, want two seconds", took)
		}
	})
}

// The data arrives although the page has gone, without JavaScript too.
func TestSlowLoadOfAClosedPage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t)
		b := livetest.NewBrowser(t)
		b.Open(w.Mux, "/slow").Close()
		time.Sleep(5 * time.Second)
		if page := b.Get(w.Mux, "/slow"); !strings.Contains(page.Text(), "loaded at") {
			t.Errorf("the next page:\n%s", page.Text())
		}
	})
}

func TestTimerInEveryTab(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t)
		b := livetest.NewBrowser(t)
		one, two := b.Open(w.Mux, "/timer"), b.Open(w.Mux, "/timer")
		begun := time.Now()
		one.Click("button[value=Start]", nil)
		two.Wait("the fifth second", func() bool { return two.TextOf(".big") == "5" })
		for _, p := range []*livetest.Page{one, two} {
			p.WaitText("Time’s up")
		}
		if took := time.Since(begun); took < 9*time.Second || took > 12*time.Second {
			t.Errorf("ten seconds took %s", took)
		}
	})
}

func TestTimerStopsAndRingsForTheAbsent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t)
		b := livetest.NewBrowser(t)
		p := b.Open(w.Mux, "/timer")
		p.Click("button[value=Start]", nil)
		p.Wait("a tick", func() bool { return p.TextOf(".big") == "8" })
		p.Click("button[value=Stop]", nil)
		time.Sleep(15 * time.Second)
		if got := p.TextOf(".big"); got != "Ready" {
			t.Errorf("a stopped timer shows %q", got)
		}
		p.Click("button[value=Start]", nil)
		p.Close()
		time.Sleep(15 * time.Second)
		b.Open(w.Mux, "/timer").WaitText("Time’s up")
	})
}

var address = regexp.MustCompile(`http://live\.test/hooks/[\w-]+`)

func call(target, kind, body string, header ...string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, target, strings.NewReader(body))
	r.Header.Set("Content-Type", kind)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

// status is the answer's status; redirects are not followed.
func status(b *livetest.Browser, w *webtest.World, r *http.Request) int {
	res, _ := b.Do(w.Mux, r) //nolint:bodyclose // Do has read it to its end
	return res.StatusCode
}

func TestWebhook(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t)
		b, outside := livetest.NewBrowser(t), livetest.NewBrowser(t)
		p := b.Open(w.Mux, "/webhook")
		hook := address.FindString(p.HTML())
		if hook == "" {
			t.Fatalf("no address in:\n%s", p.HTML())
		}
		for range 3 {
			if got := status(outside, w, call(hook, "application/json", `{"order":42}`, "Idempotency-Key", "order-42")); got != http.StatusAccepted {
				t.Fatalf("got status %d", got)
			}
		}
		p.WaitText(`{"order":42}`)
		if n := strings.Count(p.Text(), `{"order":42}`); n != 1 {
			t.Errorf("a call repeated with its key shows %d times", n)
		}
		if got := status(b, w, call(hook, "application/x-www-form-urlencoded", "text=by+hand")); got != http.StatusSeeOther {
			t.Errorf("a form gets status %d", got)
		}
		p.WaitText("by hand")
		p.Click("button[value=Clear]", nil)
		p.WaitText("No call yet")
	})
}

func TestWebhookRefuses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t)
		outside := livetest.NewBrowser(t)
		hook := address.FindString(livetest.Open(t, w.Mux, "/webhook").HTML())
		for name, tt := range map[string]struct {
			target, body string
			status       int
		}{
			"a forged address":  {hook[:len(hook)-2] + "AA", "{}", http.StatusForbidden},
			"half an address":   {hook[:len(hook)/2], "{}", http.StatusForbidden},
			"no address at all": {"http://live.test/hooks/x", "{}", http.StatusForbidden},
			"a large body":      {hook, strings.Repeat("x", 17<<10), http.StatusRequestEntityTooLarge},
		} {
			if got := status(outside, w, call(tt.target, "text/plain", tt.body)); got != tt.status {
				t.Errorf("%s: got status %d, want %d", name, got, tt.status)
			}
		}
	})
}

// Whatever is called fits: the call into a push, the last ones into the page.
func TestWebhookTakesAwkwardBodies(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		char  string
		calls int
	}{"control characters": {"\x01", 1}, "tags": {"<", 20}, "binary": {"\xff", 1}, "quotes": {`"`, 1}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := start(t)
				outside := livetest.NewBrowser(t)
				p := livetest.Open(t, w.Mux, "/webhook")
				hook := address.FindString(p.HTML())
				for range tt.calls {
					got := status(outside, w, call(hook, "text/"+strings.Repeat("<", 8<<10), strings.Repeat(tt.char, 16<<10)))
					if got != http.StatusAccepted {
						t.Fatalf("got status %d", got)
					}
					time.Sleep(time.Second)
				}
				if got := status(outside, w, call(hook, "text/plain", "the last one")); got != http.StatusAccepted {
					t.Fatalf("got status %d", got)
				}
				p.WaitText("the last one")
			})
		})
	}
}

func TestWebhookExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, _ := register(t) // nothing runs, so that a week costs nothing
		b := livetest.NewBrowser(t)
		hook := address.FindString(b.Get(w.Mux, "/webhook").HTML)
		for _, want := range []int{http.StatusAccepted, http.StatusForbidden} {
			if got := status(b, w, call(hook, "text/plain", "hello")); got != want {
				t.Errorf("at %s: got status %d, want %d", time.Now(), got, want)
			}
			time.Sleep(7*24*time.Hour + time.Second)
		}
	})
}

// A line reaches every tab of everybody, once.
func TestBoard(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t)
		b := livetest.NewBrowser(t)
		tabs := []*livetest.Page{b.Open(w.Mux, "/board"), b.Open(w.Mux, "/board"), livetest.Open(t, w.Mux, "/board")}
		tabs[0].Submit("form", map[string]any{"text": " hello <all> "})
		for i, p := range tabs {
			p.WaitText("hello <all>")
			if n := strings.Count(p.Text(), "hello <all>"); n != 1 {
				t.Errorf("tab %d shows the line %d times", i, n)
			}
		}
		tabs[0].Submit("form", map[string]any{"text": strings.Repeat("x", 281)})
		if strings.Contains(tabs[0].Text(), "xxx") || len(tabs[0].State().Flashes) != 1 {
			t.Errorf("a line of 281 characters is taken:\n%s", tabs[0].Text())
		}
	})
}

func TestTopics(t *testing.T) {
	t.Parallel()
	if err := pages.Topics(live.Identity{}, "board"); err != nil {
		t.Errorf("board: %v", err)
	}
	if err := pages.Topics(live.Identity{}, "other"); err == nil {
		t.Error("other: got no error")
	}
}
