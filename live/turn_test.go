package live_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/live"
	"lastmile/live/livetest"
	"lastmile/push"
)

// paced's pushes take the time that they are named for.
type paced struct {
	never chan struct{} // what "never" waits for
}

func (c *paced) Put(s list, ctx *live.Context) (list, error) {
	item := ctx.GetString("item")
	switch pause, err := time.ParseDuration(item); {
	case err == nil:
		time.Sleep(pause)
	case item == "never":
		<-c.never
	case item == "fails":
		return s, errors.New("no")
	}
	s.Items = append(s.Items, item)
	s.A += item + ","
	return s, nil
}

func (c *paced) Rename(s list, ctx *live.Context) (list, error) {
	s.Title = ctx.GetString("title")
	return s, nil
}

// suspects are pages of one node, each in a session of its own with one push
// that processes have died of, or beside.
type suspects struct {
	t        *testing.T
	store    *mortal
	view     *live.View[list]
	browsers []*livetest.Browser
	pages    []*livetest.Page
	sessions []push.Session
	receipts []push.Receipt
}

// newSuspects pushes the items while the pages are away, and counts starts.
func newSuspects(e env, cfg live.Config, starts int, pushed ...string) *suspects {
	e.t.Helper()
	s := &suspects{t: e.t, store: &mortal{store: e.store}}
	n := startNode(e.t, s.store, cfg)
	c := &paced{never: make(chan struct{})}
	e.t.Cleanup(func() { close(c.never) })
	s.view = view(e.t, n, c, list{}, listHTML)
	for _, item := range pushed {
		b := e.browser()
		p := b.Open(s.view, "/")
		s.browsers, s.pages, s.sessions = append(s.browsers, b), append(s.pages, p), append(s.sessions, sessionOf(e.t, n, b))
		p.Drop()
		synctest.Wait()
		s.receipts = append(s.receipts, s.push(len(s.pages)-1, item))
		s.died(len(s.pages)-1, starts)
	}
	return s
}

// died counts starts of a page's push, as processes do that end then.
func (s *suspects) died(i, starts int) {
	s.t.Helper()
	for range starts {
		if _, err := s.store.store.CountStart(s.t.Context(), s.sessions[i].ID(), s.receipts[i].Seq, starts); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *suspects) push(i int, item string) push.Receipt {
	s.t.Helper()
	r, err := s.sessions[i].Trigger(s.t.Context(), "Put", put(item))
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

// connect brings a page back, and lets it come as far as it comes at once.
func (s *suspects) connect(i int) {
	s.t.Helper()
	if err := s.pages[i].TryConnect(s.view); err != nil {
		s.t.Fatal(err)
	}
	synctest.Wait()
}

// frames is what a page got since it came back.
func (s *suspects) frames(i int) int { return s.pages[i].State().Frames }

// cleared requires that no start is counted any more, and no dead letters.
func (s *suspects) cleared() {
	s.t.Helper()
	for i, r := range s.receipts {
		if n, err := s.store.CountStart(s.t.Context(), s.sessions[i].ID(), r.Seq, 0); err != nil || n != 0 {
			s.t.Errorf("page %d: %d starts are counted, %v, want none", i, n, err)
		}
	}
	if dead := deadLetters(s.t, s.store); len(dead) > 0 {
		s.t.Errorf("dead letters %+v, want none", dead)
	}
}

// TestAPageWaitsForItsTurn: no frame changes what its browser shows before, so
// that nobody sees it step back; what is new elsewhere waits for nothing.
func TestAPageWaitsForItsTurn(t *testing.T) {
	t.Parallel()
	onBoth(t, func(e env) {
		s := newSuspects(e, live.Config{}, 2, "5s", "0s", "1s")
		s.connect(0)
		for i := range 2 {
			s.connect(i + 1)
			time.Sleep(2 * time.Second)
			if got := s.pages[i+1].State().Snapshots; got != 0 {
				e.t.Errorf("page %d got its content %d times while its push waited, want never", i+1, got)
			}
		}
		time.Sleep(3 * time.Second)
		for i, want := range []string{"5s", "0s", "1s"} {
			if got := items(s.pages[i]); got != want {
				e.t.Errorf("page %d shows %q, want %q", i, got, want)
			}
		}
		s.cleared()
	})
}

// TestFreshPushesWaitForNoTurn: only redelivered ones can be told apart by it.
func TestFreshPushesWaitForNoTurn(t *testing.T) {
	t.Parallel()
	onBoth(t, func(e env) {
		s := newSuspects(e, live.Config{}, 2, "0s", "5s")
		s.connect(0)
		waitItems(e.t, s.pages[0], "0s")
		s.connect(1)
		s.push(0, "fresh")
		synctest.Wait()
		time.Sleep(10 * time.Millisecond)
		if got := items(s.pages[0]); got != "0s fresh" {
			e.t.Errorf("page shows %q beside one that is alone, want 0s fresh", got)
		}
		waitItems(e.t, s.pages[1], "5s")
		time.Sleep(time.Second)
		s.cleared()
	})
}

// TestClicksAreServedInALongWait: the first frame does not wait for long, and
// then a page is there for its user; the order of its pushes holds.
func TestClicksAreServedInALongWait(t *testing.T) {
	t.Parallel()
	onBoth(t, func(e env) {
		s := newSuspects(e, live.Config{ActionTimeout: time.Minute}, 2, "30s", "0s")
		s.push(1, "second")
		before := s.frames(1)
		s.connect(0)
		s.connect(1)
		time.Sleep(1900 * time.Millisecond)
		if got := s.frames(1) - before; got != 0 {
			e.t.Errorf("%d frames before its time, want none", got)
		}
		time.Sleep(200 * time.Millisecond)
		if got := s.frames(1) - before; got == 0 {
			e.t.Error("no first frame in a long wait")
		}
		began := time.Now()
		if err := s.pages[1].Try("Rename", map[string]any{"title": "clicked"}); err != nil {
			e.t.Errorf("click: %v", err)
		}
		if took := time.Since(began); took > time.Second {
			e.t.Errorf("a click was answered after %v", took)
		}
		s.push(1, "third")
		time.Sleep(time.Second)
		if got := s.pages[1].State().Snapshots; got != 0 {
			e.t.Errorf("page got its content %d times before its pushes are in it, want never", got)
		}
		time.Sleep(30 * time.Second)
		if got := items(s.pages[1]); got != "0s second third" || !strings.Contains(s.pages[1].HTML(), "clicked") {
			e.t.Errorf("page shows %q, want its pushes in order, and the click", s.pages[1].HTML())
		}
		s.cleared()
	})
}

// TestALoadedPageLeavesWhatHasToWait: a browser gets its page in time, and the
// rest over the WebSocket.
func TestALoadedPageLeavesWhatHasToWait(t *testing.T) {
	t.Parallel()
	onBoth(t, func(e env) {
		s := newSuspects(e, live.Config{}, 2, "8s", "0s", "1s")
		s.connect(0)
		began := time.Now()
		p := s.browsers[1].Load(s.view, "/")
		if took := time.Since(began); took > 2*time.Second+100*time.Millisecond {
			e.t.Errorf("the page took %v", took)
		}
		if got := p.Text(); strings.Contains(got, "0s") {
			e.t.Errorf("the page shows %q, want nothing yet", got)
		}
		p.Connect(s.view)
		waitItems(e.t, p, "0s")
		waitItems(e.t, s.pages[0], "8s")
		if got := s.browsers[2].Load(s.view, "/").Text(); !strings.Contains(got, "1s") {
			e.t.Errorf("the page shows %q, want its push, which waited for nothing", got)
		}
		time.Sleep(time.Second)
		s.cleared()
	})
}

// TestAnActionThatDoesNotReturnKeepsNobodyWaiting for longer than an action may
// take.
func TestAnActionThatDoesNotReturnKeepsNobodyWaiting(t *testing.T) {
	t.Parallel()
	onBoth(t, func(e env) {
		for _, starts := range []int{0, 2} { // beside others, and alone
			s := newSuspects(e, live.Config{ActionTimeout: time.Second}, starts, "never", "0s")
			s.died(1, 2)
			s.connect(0)
			began := time.Now()
			s.connect(1)
			waitItems(e.t, s.pages[1], "0s")
			if took := time.Since(began); took > 4*time.Second {
				e.t.Errorf("a push waited %v for one that hangs", took)
			}
		}
	})
}

// TestTabsOfAProcessCountOnce, alone or not.
func TestTabsOfAProcessCountOnce(t *testing.T) {
	t.Parallel()
	for starts := range 4 {
		t.Run(strconv.Itoa(starts), func(t *testing.T) {
			t.Parallel()
			onBoth(t, func(e env) {
				m := &mortal{store: e.store}
				n := startNode(e.t, m, live.Config{})
				v := view(e.t, n, &paced{}, list{}, listHTML)
				b := e.browser()
				s := &suspects{t: e.t, store: m, view: v}
				for range 4 {
					p := b.Open(v, "/")
					s.pages, s.sessions = append(s.pages, p), append(s.sessions, sessionOf(e.t, n, b))
					p.Drop()
				}
				s.receipts = []push.Receipt{s.push(0, "100ms")}
				s.died(0, starts)
				for i := range s.pages {
					s.connect(i)
				}
				for _, p := range s.pages {
					waitItems(e.t, p, "100ms")
				}
				time.Sleep(time.Second)
				if got := m.counted.Load(); got != 1 {
					e.t.Errorf("%d starts counted, want 1", got)
				}
				s.cleared()
			})
		})
	}
}

// TestAPushThatFailsAloneGivesTheTurnBack between its tries, and is given up for
// what it is.
func TestAPushThatFailsAloneGivesTheTurnBack(t *testing.T) {
	t.Parallel()
	onBoth(t, func(e env) {
		s := newSuspects(e, live.Config{}, 2, "fails", "0s")
		s.connect(0)
		began := time.Now()
		s.connect(1)
		waitItems(e.t, s.pages[1], "0s")
		if took := time.Since(began); took > 100*time.Millisecond {
			e.t.Errorf("the other one waited %v", took)
		}
		time.Sleep(time.Minute)
		dead := deadLetters(e.t, e.store)
		if len(dead) != 1 || dead[0].Reason != push.ReasonError || dead[0].Attempts != 8 {
			e.t.Errorf("dead letters %+v, want one with the reason error after 8 tries", dead)
		}
	})
}

// TestAPushThatFailsOnManyNodesIsNoCrashLoop: none of them has ended.
func TestAPushThatFailsOnManyNodesIsNoCrashLoop(t *testing.T) {
	t.Parallel()
	onBoth(t, func(e env) {
		// With the default of 100 ms, eight tries fit into half a second once in
		// some hundred runs: a wait has no least length.
		config := live.Config{RetryBase: 10 * time.Second, RetryMax: 10 * time.Second}
		s := newSuspects(e, config, 0, "fails")
		for range 8 {
			s.view = view(e.t, startNode(e.t, e.store, config), &paced{}, list{}, listHTML)
			synctest.Wait()
			s.connect(0)
			time.Sleep(500 * time.Millisecond)
			s.pages[0].Drop()
			synctest.Wait()
		}
		s.cleared()
		s.connect(0)
		time.Sleep(2 * time.Minute)
		if dead := deadLetters(e.t, e.store); len(dead) != 1 || dead[0].Reason != push.ReasonError {
			e.t.Errorf("dead letters %+v, want one with the reason error", dead)
		}
	})
}

// TestASuspectThatAnotherProcessSurvivesIsApplied, soon after.
func TestASuspectThatAnotherProcessSurvivesIsApplied(t *testing.T) {
	t.Parallel()
	onBoth(t, func(e env) {
		s := newSuspects(e, live.Config{}, 4, "0s")
		s.connect(0)
		time.Sleep(8 * time.Second)
		if got := items(s.pages[0]); got != "" {
			e.t.Errorf("page shows %q of a suspect, want nothing", got)
		}
		if err := e.store.ClearStarts(e.t.Context(), s.sessions[0].ID(), s.receipts[0].Seq); err != nil {
			e.t.Fatal(err)
		}
		time.Sleep(1100 * time.Millisecond)
		if got := items(s.pages[0]); got != "0s" {
			e.t.Errorf("page shows %q, want the push that another process has survived", got)
		}
		time.Sleep(time.Minute)
		s.cleared()
	})
}

// TestWhatOthersHaveAppliedIsNotBuried: a replay would do it twice to the
// persisted fields. The page that cannot take it passes it, and says so.
func TestWhatOthersHaveAppliedIsNotBuried(t *testing.T) {
	t.Parallel()
	onBoth(t, func(e env) {
		m := &mortal{store: e.store}
		n := startNode(e.t, m, live.Config{})
		v := view(e.t, n, &paced{}, list{}, listHTML)
		b := e.browser()
		s := &suspects{t: e.t, store: m, view: v, pages: []*livetest.Page{b.Open(v, "/"), b.Open(v, "/")}}
		s.sessions = []push.Session{sessionOf(e.t, n, b)}
		s.pages[1].Drop()
		synctest.Wait()       // or it takes the push
		s.pages[0].Mute(true) // nobody acknowledges it
		s.receipts = []push.Receipt{s.push(0, "0s")}
		waitItems(e.t, s.pages[0], "0s")
		time.Sleep(time.Second) // it is stored
		s.died(0, 4)
		s.connect(1)
		time.Sleep(time.Minute)
		s.push(0, "1s")
		waitItems(e.t, s.pages[1], "1s")
		if got := s.pages[1].Text(); !strings.Contains(got, "a=0s,1s,") {
			e.t.Errorf("page shows %q, want both pushes in the persisted field", got)
		}
		if got := s.pages[1].State().Errors; len(got) != 1 || got[0].Action != "Put" {
			e.t.Errorf("the page was told %+v, want an error about the push", got)
		}
		if dead := deadLetters(e.t, e.store); len(dead) > 0 {
			e.t.Errorf("dead letters %+v, want none", dead)
		}
	})
}
