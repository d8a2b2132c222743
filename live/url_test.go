package live_test

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/live"
	"lastmile/live/livetest"
)

// sheet is a state that its address says.
type sheet struct {
	Page  int
	Clean string
}

const sheetHTML = `<p>page {{.Page}}{{.Clean}}</p><form method="post"><button name="live-action" value="Next">next</button></form>`

// sheets turns pages by the address.
type sheets struct {
	mount, connect string // an address that these patch
}

func (c *sheets) OnURL(s sheet, ctx *live.Context) (sheet, error) {
	q := ctx.Request().Query()
	if s.Clean = ""; q.Has("dirty") {
		s.Clean = " cleaned"
		return s, ctx.PatchURL("?page=7")
	}
	s.Page, _ = strconv.Atoi(q.Get("page"))
	return s, nil
}

func (c *sheets) Mount(s sheet, ctx *live.Context) (sheet, error) {
	if err := ctx.Subscribe("all"); err != nil || c.mount == "" {
		return s, err
	}
	return s, ctx.PatchURL(c.mount)
}

func (c *sheets) OnConnect(s sheet, ctx *live.Context) (sheet, error) {
	if c.connect == "" {
		return s, nil
	}
	return s, ctx.PatchURL(c.connect)
}

func (*sheets) Next(s sheet, ctx *live.Context) (sheet, error) {
	return s, ctx.PatchURL("?page=" + strconv.Itoa(s.Page+1))
}

func (*sheets) Five(s sheet, ctx *live.Context) (sheet, error) {
	return s, ctx.PatchURL("/list?page=5")
}

func (*sheets) Refuse(s sheet, ctx *live.Context) (sheet, error) {
	if err := ctx.PatchURL("?page=9"); err != nil {
		return s, err
	}
	return s, live.UserError{Text: "no"}
}

type sheetTest struct {
	t       *testing.T
	c       *sheets
	node    *node
	v1, v2  *live.View[sheet]
	browser *livetest.Browser
	page    *livetest.Page
}

func newSheetTest(t *testing.T, store store) *sheetTest {
	t.Helper()
	x := &sheetTest{t: t, c: &sheets{}, browser: livetest.NewBrowser(t)}
	cfg := live.Config{ResumeTTL: time.Hour, FirstTTL: time.Hour, Topics: func(live.Identity, string) error { return nil }}
	x.node = startNode(t, store, cfg)
	x.v1, x.v2 = view(t, x.node, x.c, sheet{}, sheetHTML), view(t, startNode(t, store, cfg), x.c, sheet{}, sheetHTML)
	return x
}

func (x *sheetTest) open(path string) { x.page = x.browser.Open(x.v1, path); time.Sleep(time.Minute) }

// sheetCauses have the address patched to page 5, whatever runs.
func sheetCauses() map[string]func(x *sheetTest) {
	push := func(x *sheetTest) { trigger(x.t, sessionOf(x.t, x.node, x.browser), "Five", nil) }
	return map[string]func(x *sheetTest){
		"click": func(x *sheetTest) { x.open("/list?page=1"); x.page.Send("Five", nil) },
		"push":  func(x *sheetTest) { x.open("/list?page=1"); push(x) },
		"topic": func(x *sheetTest) {
			x.open("/list?page=1")
			if err := x.node.hub.Publish(x.t.Context(), "all", "Five", nil); err != nil {
				x.t.Error(err)
			}
		},
		"a push while it is away": func(x *sheetTest) {
			x.open("/list?page=1")
			x.page.Drop()
			push(x)
			x.page.Connect(x.v2)
		},
		"the frame is lost": func(x *sheetTest) {
			x.open("/list?page=1")
			x.page.Send("Five", nil)
			x.page.Drop()
			time.Sleep(time.Minute)
			x.page.Connect(x.v2)
		},
		"backlog of a first page":     func(x *sheetTest) { x.browser.Peek(x.v1, "/list"); push(x); x.open("/list?page=1") },
		"Mount of a first page":       func(x *sheetTest) { x.c.mount = "?page=5"; x.open("/list?page=1") },
		"OnConnect":                   func(x *sheetTest) { x.c.connect = "?page=5"; x.open("/list?page=1") },
		"form without JavaScript":     func(x *sheetTest) { post(x, "/list?page=1", "Five") },
		"form, and a push that waits": func(x *sheetTest) { x.browser.Peek(x.v1, "/list"); push(x); post(x, "/list?page=1", "Next") },
		"Mount over the WebSocket": func(x *sheetTest) {
			x.open("/list?page=1")
			x.page.Drop()
			time.Sleep(2 * time.Hour)
			x.c.mount = "?page=5"
			x.page.Connect(x.v2)
		},
		"one behind another": func(x *sheetTest) {
			x.open("/list?page=3")
			x.page.Click("Next", nil)
			x.page.Click("Next", nil)
		},
		"pushes behind a click": func(x *sheetTest) {
			x.open("/list?page=3")
			x.page.Click("Next", nil)
			x.page.Drop()
			for range 2 {
				push(x)
			}
			x.page.Connect(x.v2)
		},
		"a link that somebody shares": func(x *sheetTest) { x.open("/list?page=5") },
		"back":                        func(x *sheetTest) { x.open("/list?page=5"); x.page.Click("Next", nil); x.page.Back() },
		"back, mounted anew": func(x *sheetTest) {
			x.open("/list?page=4")
			x.page.Click("Next", nil)
			x.page.Drop()
			time.Sleep(2 * time.Hour)
			x.page.Connect(x.v2)
		},
		"forward": func(x *sheetTest) {
			x.open("/list?page=3")
			x.page.Click("Next", nil)
			x.page.Click("Next", nil)
			x.page.Back()
			x.page.Back()
			x.page.Forward()
			x.page.Forward()
		},
	}
}

// post posts a form without JavaScript and opens the page that it is sent to.
func post(x *sheetTest, path, action string) {
	x.t.Helper()
	r, err := http.NewRequestWithContext(x.t.Context(), http.MethodPost, "http://live.test"+path, strings.NewReader("live-action="+action))
	if err != nil {
		x.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, body := x.browser.Do(x.v1, r) //nolint:bodyclose // Do closes it
	if res.StatusCode != http.StatusSeeOther {
		x.t.Fatalf("POST: %d %s", res.StatusCode, body)
	}
	x.open(res.Header.Get("Location"))
}

// TestPatchURL: whatever patches the address, the page shows what a stranger sees
// who opens it, and goes on doing so after a reconnect.
func TestPatchURL(t *testing.T) {
	t.Parallel()
	for name, cause := range sheetCauses() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onBoth(t, func(e env) {
				x := newSheetTest(e.t, e.store)
				cause(x)
				for _, when := range []string{"then", "after a reconnect", "after another one"} {
					time.Sleep(time.Minute)
					if got := x.page.Address() + " " + x.page.Text(); got != "/list?page=5 page 5 next" {
						e.t.Errorf("%s: %q, want page 5", when, got)
					}
					x.page.Reconnect(x.v2)
				}
				if code := x.page.State().Errors; len(code) > 0 {
					e.t.Errorf("errors: %+v", code)
				}
				if got := livetest.NewBrowser(e.t).Get(x.v2, x.page.Address()).Text(); !strings.Contains(got, "page 5") {
					e.t.Errorf("a stranger sees %q", got)
				}
			})
		})
	}
}

// TestPatchURLFromOnURL: an address is tidied up without an entry more.
func TestPatchURLFromOnURL(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := newSheetTest(t, memStore(t))
		if d := x.browser.Peek(x.v1, "/list?dirty=1"); d.Status != http.StatusSeeOther || d.Header.Get("Location") != "/list?page=7" {
			t.Errorf("%d to %q, want a redirect to page 7", d.Status, d.Header.Get("Location"))
		}
		x.open("/list?page=1")
		x.page.Send("OnURL", map[string]any{"u": "?dirty=1"})
		time.Sleep(time.Minute)
		if got := x.page.Address() + " " + x.page.Text(); got != "/list?page=7 page 1 cleaned next" {
			t.Errorf("%q", got)
		}
	})
}

// TestPatchURLOfAnInputThatIsRefused: the page stays where it is.
func TestPatchURLOfAnInputThatIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := newSheetTest(t, memStore(t))
		x.open("/list?page=1")
		if err := x.page.Try("Refuse", nil); err == nil || x.page.Address() != "/list?page=1" {
			t.Errorf("%v at %s", err, x.page.Address())
		}
		if d := x.browser.Post(x.v1, "/list?page=1", url.Values{"live-action": {"Refuse"}}); d.Status != http.StatusUnprocessableEntity {
			t.Errorf("the form: %d", d.Status)
		}
	})
}
