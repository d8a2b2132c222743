package live_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/live"
	"lastmile/live/livetest"
	"lastmile/push"
)

// unhurried's pushes take their time.
type unhurried struct{ takes time.Duration }

func (c unhurried) Put(s list, ctx *live.Context) (list, error) {
	item := ctx.GetString("item")
	if item == "long" {
		time.Sleep(time.Minute)
	}
	time.Sleep(c.takes)
	s.Items = append(s.Items, item)
	s.A += item + " "
	return s, nil
}

func (unhurried) Rename(s list, ctx *live.Context) (list, error) {
	s.Title = ctx.GetString("title")
	return s, nil
}

// hindering is a store that counts no starts for a while, and may have lost the
// records of connections.
type hindering struct {
	store
	uncounted, forgotten atomic.Bool
}

func (h *hindering) CountStart(ctx context.Context, session string, seq push.Seq, most int) (int, error) {
	if h.uncounted.Load() {
		return 0, errors.New("no starts are counted")
	}
	return h.store.CountStart(ctx, session, seq, most)
}

func (h *hindering) TakeConn(ctx context.Context, session, conn string, ttl time.Duration) (push.ConnRecord, error) {
	if h.forgotten.Load() {
		return push.ConnRecord{}, push.ErrNoState
	}
	return h.store.TakeConn(ctx, session, conn, ttl)
}

// TestNothingOnTheScreenGoesBack: a process ends before it has stored what its
// page shows. Whatever holds the next process up in applying that again, no frame
// shows less. Clicks are answered meanwhile, and shown in the end.
func TestNothingOnTheScreenGoesBack(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		// died is how many processes have ended at the page's first push already,
		// turn how many at a push of another page that takes a minute.
		died, turn int
		// takes is how long the next process takes for each push.
		takes time.Duration
		// uncounted is how long no starts are counted, cleared when another process
		// tells that it has survived the first push.
		uncounted, cleared time.Duration
		// forgotten says that the page's record is gone too.
		forgotten bool
	}{
		{name: "nothing"},
		{name: "many slow pushes", takes: 900 * time.Millisecond},
		{name: "one alone before it", turn: 2},
		{name: "one alone before it, to be alone itself", turn: 2, died: 2},
		{name: "suspected of ending processes", died: 4, cleared: 30 * time.Second},
		{name: "no starts are counted", uncounted: 30 * time.Second},
		{name: "mounted anew, slowly", takes: 900 * time.Millisecond, forgotten: true},
		{name: "mounted anew, one alone before it", turn: 2, died: 2, forgotten: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			onAll(t, func(e env) {
				s := newScreen(e, "a b c d e f")
				s.died(s.receipts[0], tt.died)
				store := &hindering{store: e.store}
				store.uncounted.Store(tt.uncounted > 0)
				store.forgotten.Store(tt.forgotten)
				if tt.cleared > 0 {
					time.AfterFunc(tt.cleared, func() {
						if err := e.store.ClearStarts(e.t.Context(), s.mine.ID(), s.receipts[0].Seq); err != nil {
							e.t.Error(err)
						}
					})
				}
				time.AfterFunc(tt.uncounted, func() { store.uncounted.Store(false) })
				n := startNode(e.t, store, live.Config{ActionTimeout: 2 * time.Minute})
				v := view(e.t, n, unhurried{tt.takes}, list{}, listHTML)
				synctest.Wait()
				if tt.turn > 0 {
					s.died(s.push(s.theirs, "long"), tt.turn)
					s.connect(s.other, v)
				}
				s.connect(s.page, v)
				s.watch()
			})
		})
	}
}

// screen is a page that shows more than is stored.
type screen struct {
	t            *testing.T
	store        store
	page, other  *livetest.Page
	mine, theirs push.Session
	shown        string
	receipts     []push.Receipt
}

func newScreen(e env, shown string) *screen {
	e.t.Helper()
	process := &mortal{store: e.store}
	n := startNode(e.t, process, live.Config{})
	v := view(e.t, n, unhurried{}, list{}, listHTML)
	b, other := e.browser(), e.browser()
	s := &screen{
		t: e.t, store: e.store, shown: shown, page: b.Open(v, "/"), other: other.Open(v, "/"),
		mine: sessionOf(e.t, n, b), theirs: sessionOf(e.t, n, other),
	}
	s.other.Drop()
	time.Sleep(time.Second)
	process.dead.Store(true) // for the store; the page has its frames yet
	for item := range strings.FieldsSeq(shown) {
		s.receipts = append(s.receipts, s.push(s.mine, item))
	}
	waitItems(e.t, s.page, shown)
	s.page.Drop()
	n.stop()
	return s
}

func (s *screen) push(to push.Session, item string) push.Receipt {
	s.t.Helper()
	r, err := to.Trigger(s.t.Context(), "Put", put(item))
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

// died counts starts of a push, as processes do that end then.
func (s *screen) died(r push.Receipt, starts int) {
	s.t.Helper()
	session := s.mine
	if len(s.receipts) == 0 || r.Seq > s.receipts[len(s.receipts)-1].Seq {
		session = s.theirs
	}
	for range starts {
		if _, err := s.store.CountStart(s.t.Context(), session.ID(), r.Seq, starts); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *screen) connect(p *livetest.Page, v *live.View[list]) {
	s.t.Helper()
	if err := p.TryConnect(v); err != nil {
		s.t.Fatal(err)
	}
	synctest.Wait()
}

// watch clicks, and looks at the screen for two minutes.
func (s *screen) watch() {
	s.t.Helper()
	click := s.page.Send("Rename", map[string]any{"title": "clicked"})
	began, answered, back := time.Now(), time.Duration(0), false
	for time.Since(began) < 2*time.Minute {
		time.Sleep(10 * time.Millisecond)
		if got := items(s.page); got != s.shown && !back {
			back = true // and the rest takes its time
			s.t.Errorf("after %v the page shows %q, before %q", time.Since(began), got, s.shown)
		}
		if answered == 0 && s.page.Settled(click) {
			answered = time.Since(began)
		}
	}
	if answered == 0 || answered > 6*time.Second {
		s.t.Errorf("a click was answered after %v, want one while what was missed is applied", answered)
	}
	if html := s.page.HTML(); !strings.Contains(html, "clicked") || !strings.Contains(html, "a="+s.shown+" ") {
		s.t.Errorf("the page shows %s, want the click and the pushes", html)
	}
	if got := s.page.State().Errors; len(got) > 0 {
		s.t.Errorf("the page was told of errors: %+v", got)
	}
	if dead := deadLetters(s.t, s.store); len(dead) > 0 {
		s.t.Errorf("dead letters %+v, want none", dead)
	}
}
