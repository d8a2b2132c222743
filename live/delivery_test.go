package live_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/live"
	"lastmile/live/livetest"
	"lastmile/push"
)

// list is a page that shows what was pushed.
type list struct {
	Items []string
	Count int `live:"persist"`
	Title string
	A, B  string `live:"persist"`
}

// listing's actions fail as often as they are told.
type listing struct {
	ran   *journal
	fails map[string]int
	err   error
	sleep time.Duration
}

func (l *listing) Put(s list, ctx *live.Context) (list, error) {
	item := ctx.GetString("item")
	l.ran.add(item)
	s.Items = append(s.Items, item)
	if l.fails[item] > 0 {
		l.fails[item]--
		s.Items[0] = "torn" // what a failed action does to the state is undone
		if l.sleep > 0 {
			select {
			case <-ctx.Done():
				return s, ctx.Err()
			case <-time.After(l.sleep):
			}
		}
		if l.err == nil {
			panic("boom")
		}
		return s, l.err
	}
	return s, nil
}

func (l *listing) Tally(s list, _ *live.Context) (list, error) {
	s.Count++
	return s, nil
}

func (l *listing) SetA(s list, ctx *live.Context) (list, error) {
	s.A = ctx.GetString("v")
	return s, nil
}

func (l *listing) SetB(s list, ctx *live.Context) (list, error) {
	s.B = ctx.GetString("v")
	return s, nil
}

func (l *listing) Rename(s list, ctx *live.Context) (list, error) {
	s.Title = ctx.GetString("title")
	return s, nil
}

const listHTML = `<h1>{{.Title}}</h1><p>count={{.Count}} a={{.A}} b={{.B}}</p><ul>{{range .Items}}<li>{{.}}</li>{{end}}</ul>`

func newListing() *listing { return &listing{ran: &journal{}, fails: map[string]int{}} }

// items returns what the page lists.
func items(p *livetest.Page) string {
	_, rest, _ := strings.Cut(p.HTML(), "<ul>")
	rest, _, _ = strings.Cut(rest, "</ul>")
	return strings.TrimSuffix(strings.ReplaceAll(strings.ReplaceAll(rest, "<li>", ""), "</li>", " "), " ")
}

func waitItems(t *testing.T, p *livetest.Page, want string) {
	t.Helper()
	p.Wait("the items "+want, func() bool { return items(p) == want })
}

func put(item any) map[string]any { return map[string]any{"item": fmt.Sprint(item)} }

// env is what a test on one of the stores has.
type env struct {
	t     *testing.T
	store store
	lanes bool
}

// browser returns a browser whose pages connect as the test is to have it.
func (e env) browser() *livetest.Browser {
	b := livetest.NewBrowser(e.t)
	if e.lanes {
		b.WithoutWebSockets()
	}
	return b
}

// onBoth runs a test on both stores, in a bubble.
func onBoth(t *testing.T, test func(env)) {
	t.Helper()
	inBubble(t, "memory", inMemory, false, test)
	inBubble(t, "redis", redisStore, false, test)
}

// onAll is onBoth, and once more without WebSockets: for what a connection
// promises.
func onAll(t *testing.T, test func(env)) {
	t.Helper()
	onBoth(t, test)
	inBubble(t, "lanes", inMemory, true, test)
}

func inMemory(t *testing.T) store { t.Helper(); return memStore(t) }

func inBubble(t *testing.T, name string, newStore func(*testing.T) store, lanes bool, test func(env)) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) { test(env{t, newStore(t), lanes}) })
	})
}

func TestTabsOnTwoNodesSeePushesOnceInOrder(t *testing.T) {
	t.Parallel()
	onAll(t, func(e env) {
		t, s := e.t, e.store
		one, two := startNode(t, s, live.Config{}), startNode(t, s, live.Config{})
		c1, c2 := newListing(), newListing()
		v1, v2 := view(t, one, c1, list{}, listHTML), view(t, two, c2, list{}, listHTML)
		b := e.browser()
		p1, p2 := b.Open(v1, "/"), b.Open(v2, "/")
		session := sessionOf(t, one, b)
		var want []string
		for i := range 100 {
			trigger(t, session, "Put", put(i))
			want = append(want, strconv.Itoa(i))
		}
		waitItems(t, p1, strings.Join(want, " "))
		waitItems(t, p2, strings.Join(want, " "))
		if !slices.Equal(c1.ran.all(), want) || !slices.Equal(c2.ran.all(), want) {
			t.Errorf("nodes ran %v and %v", c1.ran.all(), c2.ran.all())
		}
	})
}

func TestReconnectToAnotherNodeAfterACrash(t *testing.T) {
	t.Parallel()
	onAll(t, func(e env) {
		t, s := e.t, e.store
		one, two := startNode(t, s, live.Config{}), startNode(t, s, live.Config{})
		c1, c2 := newListing(), newListing()
		v1, v2 := view(t, one, c1, list{}, listHTML), view(t, two, c2, list{}, listHTML)
		b := e.browser()
		p := b.Open(v1, "/")
		session := sessionOf(t, two, b)
		trigger(t, session, "Put", put(1))
		waitItems(t, p, "1")
		p.Click("Rename", map[string]any{"title": "kept"})
		p.Drop() // the node is gone: nothing says goodbye
		one.kill()
		trigger(t, session, "Put", put(2))
		trigger(t, session, "Put", put(3))
		p.Connect(v2)
		waitItems(t, p, "1 2 3")
		p.WaitText("kept")
		if got := p.State().Mounts; got != 0 {
			t.Errorf("mounted anew %d times, want the saved state", got)
		}
		if got := c2.ran.all(); !slices.Equal(got, []string{"2", "3"}) {
			t.Errorf("the second node ran %v, want only what was missed", got)
		}
	})
}

func TestSplitBrain(t *testing.T) {
	t.Parallel()
	onAll(t, func(e env) {
		t, s := e.t, e.store
		one := startNode(t, s, live.Config{})
		var conn string
		v1 := view(t, one, connName{&conn}, plain{}, `{{.N}}`)
		b := e.browser()
		p := b.Open(v1, "/")
		p.Click("Inc", nil)
		p.WaitText("1")
		// Another node takes the connection over without this one hearing of it.
		if _, err := s.TakeConn(t.Context(), sessionOf(t, one, b).ID(), conn, time.Hour); err != nil {
			t.Fatal(err)
		}
		p.Send("Inc", nil)
		if code := p.WaitClosed(); code != 4000 {
			t.Errorf("closed with %d, want 4000", code)
		}
		if got := p.Text(); got != "1" {
			t.Errorf("the page shows %q: what could not be stored was sent", got)
		}
		p.Connect(v1)
		p.WaitText("2") // the click is sent again and runs on what was stored
	})
}

type connName struct{ name *string }

func (c connName) Inc(s plain, ctx *live.Context) (plain, error) {
	*c.name = ctx.ConnectionID()
	s.N++
	return s, nil
}

func TestPersistedFieldsOfTwoTabs(t *testing.T) {
	t.Parallel()
	onAll(t, func(e env) {
		t, s := e.t, e.store
		one, two := startNode(t, s, live.Config{}), startNode(t, s, live.Config{})
		v1, v2 := view(t, one, newListing(), list{}, listHTML), view(t, two, newListing(), list{}, listHTML)
		b := e.browser()
		p1, p2 := b.Open(v1, "/"), b.Open(v2, "/")
		session := sessionOf(t, one, b)
		for range 50 {
			trigger(t, session, "Tally", nil)
		}
		p1.WaitText("count=50")
		p2.WaitText("count=50")
		time.Sleep(time.Second) // both have stored
		b.Open(v1, "/").WaitText("count=50")

		a := p1.Send("SetA", map[string]any{"v": "left"})
		c := p2.Send("SetB", map[string]any{"v": "right"})
		if p1.Answer(a) != nil || p2.Answer(c) != nil {
			t.Fatal("a click failed")
		}
		p3 := b.Open(v2, "/")
		p3.WaitText("count=50 a=left b=right")
		p1.Click("SetA", map[string]any{"v": "again"})
		p1.WaitText("a=again b=right")
		for range 20 {
			trigger(t, session, "Tally", nil)
			p2.Click("Tally", nil)
		}
		p1.Click("Tally", nil)
		p2.Click("Tally", nil)
		p2.WaitText("count=92")
	})
}

func TestFailingPushIsRetriedInPlace(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]error{"error": errors.New("not now"), "panic": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := memStore(t)
				n := startNode(t, s, live.Config{})
				c := newListing()
				c.err = fail
				v := view(t, n, c, list{}, listHTML)
				b := livetest.NewBrowser(t)
				p := b.Open(v, "/")
				session := sessionOf(t, n, b)
				trigger(t, session, "Put", put("first"))
				waitItems(t, p, "first")
				c.fails["bad"] = 3
				trigger(t, session, "Put", put("bad"))
				trigger(t, session, "Put", put("last"))
				p.Click("Rename", map[string]any{"title": "clicks are served"})
				p.WaitText("clicks are served")
				waitItems(t, p, "first bad last")
				if got := strings.Join(c.ran.all(), " "); got != "first bad bad bad bad last" {
					t.Errorf("ran %q", got)
				}
				if got := deadLetters(t, s); len(got) != 0 {
					t.Errorf("%d dead letters", len(got))
				}
			})
		})
	}
}

func TestHopelessPushGoesToTheDeadLetters(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		err    error
		sleep  time.Duration
		tries  int
		reason push.Reason
	}{
		{"error", errors.New("never"), 0, 8, push.ReasonError},
		{"panic", nil, 0, 8, push.ReasonPanic},
		{"timeout", errors.New("late"), time.Minute, 8, push.ReasonTimeout},
		{"rejected", fmt.Errorf("not this one: %w", push.ErrReject), 0, 1, push.ReasonRejected},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			onAll(t, func(e env) {
				t, s := e.t, e.store
				n := startNode(t, s, live.Config{})
				c := newListing()
				c.err, c.sleep, c.fails["bad"] = tt.err, tt.sleep, 100
				v := view(t, n, c, list{}, listHTML)
				b := e.browser()
				p := b.Open(v, "/")
				session := sessionOf(t, n, b)
				trigger(t, session, "Put", put("bad"))
				trigger(t, session, "Put", put("good"))
				for range 6 { // a retry with a timeout takes longer than one wait
					time.Sleep(20 * time.Second)
				}
				waitItems(t, p, "good")
				dead := deadLetters(t, s)
				if len(dead) != 1 || dead[0].Reason != tt.reason || dead[0].Attempts != tt.tries || dead[0].Entry.Action != "Put" {
					t.Fatalf("dead letters %+v, want one for %s after %d tries", dead, tt.reason, tt.tries)
				}
				if errs := p.State().Errors; len(errs) != 1 || errs[0].Code != "dead_letter" || errs[0].Action != "Put" {
					t.Errorf("the page saw %+v, want a dead_letter event", errs)
				}
				// A replay is an ordinary push.
				c.fails["bad"] = 0
				if _, err := s.Replay(t.Context(), dead[0].ID); err != nil {
					t.Fatal(err)
				}
				waitItems(t, p, "good bad")
			})
		})
	}
}

func TestUnknownActionWaitsForAViewThatHasIt(t *testing.T) {
	t.Parallel()
	onAll(t, func(e env) {
		t, s := e.t, e.store
		n := startNode(t, s, live.Config{})
		plainPage := viewNamed(t, n, "other", connName{new(string)}, plain{}, `{{.N}}`)
		c := newListing()
		lists := viewNamed(t, n, "lists", c, list{}, listHTML)
		b := e.browser()
		p := b.Open(plainPage, "/")
		session := sessionOf(t, n, b)
		trigger(t, session, "Put", put(1))
		trigger(t, session, "Inc", nil)
		trigger(t, session, "Put", put(2))
		p.WaitText("1")
		time.Sleep(5 * time.Second) // stored, shown and acknowledged
		p.Close()
		waitItems(t, b.Open(lists, "/lists"), "1 2")
		time.Sleep(5 * time.Second)
		waitItems(t, b.Open(lists, "/lists"), "") // the first one has them
		if got := strings.Join(c.ran.all(), " "); got != "1 2" {
			t.Errorf("ran %q", got)
		}
	})
}
