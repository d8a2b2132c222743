package live_test

import (
	"context"
	"fmt"
	"net/url"
	"sync"
	"testing"
	"time"

	"lastmile/live"
	"lastmile/live/livetest"
	"lastmile/push"
)

// tab is a page with a field of its own and one that the session's tabs share.
type tab struct {
	Own, Saw int
	Shared   int `live:"persist"`
	Pushed   int `live:"persist"`
}

type tabs struct{}

func (tabs) Mount(s tab, ctx *live.Context) (tab, error) {
	if ctx.Request().Query().Has("add") {
		s.Shared++
	}
	return s, ctx.Subscribe("all")
}

func (tabs) OnConnect(s tab, ctx *live.Context) (tab, error) {
	if ctx.Request().Query().Has("join") {
		s.Shared++
	}
	return s, nil
}

func (tabs) Add(s tab, _ *live.Context) (tab, error) {
	s.Shared++
	return s, nil
}

func (tabs) Once(s tab, ctx *live.Context) (tab, error) {
	if ctx.Request().Query().Has("actor") {
		s.Shared++
	}
	return s, nil
}

func (tabs) Push(s tab, _ *live.Context) (tab, error) {
	s.Pushed++
	return s, nil
}

// Look shows what an action sees of the shared field.
func (tabs) Look(s tab, _ *live.Context) (tab, error) {
	s.Own++
	s.Saw = s.Shared
	return s, nil
}

func (tabs) Slow(s tab, _ *live.Context) (tab, error) {
	time.Sleep(2 * time.Second)
	s.Own++
	return s, nil
}

const tabHTML = `<p>own={{.Own}} saw={{.Saw}} shared={{.Shared}} pushed={{.Pushed}}</p>
<form method="post"><button id="add" name="live-action" value="Add">Add</button></form>`

// countedStates counts commits, those of shared fields apart.
type countedStates struct {
	store
	mu            sync.Mutex
	stored, loads int
}

func (c *countedStates) Commit(ctx context.Context, cm push.Commit) (push.CommitResult, error) {
	if cm.View != nil && cm.View.State != nil {
		c.mu.Lock()
		c.stored++
		c.mu.Unlock()
	}
	return c.store.Commit(ctx, cm)
}

func (c *countedStates) LoadView(ctx context.Context, session, view string) (push.ViewRecord, error) {
	c.mu.Lock()
	c.loads++
	c.mu.Unlock()
	return c.store.LoadView(ctx, session, view)
}

func (c *countedStates) counts() (stored, loads int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stored, c.loads
}

// tabTest has one tab that acts on a node, and another one.
type tabTest struct {
	t            *testing.T
	states       *countedStates
	one, two     *node
	v1, v2       *live.View[tab]
	browser      *livetest.Browser
	actor, other *livetest.Page
	at           *live.View[tab] // the other's
}

func newTabTest(e env, sameNode bool) *tabTest {
	e.t.Helper()
	x := &tabTest{t: e.t, states: &countedStates{store: e.store}, browser: e.browser()}
	cfg := live.Config{Topics: func(live.Identity, string) error { return nil }}
	x.one, x.two = startNode(e.t, x.states, cfg), startNode(e.t, x.states, cfg)
	x.v1, x.v2 = view(e.t, x.one, tabs{}, tab{}, tabHTML), view(e.t, x.two, tabs{}, tab{}, tabHTML)
	x.at = x.v2
	if sameNode {
		x.at = x.v1
	}
	x.actor, x.other = x.browser.Open(x.v1, "/?actor=1"), x.browser.Open(x.at, "/")
	time.Sleep(time.Minute) // it is quiet
	return x
}

func tabCauses() map[string]func(x *tabTest) {
	return map[string]func(x *tabTest){
		"click": func(x *tabTest) { x.actor.Click("#add", nil) },
		"push":  func(x *tabTest) { trigger(x.t, sessionOf(x.t, x.one, x.browser), "Once", nil) },
		"topic": func(x *tabTest) {
			if err := x.one.hub.Publish(x.t.Context(), "all", "Once", nil); err != nil {
				x.t.Error(err)
			}
		},
		"mount":            func(x *tabTest) { x.browser.Get(x.v1, "/?add=1") },
		"connect":          func(x *tabTest) { x.browser.Open(x.v1, "/?join=1").Close() },
		"form":             func(x *tabTest) { x.browser.Post(x.v1, "/", url.Values{"live-action": {"Add"}}) },
		"connection fails": func(x *tabTest) { x.actor.Send("Add", nil); time.Sleep(time.Millisecond); x.actor.Drop() },
	}
}

// TestSharedFieldsReachTheOtherTabs: whatever has had a shared field stored, the
// session's other connections show it and act on it, and store nothing for it.
func TestSharedFieldsReachTheOtherTabs(t *testing.T) {
	t.Parallel()
	others := map[string]struct {
		sameNode bool
		before   func(x *tabTest)
		after    func(x *tabTest)
		own      int
	}{
		"same node":  {sameNode: true},
		"other node": {},
		"reconnecting": {
			before: func(x *tabTest) { x.other.Drop() },
			after:  func(x *tabTest) { x.other.Connect(x.v1) },
		},
		"mid-action": {
			own:    1,
			before: func(x *tabTest) { x.other.Send("Slow", nil); time.Sleep(time.Second) },
		},
	}
	for cause, act := range tabCauses() {
		for where, o := range others {
			t.Run(cause+"/"+where, func(t *testing.T) {
				t.Parallel()
				onBoth(t, func(e env) {
					x := newTabTest(e, o.sameNode)
					if o.before != nil {
						o.before(x)
					}
					act(x)
					if o.after != nil {
						o.after(x)
					}
					x.other.WaitText(fmt.Sprintf("own=%d saw=0 shared=1", o.own))
					time.Sleep(time.Minute)
					if stored, _ := x.states.counts(); stored != 1 {
						e.t.Errorf("the shared fields were stored %d times, want once", stored)
					}
					trigger(e.t, sessionOf(e.t, x.one, x.browser), "Look", nil)
					x.other.WaitText(fmt.Sprintf("own=%d saw=1 shared=1", o.own+1))
				})
			})
		}
	}
}

// TestPushesRunOnFreshSharedFields: a push that comes right behind another tab's
// commit sees it, on each node, and each frame shows at least what the one before
// did.
func TestPushesRunOnFreshSharedFields(t *testing.T) {
	t.Parallel()
	for _, sameNode := range []bool{true, false} {
		t.Run(fmt.Sprintf("same node=%t", sameNode), func(t *testing.T) {
			t.Parallel()
			onBoth(t, func(e env) {
				x := newTabTest(e, sameNode)
				session := sessionOf(e.t, x.one, x.browser)
				for i := 1; i <= 50; i++ {
					x.actor.Click("#add", nil)
					trigger(e.t, session, "Look", nil)
					for _, p := range []*livetest.Page{x.actor, x.other} {
						p.WaitText(fmt.Sprintf("own=%d saw=%d shared=%d", i, i, i))
					}
				}
			})
		})
	}
}

// TestOrderOfSharedFieldsAndPushes: clicks in one tab while pushes come to both:
// nothing is lost, what the tabs show never goes back, and then there is peace.
func TestOrderOfSharedFieldsAndPushes(t *testing.T) {
	t.Parallel()
	onBoth(t, func(e env) {
		x := newTabTest(e, false)
		session := sessionOf(e.t, x.one, x.browser)
		const each = 60
		pages, shown := []*livetest.Page{x.actor, x.other}, [2][2]int{}
		for i := range each {
			trigger(e.t, session, "Push", nil)
			if i%2 == 0 {
				x.actor.Send("Add", nil)
			}
			for range 10 {
				time.Sleep(300 * time.Microsecond)
				for n, p := range pages {
					var now [2]int
					if _, err := fmt.Sscanf(p.TextOf("p"), "own=0 saw=0 shared=%d pushed=%d", &now[0], &now[1]); err != nil {
						e.t.Fatal(err)
					}
					if now[0] < shown[n][0] || now[1] < shown[n][1] {
						e.t.Fatalf("page %d showed %v, and then %v", n, shown[n], now)
					}
					shown[n] = now
				}
			}
		}
		for _, p := range pages {
			p.WaitText(fmt.Sprintf("shared=%d pushed=%d", each/2, each))
		}
		time.Sleep(time.Minute)
		stored, loads := x.states.counts()
		time.Sleep(10 * time.Minute)
		if s, l := x.states.counts(); s != stored || l != loads {
			e.t.Errorf("%d commits and %d reads of shared fields while nothing happens", s-stored, l-loads)
		}
	})
}

// TestCostOfSharedFields: a tab reads them once for each change that another one
// has stored, and a view without any is never asked about them.
func TestCostOfSharedFields(t *testing.T) {
	t.Parallel()
	onBoth(t, func(e env) {
		x := newTabTest(e, false)
		stored, loads := x.states.counts()
		const clicks = 10
		for i := range clicks {
			x.actor.Click("#add", nil)
			x.other.WaitText(fmt.Sprintf("shared=%d", i+1))
			time.Sleep(time.Second)
		}
		s, l := x.states.counts()
		if s -= stored; s != clicks {
			e.t.Errorf("%d commits of shared fields, want %d", s, clicks)
		}
		if l -= loads; l != 2*clicks { // before the click, and by the other tab
			e.t.Errorf("%d reads of shared fields, want %d", l, 2*clicks)
		}
	})
	onBoth(t, func(e env) {
		states := &countedStates{store: e.store}
		n := startNode(e.t, states, live.Config{})
		v := view(e.t, n, plainTabs{}, plain{}, `<p>{{.N}}</p><button id="add" live-click="Add">Add</button>`)
		b := e.browser()
		p, other := b.Open(v, "/"), b.Open(v, "/")
		p.Click("#add", nil)
		trigger(e.t, sessionOf(e.t, n, b), "Add", nil)
		p.WaitText("2")
		other.WaitText("1")
		time.Sleep(time.Minute)
		if stored, loads := states.counts(); stored != 0 || loads != 0 {
			e.t.Errorf("%d commits and %d reads of fields that there are not", stored, loads)
		}
	})
}

type plainTabs struct{}

func (plainTabs) Add(s plain, _ *live.Context) (plain, error) {
	s.N++
	return s, nil
}
