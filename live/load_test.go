package live_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/live"
	"lastmile/live/livetest"
	"lastmile/push"
	"lastmile/push/mempush"
)

// shelf is a state whose rows are loaded.
type shelf struct {
	N      int
	Shared int                 `live:"persist"`
	Rows   []string            `live:"load"`
	Call   func() string       `json:"call" live:"load"`
	By     map[struct{}]string `live:"load"`
}

const shelfHTML = `<p>n={{.N}} shared={{.Shared}} rows={{range .Rows}}{{.}} {{end}}{{if .Call}}called{{end}}</p>`

// shelves loads the rows, and counts that.
type shelves struct {
	mu    sync.Mutex
	loads int
	fails int // loads that are yet to fail
	wrong int // actions that are yet to fail
}

func (c *shelves) set(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

func (c *shelves) counted() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.loads
}

func (c *shelves) OnLoad(s shelf, ctx *live.Context) (shelf, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.loads++
	ctx.SetFlash("info", "nobody sees that")
	if err := ctx.Emit("x", nil); !errors.Is(err, live.ErrEnded) {
		panic("an effect of the hook was taken")
	}
	s.Rows = []string{"secretrow" + strconv.Itoa(s.Shared)}
	s.Call = func() string { return "" }
	s.N, s.Shared = 77, 78 // is not kept
	if c.fails > 0 {
		c.fails--
		return s, errors.New("database away")
	}
	return s, nil
}

func (c *shelves) act(s shelf, add int) (shelf, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(s.Rows) != 1 || s.Call == nil {
		return s, errors.New("the action sees no rows")
	}
	s.N += add
	if c.wrong > 0 {
		c.wrong--
		s.Rows[0] = "spoilt"
		return s, errors.New("not yet")
	}
	s.Rows = []string{s.Rows[0]}
	return s, nil
}

func (c *shelves) Mount(s shelf, ctx *live.Context) (shelf, error) {
	s, err := c.act(s, 0)
	return s, errors.Join(err, ctx.Subscribe("all"))
}

func (c *shelves) OnConnect(s shelf, _ *live.Context) (shelf, error) { return c.act(s, 0) }
func (c *shelves) Add(s shelf, _ *live.Context) (shelf, error)       { return c.act(s, 1) }

func (c *shelves) Share(s shelf, _ *live.Context) (shelf, error) {
	s, err := c.act(s, 1)
	if err == nil {
		s.Shared++
		s.Rows = []string{"secretrow" + strconv.Itoa(s.Shared)}
	}
	return s, err
}

// shelfTest is a connected page on one of two nodes.
type shelfTest struct {
	t       *testing.T
	c       *shelves
	rival   *rivalStates
	node    *node
	v1, v2  *live.View[shelf]
	browser *livetest.Browser
	page    *livetest.Page
}

func newShelfTest(t *testing.T) *shelfTest {
	t.Helper()
	s, err := mempush.New(mempush.Config{})
	if err != nil {
		t.Fatal(err)
	}
	x := &shelfTest{t: t, c: &shelves{}, rival: &rivalStates{store: s}, browser: livetest.NewBrowser(t)}
	shared := struct {
		*rivalStates
		push.Replication
	}{x.rival, s}
	cfg := live.Config{ResumeTTL: time.Hour, FirstTTL: time.Hour, Topics: func(live.Identity, string) error { return nil }}
	x.node = startNode(t, shared, cfg)
	x.v1, x.v2 = view(t, x.node, x.c, shelf{}, shelfHTML), view(t, startNode(t, shared, cfg), x.c, shelf{}, shelfHTML)
	x.page = x.browser.Open(x.v1, "/")
	time.Sleep(time.Minute)
	return x
}

func (x *shelfTest) push(action string) {
	x.t.Helper()
	trigger(x.t, sessionOf(x.t, x.node, x.browser), action, nil)
}

// shelfCauses have something happen that reads the state or changes it, with the
// loads that it takes, one for each state that is made or comes from the store,
// and what the page shows then.
func shelfCauses() map[string]struct {
	do    func(x *shelfTest)
	loads int
	shows string
} {
	type cause = struct {
		do    func(x *shelfTest)
		loads int
		shows string
	}
	post := func(x *shelfTest) { x.browser.Post(x.v1, "/", url.Values{"live-action": {"Share"}}) }
	return map[string]cause{
		"click":         {func(x *shelfTest) { x.page.Send("Add", nil) }, 0, "n=1 shared=0 rows=secretrow0 called"},
		"click, shared": {func(x *shelfTest) { x.page.Send("Share", nil) }, 0, "n=1 shared=1 rows=secretrow1 called"},
		"push":          {func(x *shelfTest) { x.push("Add") }, 0, "n=1 shared=0 rows=secretrow0 called"},
		"failing click": {func(x *shelfTest) { x.c.set(func() { x.c.wrong = 1 }); x.page.Send("Add", nil) }, 1, "n=0 shared=0 rows=secretrow0 called"},
		"failing push":  {func(x *shelfTest) { x.c.set(func() { x.c.wrong = 2 }); x.push("Add") }, 2, "n=1 shared=0 rows=secretrow0 called"},
		"push that loses a race": {func(x *shelfTest) {
			x.rival.set(func() { x.rival.wins = 1 })
			x.push("Share")
		}, 1, "n=1 shared=1 rows=secretrow1 called"},
		"click that loses a race": {func(x *shelfTest) {
			x.rival.set(func() { x.rival.wins = 1 })
			x.page.Send("Share", nil)
		}, 1, "n=1 shared=1 rows=secretrow1 called"},
		"topic": {func(x *shelfTest) {
			if err := x.node.hub.Publish(x.t.Context(), "all", "Add", nil); err != nil {
				x.t.Error(err)
			}
		}, 0, "n=1 shared=0 rows=secretrow0 called"},
		"reconnect":            {func(x *shelfTest) { x.page.Reconnect(x.v1) }, 1, "n=0 shared=0 rows=secretrow0 called"},
		"reconnect, elsewhere": {func(x *shelfTest) { x.page.Reconnect(x.v2) }, 1, "n=0 shared=0 rows=secretrow0 called"},
		"reconnect to a backlog": {func(x *shelfTest) {
			x.page.Drop()
			x.push("Add")
			x.page.Connect(x.v2)
		}, 1, "n=1 shared=0 rows=secretrow0 called"},
		"reconnect, mounted anew": {func(x *shelfTest) {
			x.page.Drop()
			time.Sleep(2 * time.Hour)
			x.page.Connect(x.v2)
		}, 1, "n=0 shared=0 rows=secretrow0 called"},
		"first page": {func(x *shelfTest) {
			x.page.Close()
			x.page = x.browser.Load(x.v1, "/")
		}, 1, "n=0 shared=0 rows=secretrow0 called"},
		"first page with a backlog": {func(x *shelfTest) {
			x.page.Close()
			x.push("Add")
			x.page = x.browser.Load(x.v1, "/")
		}, 1, "n=1 shared=0 rows=secretrow0 called"},
		"form without JavaScript": {func(x *shelfTest) {
			x.page.Close()
			post(x)
			x.page = x.browser.Load(x.v1, "/")
		}, 3, "n=0 shared=1 rows=secretrow1 called"},
		"another tab's shared field": {post, 3, "n=0 shared=1 rows=secretrow1 called"},
	}
}

// TestLoadedFields: whatever an action is caused by, it sees what OnLoad loads; a
// state is loaded once when it is made or comes from the store, and not for an
// action; nothing of it is stored. And when the hook fails, what was accepted
// happens all the same, once it does not.
func TestLoadedFields(t *testing.T) {
	t.Parallel()
	for name, cause := range shelfCauses() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				x := newShelfTest(t)
				if got := x.c.counted(); got != 2 {
					t.Errorf("%d loads for the first page and its connection, want 2", got)
				}
				before := x.c.counted()
				cause.do(x)
				time.Sleep(time.Minute)
				if got := x.page.Text(); got != cause.shows {
					t.Errorf("the page shows %q, want %q", got, cause.shows)
				}
				if got := x.c.counted() - before; got != cause.loads {
					t.Errorf("%d loads, want %d", got, cause.loads)
				}
				if len(x.page.State().Flashes) > 0 || len(x.page.State().Events) > 0 {
					t.Errorf("effects of the hook: %+v", x.page.State())
				}
			})
		})
	}
}

// TestLoadFails: a click or push is not lost and does not count as failed when the
// fields cannot be loaded for a while.
func TestLoadFails(t *testing.T) {
	t.Parallel()
	for name, cause := range shelfCauses() {
		if strings.HasPrefix(name, "first page") || strings.HasPrefix(name, "form") || strings.HasPrefix(name, "another") {
			continue // a request, see TestLoadFailsInARequest
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				x := newShelfTest(t)
				x.c.set(func() { x.c.fails = 3 })
				if strings.HasPrefix(name, "reconnect") {
					x.c.set(func() { x.c.fails = 0 })
					x.page.Drop()
					if name == "reconnect, mounted anew" {
						time.Sleep(2 * time.Hour)
					}
					x.c.set(func() { x.c.fails = 1 })
					if err := x.page.TryConnect(x.v1); err != nil {
						t.Fatal(err)
					}
					if code := x.page.WaitClosed(); code != 1011 {
						t.Errorf("without its fields the page ends with %d, want 1011", code)
					}
				}
				cause.do(x)
				time.Sleep(time.Minute)
				for x.page.State().Closed != 0 {
					if err := x.page.TryConnect(x.v2); err != nil {
						t.Fatal(err)
					}
					time.Sleep(time.Minute)
				}
				want := cause.shows
				if name == "failing click" { // it got no answer, so the browser has sent it again
					want = "n=1 shared=0 rows=secretrow0 called"
				}
				if got := x.page.Text(); got != want {
					t.Errorf("the page shows %q, want %q", got, want)
				}
				if dead := deadLetters(t, x.rival); len(dead) > 0 {
					t.Errorf("dead letters: %+v", dead)
				}
			})
		})
	}
}

// TestLoadFailsInARequest: the page is refused and tells the cause in development,
// and a form's action has not run.
func TestLoadFailsInARequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := newShelfTest(t)
		x.c.set(func() { x.c.fails = 2 })
		if d := x.browser.Peek(x.v1, "/"); d.Status != http.StatusInternalServerError || strings.Contains(d.HTML, "database") {
			t.Errorf("GET: %d %q", d.Status, d.HTML)
		}
		if d := x.browser.Post(x.v1, "/", url.Values{"live-action": {"Share"}}); d.Status != http.StatusInternalServerError {
			t.Errorf("POST: %d", d.Status)
		}
		if got, want := x.browser.Get(x.v1, "/").Text(), "n=0 shared=0 rows=secretrow0 called"; !strings.Contains(got, want) {
			t.Errorf("the page shows %q, want %q", got, want)
		}
	})
}

// storedStates fails the test if a word is stored.
type storedStates struct {
	store
	t    *testing.T
	word []byte
	seen *int
}

func (s storedStates) look(b []byte) {
	*s.seen++
	if bytes.Contains(b, s.word) || bytes.Contains(b, []byte("Rows")) || bytes.Contains(b, []byte("call")) {
		s.t.Errorf("stored: %s", b)
	}
}

func (s storedStates) CreateConn(ctx context.Context, r push.ConnRecord, ttl time.Duration) error {
	s.look(r.State)
	return s.store.CreateConn(ctx, r, ttl)
}

func (s storedStates) Commit(ctx context.Context, c push.Commit) (push.CommitResult, error) {
	s.look(c.Conn.State)
	if c.View != nil {
		s.look(c.View.State)
	}
	return s.store.Commit(ctx, c)
}

// TestLoadedFieldsAreNotStored looks at all that a page stores, a state without
// room for them included.
func TestLoadedFieldsAreNotStored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		seen := 0
		n := startNode(t, storedStates{memStore(t), t, []byte("secretrow"), &seen}, live.Config{MaxStateBytes: 64, Topics: func(live.Identity, string) error { return nil }})
		v := view(t, n, &shelves{}, shelf{Rows: []string{"secretrow of the initial state"}}, shelfHTML)
		p := livetest.Open(t, v, "/")
		p.Click("Share", nil)
		p.Reconnect(v)
		p.Click("Add", nil)
		time.Sleep(time.Minute)
		if got := p.Text(); got != "n=2 shared=1 rows=secretrow1 called" || seen < 4 {
			t.Errorf("%q after %d looks at what is stored", got, seen)
		}
	})
}
