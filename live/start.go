package live

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"lastmile/push"
)

// A push whose action ends the process is found out by counting the starts of
// redelivered pushes that nobody survived. When a process ends, all that it was
// starting are suspects; so a push that was there twice is started alone from
// then on (see turns), and what a death says is said of it. An innocent one
// gets no further than that: it survives its start alone, which clears it.

const (
	// maxBeside is how many counted starts a push may have beside others. It is
	// more than one so that thousands of pages that come back after a crash, and
	// after a second one, are not held up by one another.
	maxBeside = 2
	// maxStarts is how many counted starts a push may have. Two of them it has
	// alone: one may fall together with a death that has another cause.
	maxStarts = 4
	// suspectLook is how often it is looked whether a suspect has been survived.
	suspectLook = time.Second
)

// mayStart lets a redelivered push start in turn and counts the start, so that
// one which kills its process is found out. It reports false when the push has
// to wait, or is given up.
func (c *conn) mayStart(ctx context.Context, it *item) bool {
	if !it.redelivered || it.rerun {
		return true
	}
	if it.alone && c.hub.marks.survived(c.who.Session, it.entry.Seq) {
		it.alone = false // in another tab
	}
	if !c.turn(it) {
		return false
	}
	if !it.alone && it.verdict.IsZero() && (it.marked || c.marked && !c.careful) {
		return true
	}
	most := maxBeside
	if it.alone {
		most = maxStarts
	}
	before, err := c.page.mark(ctx, c.who.Session, it.entry, most)
	switch {
	case err != nil:
		c.retry = &retry{item: it, at: time.Now().Add(push.Backoff(2, stallBase, stallMax)), unstarted: true}
		return false
	case before < most:
		it.marked, c.marked = true, true
		c.careful = c.careful || before > 0 // a process died at or behind it: find out where
		return true
	case before < maxStarts:
		it.alone, it.again = true, before > maxBeside
		return c.mayStart(ctx, it)
	}
	c.suspect(ctx, it, before)
	return false
}

// turn asks for the push's turn, unless it has it. It reports false when the
// push has to wait.
func (c *conn) turn(it *item) bool {
	if p := c.pass; p != nil && (c.passOf != it || p.alone != it.alone) {
		c.giveTurn()
	}
	if c.pass == nil {
		c.pass, c.passOf = c.hub.turns.ask(it.alone, it.again), it
	}
	if c.hub.turns.started(c.pass) {
		return true
	}
	c.retry = &retry{item: it, unstarted: true}
	return false
}

// giveTurn gives the turn back, or no longer waits for it.
func (c *conn) giveTurn() {
	if c.pass != nil {
		c.hub.turns.end(c.pass)
		c.pass, c.passOf = nil, nil
	}
}

// inLine reports whether the connection waits for its turn.
func (c *conn) inLine() bool { return c.pass != nil && !c.hub.turns.started(c.pass) }

// turned returns a channel that yields once when the turn has come.
func (c *conn) turned() <-chan struct{} {
	if c.pass == nil || c.pass.woken {
		return nil
	}
	return c.pass.ready
}

// suspect deals with a push that no process has survived. It waits for the sign
// that another process does, and is given up without.
func (c *conn) suspect(ctx context.Context, it *item, starts int) {
	switch {
	case it.verdict.IsZero():
		// That is more than another process takes for an action that it can
		// end, and for telling.
		it.verdict = time.Now().Add(c.hub.cfg.ActionTimeout + c.hub.cfg.StoreTimeout)
		fallthrough
	case time.Now().Before(it.verdict):
		it.alone = false // it may turn out to be innocent
		c.retry = &retry{item: it, at: time.Now().Add(suspectLook), unstarted: true}
	case !it.looked && !c.lookAgain(ctx, it): // it is in line again
	case c.view.holds(it.entry):
		// Another page has survived it, and a replay of the letter would
		// repeat what it did to the persisted fields.
		c.retry = nil
		c.hub.log.ErrorContext(ctx, "push that others have applied ends the process on this page, passed over",
			"session", push.Redact(c.who.Session), "view", c.page.name, "action", it.entry.Action, "id", it.entry.ID, "attempt", starts)
		c.out.fail(frameError{Code: codeDeadLetter, Text: "An update could not be applied.", Action: it.entry.Action})
		c.passed(it)
	default:
		c.bury(ctx, it, push.Failure{Reason: push.ReasonCrashLoop, Attempts: starts, Error: "the process ended each time the push was started"})
	}
}

// mark counts the start of a push that another process may have started before,
// once in this process. It returns how many were counted before.
func (p *page) mark(ctx context.Context, session string, e push.Entry, most int) (int, error) {
	return p.hub.marks.count(session, e.Seq, most, func() (int, error) {
		return p.hub.deps.Node.CountStart(context.WithoutCancel(ctx), session, e, most) // others may wait for it
	})
}

// unmark takes the starts of a push back that has killed nothing, and reports
// whether it could.
func (p *page) unmark(ctx context.Context, session string, e push.Entry) bool {
	err := p.hub.deps.Node.ClearStarts(context.WithoutCancel(ctx), session, e)
	if err != nil {
		p.hub.log.WarnContext(ctx, "start of a push stays counted", "session", push.Redact(session), "action", e.Action, "id", e.ID, "error", err)
	}
	return err == nil
}

// survived clears a push that was started alone. Other tabs of the process go
// on being careful about what comes behind it.
func (p *page) survived(ctx context.Context, session string, e push.Entry) {
	if p.unmark(ctx, session, e) {
		p.hub.marks.set(session, e.Seq, maxBeside-1)
	}
}

// uncount takes a start back that has killed nothing, done or not, and reports
// whether it could.
func (p *page) uncount(ctx context.Context, session string, e push.Entry) bool {
	ok := p.unmark(ctx, session, e)
	if ok {
		p.hub.marks.forget(session, e.Seq)
	}
	return ok
}

// mountStarts lets the pending pushes of a mount start, as mayStart does for a
// connection. A browser waits for it: what may not start in time is left.
type mountStarts struct {
	page    *page
	session string
	by      time.Time
	marking bool
	marked  []push.Entry // and started beside others
	pass    *pass
}

// may reports whether the push may start: then ended has to follow.
func (s *mountStarts) may(ctx context.Context, e push.Entry) (bool, error) {
	again := false
	for most := maxBeside; ; most = maxStarts {
		s.pass = s.page.hub.turns.ask(most == maxStarts, again)
		if !s.page.hub.turns.wait(ctx, s.pass, time.Until(s.by)) {
			return false, nil
		}
		if !s.marking {
			return true, nil
		}
		before, err := s.page.mark(ctx, s.session, e, most)
		if err == nil && before < most {
			s.marking = before > 0 // a process died at or behind it: find out where
			if !s.pass.alone {
				s.marked = append(s.marked, e)
			}
			return true, nil
		}
		s.page.hub.turns.end(s.pass)
		if err != nil || before >= maxStarts {
			return false, err
		}
		again = before > maxBeside
	}
}

// ended follows a start.
func (s *mountStarts) ended(ctx context.Context, e push.Entry) {
	if s.pass.alone {
		s.page.survived(ctx, s.session, e)
	}
	s.page.hub.turns.end(s.pass)
}

// over takes the marks of pushes back that have killed nothing: a browser may
// load its page on any number of nodes without acknowledging it.
func (s *mountStarts) over(ctx context.Context) {
	for _, e := range s.marked {
		if !s.page.uncount(ctx, s.session, e) {
			return // the store is away
		}
	}
}

// markTable remembers which redelivered pushes this process has started, and
// how many starts were counted before, so that the tabs of one session do not
// count as several crashes.
type markTable struct {
	counting singleflight.Group

	mu     sync.Mutex
	counts map[markKey]int
}

type markKey struct {
	session string
	seq     push.Seq
}

// maxMarks bounds the table; forgetting costs a call.
const maxMarks = 10_000

// count has mark count the start of a push unless this process has, and returns
// how many were counted before. Tabs that start it together share one call: all
// of them are alone with it, or none, so they have the same bound.
func (t *markTable) count(session string, seq push.Seq, most int, mark func() (int, error)) (int, error) {
	key := markKey{session, seq}
	before, err, _ := t.counting.Do(fmt.Sprint(session, "\n", seq, "\n", most), func() (any, error) {
		t.mu.Lock()
		n, known := t.counts[key]
		t.mu.Unlock()
		if known {
			return n, nil
		}
		n, err := mark()
		if err == nil && n < most {
			t.set(session, seq, n)
		}
		return n, err
	})
	n, _ := before.(int)
	return n, err
}

// survived reports whether the push has been started here and need not be
// started alone.
func (t *markTable) survived(session string, seq push.Seq) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	n, ok := t.counts[markKey{session, seq}]
	return ok && n < maxBeside
}

func (t *markTable) set(session string, seq push.Seq, n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts == nil || len(t.counts) >= maxMarks {
		t.counts = map[markKey]int{}
	}
	t.counts[markKey{session, seq}] = n
}

func (t *markTable) forget(session string, seq push.Seq) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.counts, markKey{session, seq})
}
