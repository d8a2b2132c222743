package live_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/live"
	"lastmile/live/livetest"
	"lastmile/push"
	"lastmile/push/mempush"
)

// lossy is two nodes on a store whose replica takes over without the latest
// writes. Each put is a Put, which goes into a page's own list, and a Tally,
// which counts in the persisted fields.
type lossy struct {
	t        *testing.T
	store    *mempush.Transport
	one, two *node
	c1       *listing // of v1
	v1, v2   *live.View[list]
	browser  *livetest.Browser
	session  push.Session
}

func inLossy(t *testing.T, test func(l *lossy)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		store, err := mempush.New(mempush.Config{})
		if err != nil {
			t.Fatal(err)
		}
		store.Replicate() // there is a replica from the start
		l := &lossy{t: t, store: store, one: startNode(t, store, live.Config{}), two: startNode(t, store, live.Config{}), c1: newListing()}
		l.v1, l.v2 = view(t, l.one, l.c1, list{}, listHTML), view(t, l.two, newListing(), list{}, listHTML)
		l.browser = livetest.NewBrowser(t)
		time.Sleep(time.Second) // the nodes know of the replica
		test(l)
	})
}

func (l *lossy) open(v *live.View[list]) *livetest.Page {
	l.t.Helper()
	p := l.browser.Open(v, "/")
	l.session = sessionOf(l.t, l.one, l.browser)
	return p
}

// put publishes, for the first time or, as a replay does, again.
func (l *lossy) put(items ...string) {
	l.t.Helper()
	for _, item := range items {
		for _, action := range []string{"Put", "Tally"} {
			if _, err := l.session.Trigger(l.t.Context(), action, put(item), push.WithID(action+item)); err != nil {
				l.t.Fatal(err)
			}
		}
	}
}

// settle waits until a page shows the items, and later still does.
func (l *lossy) settle(p *livetest.Page, want string, count string) {
	l.t.Helper()
	waitItems(l.t, p, want)
	p.WaitText("count=" + count)
	time.Sleep(time.Minute)
	if got := items(p); got != want || !strings.Contains(p.Text(), "count="+count+" ") {
		l.t.Errorf("a minute later the page shows %q and %q, want the items %q and %s of them counted", got, p.Text(), want, count)
	}
}

// TestReplayedPushIsAppliedOnce: the store loses b after the page has applied
// it, and b is published again.
func TestReplayedPushIsAppliedOnce(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]func(l *lossy, p *livetest.Page, lose func()){
		"the page stays open": func(l *lossy, p *livetest.Page, lose func()) {
			lose()
			l.put("b", "c")
			l.settle(p, "a b c", "3")
		},
		"nothing else happens": func(l *lossy, p *livetest.Page, lose func()) {
			lose()
			l.put("b")
			l.settle(p, "a b", "2")
			other := l.open(l.v2)
			l.settle(other, "", "2")
			l.put("c")
			l.settle(p, "a b c", "3")
			l.settle(other, "c", "3")
		},
		"newer pushes come first": func(l *lossy, p *livetest.Page, lose func()) {
			lose()
			l.put("c", "b", "d")
			l.settle(p, "a b c d", "4")
		},
		"the page reconnects after it was stored": func(l *lossy, p *livetest.Page, lose func()) {
			lose()
			l.put("c")
			waitItems(l.t, p, "a b c")
			time.Sleep(5 * time.Second)
			p.Drop()
			l.one.kill()
			p.Connect(l.v2)
			l.put("b", "d")
			l.settle(p, "a b c d", "4")
		},
		"the page reconnects to what the replica has": func(l *lossy, p *livetest.Page, lose func()) {
			p.Drop()
			time.Sleep(time.Second)
			lose()
			p.Connect(l.v2)
			waitItems(l.t, p, "a")
			l.put("b", "c")
			l.settle(p, "a b c", "3")
		},
		"another tab has fallen back": func(l *lossy, p *livetest.Page, lose func()) {
			lose()
			other := l.open(l.v2)
			l.put("c", "b", "d")
			l.settle(p, "a b c d", "4")
			l.settle(other, "c b d", "4")
		},
		"the persisted fields have fallen back": func(l *lossy, p *livetest.Page, lose func()) {
			lose()
			l.put("c")
			waitItems(l.t, p, "a b c")
			time.Sleep(5 * time.Second)
			other := l.open(l.v2)
			other.WaitText("count=2 ")
			l.put("b", "d")
			l.settle(p, "a b c d", "4")
			l.settle(other, "b d", "4")
		},
		"nobody is there any more": func(l *lossy, p *livetest.Page, lose func()) {
			lose()
			l.put("c")
			waitItems(l.t, p, "a b c")
			time.Sleep(5 * time.Second)
			p.Close()
			l.put("b")
			time.Sleep(time.Minute)
			late := l.open(l.v2)
			l.settle(late, "b", "3")
			l.settle(l.open(l.v1), "", "3")
		},
		"a click after it": func(l *lossy, p *livetest.Page, lose func()) {
			lose()
			p.Click("SetA", map[string]any{"v": "x"})
			l.put("b")
			l.settle(p, "a b", "2")
			p.WaitText("a=x")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inLossy(t, func(l *lossy) {
				p := l.open(l.v1)
				l.put("a")
				waitItems(t, p, "a")
				time.Sleep(10 * time.Second) // the replica has it all
				promote := l.store.Replicate()
				l.put("b")
				waitItems(t, p, "a b")
				time.Sleep(10 * time.Second) // stored and acknowledged, to no avail
				test(l, p, promote)
			})
		})
	}
}

// TestFailoverBehindAnotherTab: a page hears that the persisted fields fell back to
// a place that it has not come to itself, for a push of its own is being tried
// again. What lies between is new to its own fields.
func TestFailoverBehindAnotherTab(t *testing.T) {
	t.Parallel()
	inLossy(t, func(l *lossy) {
		l.c1.fails, l.c1.err = map[string]int{"b": 7}, errors.New("not yet")
		slow, fast := l.open(l.v1), l.open(l.v2)
		l.put("a")
		waitItems(t, slow, "a")
		time.Sleep(10 * time.Second)
		l.put("b", "c")
		waitItems(t, fast, "a b c")
		time.Sleep(100 * time.Millisecond)
		promote := l.store.Replicate() // has c among the persisted fields
		l.put("d")
		waitItems(t, fast, "a b c d")
		time.Sleep(100 * time.Millisecond)
		slow.Click("Rename", map[string]any{"title": "sees the record with d"})
		promote()
		slow.Click("Rename", map[string]any{"title": "sees the one with c"})
		if got := items(slow); got != "a" {
			t.Fatalf("the slow page shows %q already", got)
		}
		time.Sleep(20 * time.Second)
		l.put("d")
		l.settle(fast, "a b c d", "4")
		l.settle(slow, "a b c d", "4")
	})
}

// TestReplayedPushWithoutARecord: the replica lacks the first record of the
// persisted fields.
func TestReplayedPushWithoutARecord(t *testing.T) {
	t.Parallel()
	inLossy(t, func(l *lossy) {
		p, other := l.open(l.v1), l.open(l.v2)
		time.Sleep(10 * time.Second)
		promote := l.store.Replicate()
		l.put("a", "b")
		waitItems(t, p, "a b")
		time.Sleep(10 * time.Second)
		promote()
		l.put("a", "b", "c")
		l.settle(p, "a b c", "3")
		l.settle(other, "a b c", "3")
	})
}

// TestReplayedPushBeforeItsCommit: the store changes between the application and
// the commit, which the new one takes: what it holds then has b under a number
// that the new store never gave.
func TestReplayedPushBeforeItsCommit(t *testing.T) {
	t.Parallel()
	for name, drop := range map[string]bool{"the page stays open": false, "the page reconnects": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inLossy(t, func(l *lossy) {
				p := l.open(l.v1)
				l.put("a")
				waitItems(t, p, "a")
				time.Sleep(10 * time.Second)
				promote := l.store.Replicate()
				l.put("b")
				synctest.Wait()
				promote()
				waitItems(t, p, "a b")
				time.Sleep(5 * time.Second)
				if drop {
					p.Drop()
					l.one.kill()
					p.Connect(l.v2)
				}
				other := l.open(l.v2)
				other.WaitText("count=2 ")
				l.put("b", "c")
				l.settle(p, "a b c", "3")
				l.settle(other, "b c", "3")
			})
		})
	}
}

// TestWhatThePageStoredFallsBack: the replica has the push, and lacks what the
// page has stored since. Nothing is published again; the page stores it again.
func TestWhatThePageStoredFallsBack(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]func(l *lossy, p *livetest.Page){
		"the page stays open": func(*lossy, *livetest.Page) {},
		"a newer push": func(l *lossy, p *livetest.Page) {
			l.put("c")
			l.settle(p, "a b c", "3")
		},
		"a click": func(l *lossy, p *livetest.Page) {
			p.Click("SetA", map[string]any{"v": "x"})
			l.settle(p, "a b", "2")
		},
		"the page reconnects": func(l *lossy, p *livetest.Page) {
			p.Drop()
			p.Connect(l.v2)
			l.settle(p, "a b", "2")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inLossy(t, func(l *lossy) {
				p := l.open(l.v1)
				l.put("a")
				waitItems(t, p, "a")
				time.Sleep(10 * time.Second)
				l.put("b")
				synctest.Wait()
				promote := l.store.Replicate()
				time.Sleep(10 * time.Second)
				promote()
				test(l, p)
				time.Sleep(10 * time.Minute)
				want := len(strings.Fields(items(p))) + 1
				l.put("d")
				p.WaitText(fmt.Sprintf("count=%d ", want))
				l.open(l.v2).WaitText(fmt.Sprintf("count=%d ", want))
			})
		})
	}
}

// TestSameIDMuchLater: the memory of applied IDs ends. A push whose ID the store
// has forgotten is another push.
func TestSameIDMuchLater(t *testing.T) {
	t.Parallel()
	inLossy(t, func(l *lossy) {
		p := l.open(l.v1)
		l.put("a")
		waitItems(t, p, "a")
		time.Sleep(25 * time.Hour)
		l.put("a")
		l.settle(p, "a a", "2")
	})
}

// TestSharedFieldsOfTwoHistories: on the lost suffix one tab changes the shared
// fields as often as another does on the server that has taken over. Both have
// come as far, and not the same way: the first one's next click must not pass for
// one that knows of the second's.
func TestSharedFieldsOfTwoHistories(t *testing.T) {
	t.Parallel()
	for clicks := range 4 {
		inLossy(t, func(l *lossy) {
			one, two := l.open(l.v1), l.open(l.v2)
			one.Click("SetA", map[string]any{"v": "before"})
			time.Sleep(10 * time.Second)
			promote := l.store.Replicate()
			for range clicks {
				one.Click("SetA", map[string]any{"v": "lost"})
			}
			promote()
			for range clicks {
				two.Click("SetB", map[string]any{"v": "kept"})
			}
			one.Click("SetA", map[string]any{"v": "after"})
			time.Sleep(time.Minute)
			want := "a=after b=kept"
			if clicks == 0 {
				want = "a=after b="
			}
			if got := l.open(l.v2).Text(); !strings.Contains(got, want) {
				l.t.Errorf("after %d clicks on both servers a page shows %q, want %s", clicks, got, want)
			}
		})
	}
}
