package live_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"lastmile/live"
	"lastmile/live/livetest"
	"lastmile/push"
)

func TestCrashLoopIsFoundOut(t *testing.T) {
	t.Parallel()
	onBoth(t, func(e env) {
		t, s := e.t, e.store
		n := startNode(t, s, live.Config{})
		c := newListing()
		v := view(t, n, c, list{}, listHTML)
		b := e.browser()
		p := b.Open(v, "/")
		session := sessionOf(t, n, b)
		p.Drop()
		synctest.Wait()
		receipt, err := session.Trigger(t.Context(), "Put", put("killer"))
		if err != nil {
			t.Fatal(err)
		}
		trigger(t, session, "Put", put("innocent"))
		for range 4 { // as many processes began it and were never heard of again
			if _, err := s.CountStart(t.Context(), session.ID(), receipt.Seq, 4); err != nil {
				t.Fatal(err)
			}
		}
		p.Connect(v)
		waitItems(t, p, "innocent")
		dead := deadLetters(t, s)
		if len(dead) != 1 || dead[0].Reason != push.ReasonCrashLoop {
			t.Errorf("dead letters %+v, want the killer", dead)
		}
		if got := strings.Join(c.ran.all(), " "); got != "innocent" {
			t.Errorf("ran %q", got)
		}
	})
}

func TestTabsThatComeBackTogetherAreNoCrashLoop(t *testing.T) {
	t.Parallel()
	onBoth(t, func(e env) {
		t, s := e.t, e.store
		const tabs = 6
		var pages []*livetest.Page
		var views []*live.View[list]
		b := e.browser()
		var session push.Session
		for range tabs { // each on a node of its own
			n := startNode(t, s, live.Config{})
			v := view(t, n, newListing(), list{}, listHTML)
			session = sessionOf(t, n, b)
			views, pages = append(views, v), append(pages, b.Open(v, "/"))
		}
		for _, p := range pages {
			p.Drop()
		}
		synctest.Wait()
		trigger(t, session, "Put", put("healthy"))
		for i, p := range pages {
			if err := p.TryConnect(views[i]); err != nil {
				t.Fatal(err)
			}
		}
		for _, p := range pages {
			waitItems(t, p, "healthy")
		}
		if dead := deadLetters(t, s); len(dead) != 0 {
			t.Errorf("dead letters %+v", dead)
		}
	})
}
