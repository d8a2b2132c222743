package delivery

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"lastmile/push"
)

// suspectLook is how often it is looked whether a suspect has been survived.
const suspectLook = time.Second

// Next brings the shared fields up to date, or else deals with the next push, if
// there is one and it is due. It reports whether it did anything.
func (s *Session) Next(ctx context.Context) bool {
	if s.failover.back && !s.reread(ctx) {
		return false
	}
	if s.follow(ctx) {
		return true
	}
	it := s.next()
	if it == nil {
		return false
	}
	s.apply(ctx, it)
	if r := s.queue.retry; r == nil || !r.at.IsZero() {
		s.starts.giveBack()
	}
	if s.queue.empty() && s.queue.end > s.now.Cursor { // the mount's pushes have gone through
		s.now.Cursor = s.queue.end
		s.Touch()
	}
	return true
}

// next returns what is next in line and due, or nil.
func (s *Session) next() *item {
	if r := s.queue.retry; r != nil {
		if time.Now().Before(r.at) || s.starts.inLine() {
			return nil
		}
		return r.item
	}
	if it := s.queue.pop(); it != nil {
		return it
	}
	e, ok := s.feed.Next()
	if !ok {
		if s.failover.behind() && s.feed.CaughtUp() {
			s.failover.caughtUp()
		}
		return nil
	}
	return &item{entry: e, redelivered: s.feed.Redelivered(e)}
}

// apply has done to an entry what decide says.
func (s *Session) apply(ctx context.Context, it *item) {
	known := it.entry.Seq <= s.failover.own || s.now.Applied.has(it.entry)
	held := s.shared.view.holds(it.entry)
	s.queue.retry = nil // unless it has to wait again
	switch decide(facts{
		from: it.from, deadLettered: it.deadLettered, givenUp: it.failure != nil, unreadable: it.entry.Err != nil,
		handled: s.program.Handles(it.entry.Action), known: known, looked: it.looked, held: held, shares: !s.shared.none(),
	}) {
	case runTopic:
		s.runTopic(ctx, it)
	case passOver:
		s.passed(it)
	case deadLetter:
		s.deadLetter(ctx, it, *it.failure)
	case fail:
		s.failed(ctx, it, it.entry.Err)
	case park:
		s.Acks.skip(it.entry.Seq)
		s.shared.skip(it.entry.Seq)
		s.deps.Meter.Skipped(s.key, it.entry, !it.rerun)
		s.passed(it)
	case look:
		s.look(ctx, it)
	case repeat:
		s.deps.Meter.Repeated()
		s.passed(it)
	case catchUp:
		s.run(ctx, it, held, true)
	case start:
		if s.mayStart(ctx, it) {
			s.run(ctx, it, held, false)
		}
	}
}

// run runs a push and takes its result, or has it retried. known says that the
// page's own fields hold it already.
func (s *Session) run(ctx context.Context, it *item, held, known bool) {
	out, err := s.shared.run(ctx, s.program, s.state, it.entry, held)
	s.starts.ran(it)
	if err == nil && known {
		out, err = s.shared.only(ctx, s.program, s.now.Encoded, out)
	}
	if errors.Is(err, ErrLoad) { // that is not the push's fault
		s.queue.front(it)
		s.stallFor(ctx, err)
		return
	}
	if err != nil {
		it.fx = out.Effects // in case that was the last try
		s.failed(ctx, it, err)
		return
	}
	s.take(out)
	s.page.Changed()
	s.remember(it.entry, held)
	s.shared.unskip(it.entry.Seq)
	it.fx = out.Effects
	s.passed(it)
	s.page.Applied(it.entry)
	s.page.Subscribed(ctx, it.fx)
	if s.starts.careful && it.redelivered {
		s.Commit(ctx)
	}
}

// Topic runs a topic message, unless the view has no action for it.
func (s *Session) Topic(ctx context.Context, e push.Entry) {
	if s.program.Handles(e.Action) {
		s.runTopic(ctx, &item{entry: e, from: FromTopic})
	}
}

// runTopic runs a topic message once. It came at most once, so a failure is
// only logged.
func (s *Session) runTopic(ctx context.Context, it *item) {
	out, err := s.program.Run(ctx, s.state, it.entry, FromTopic)
	if err != nil {
		s.program.Failed(ctx, it.entry, FromTopic, 1, err)
		s.undo(ctx, err)
		return
	}
	s.take(out)
	s.page.Changed()
	it.fx = out.Effects
	s.passed(it)
	s.page.Subscribed(ctx, it.fx)
}

// remember notes that a push went into the page's own fields, and into the
// shared ones unless those held it before.
func (s *Session) remember(e push.Entry, held bool) {
	if !s.deps.Node.Replicated() {
		return
	}
	s.now.Applied = s.now.Applied.with(idOf(e))
	if !held && !s.shared.none() {
		s.shared.applied = s.shared.applied.with(idOf(e))
	}
}

// passed moves the cursor past a push that is dealt with.
func (s *Session) passed(it *item) {
	s.now.Cursor = max(s.now.Cursor, it.entry.Seq)
	s.failover.passed(it.entry.Seq)
	it.rerun = true
	s.queue.uncommitted = append(s.queue.uncommitted, it)
	s.Touch()
}

// failed has a push retried, or gives it up.
func (s *Session) failed(ctx context.Context, it *item, err error) {
	it.tries++
	reason := s.program.Failed(ctx, it.entry, it.from, it.tries, err)
	s.undo(ctx, err)
	if decideFailure(final(reason, err), it.tries, s.deps.RetryTries) {
		s.deadLetter(ctx, it, push.Failure{Reason: reason, Attempts: it.tries, Error: err.Error()})
		return
	}
	s.deps.Meter.Retried()
	s.queue.postpone(it, time.Now().Add(push.Backoff(it.tries-1, s.deps.RetryBase, s.deps.RetryMax)), false)
}

// deadLetter moves a push to the dead letters, tells the page, and goes on.
func (s *Session) deadLetter(ctx context.Context, it *item, f push.Failure) {
	e := it.entry
	if err := s.deps.Node.DeadLetter(ctx, s.key.Session, e.Seq, f); err != nil {
		s.deps.log(ctx, slog.LevelWarn, s.key, "push cannot become a dead letter yet", "action", e.Action, "id", e.ID, "error", err)
		it.tries++
		it.failure = &f
		s.queue.postpone(it, time.Now().Add(push.Backoff(it.tries, stallBase, stallMax)), false)
		return
	}
	s.deps.Meter.DeadLettered(f.Reason)
	s.deps.log(ctx, slog.LevelWarn, s.key, "push is a dead letter", "action", e.Action, "id", e.ID, "attempt", f.Attempts, "reason", string(f.Reason))
	it.failure, it.deadLettered = nil, true
	s.page.GaveUp(e, f.Error)
	s.passed(it)
}

// mayStart lets a push start in turn. It reports false when the push has to
// wait, or is given up.
func (s *Session) mayStart(ctx context.Context, it *item) bool {
	v, before := s.starts.may(ctx, it)
	switch v {
	case mayStart:
		return true
	case mustWait:
		s.queue.postpone(it, time.Time{}, true)
	case isUnknown:
		s.queue.postpone(it, time.Now().Add(push.Backoff(2, stallBase, stallMax)), true)
	default:
		s.suspect(ctx, it, before)
	}
	return false
}

// suspect deals with a push that no process has survived. It waits for the sign
// that another process does, and is given up without.
func (s *Session) suspect(ctx context.Context, it *item, starts int) {
	if it.giveUpAt.IsZero() {
		// That is more than another process takes for an action that it can
		// end, and for telling.
		it.giveUpAt = time.Now().Add(s.deps.ActionTimeout + s.deps.StoreTimeout)
	}
	switch decideSuspect(time.Now(), it.giveUpAt, it.looked || s.shared.none(), s.shared.view.holds(it.entry)) {
	case awaitSign:
		it.isolated = false // it may turn out to be innocent
		s.queue.postpone(it, time.Now().Add(suspectLook), true)
	case lookForSign:
		s.look(ctx, it)
	case clearOfIt:
		s.deps.log(ctx, slog.LevelError, s.key, "push that others have applied ends the process on this page, passed over",
			"action", it.entry.Action, "id", it.entry.ID, "attempt", starts)
		s.page.GaveUp(it.entry, "")
		s.passed(it)
	case condemn:
		s.deadLetter(ctx, it, push.Failure{Reason: push.ReasonCrashLoop, Attempts: starts, Error: "the process ended each time the push was started"})
	}
}

// look reads the shared fields anew before a push is judged that the page has
// applied already: that it comes again means that the store has fallen back, and
// what it holds need not be what the page last saw. The push is back in line.
func (s *Session) look(ctx context.Context, it *item) {
	s.queue.front(it)
	if s.unsaved && (!s.Commit(ctx) || s.Rerunning()) {
		return
	}
	if err := s.Refresh(ctx, true); err != nil {
		s.stallFor(ctx, err)
		return
	}
	it.looked = true
}

// BeforeClick reports whether the browser's next message may run now. What
// pushes have done is stored first, so that a conflict about the shared fields is
// about this action alone.
func (s *Session) BeforeClick(ctx context.Context) bool {
	if s.unsaved && (!s.Commit(ctx) || s.Rerunning()) {
		return false
	}
	if err := s.Refresh(ctx, false); err != nil {
		s.stallFor(ctx, err)
		return false
	}
	return !s.failover.behind()
}

// BeforeConnect reports whether OnConnect may run now: as before a click.
func (s *Session) BeforeConnect(ctx context.Context) bool {
	return len(s.queue.uncommitted) == 0 || (s.Commit(ctx) && !s.Rerunning())
}

// MayClick reports whether clicks may run at all for now.
func (s *Session) MayClick() bool { return !s.Rerunning() && !s.failover.behind() }

// Click runs an action of the browser. number is its message's, or 0. Commit has
// to follow before anything is sent. The effects of a failed run are returned.
func (s *Session) Click(ctx context.Context, number uint64, run func(ctx context.Context, state any) (Outcome, error)) (Effects, error) {
	before, err := s.shared.fields.Of(s.state)
	var out Outcome
	if err == nil {
		out, err = run(ctx, s.state)
	}
	if number != 0 {
		s.now.Client = number
	}
	if err != nil {
		s.undo(ctx, err)
		return out.Effects, err
	}
	s.take(out)
	s.page.Changed()
	s.unsaved, s.shared.clicked = true, true
	s.shared.before = before
	if s.shared.after, err = s.shared.fields.Of(s.state); err != nil {
		s.shared.after = before // it was encoded a moment ago
	}
	s.Hold(ctx, out.Effects)
	return nil, nil
}

// Own runs code of the page's that no message has caused: OnConnect. The effects
// of a failed run are returned.
func (s *Session) Own(ctx context.Context, run func(ctx context.Context, state any) (Outcome, error)) (Effects, error) {
	out, err := run(ctx, s.state)
	if err != nil {
		s.undo(ctx, err)
		return out.Effects, err
	}
	s.take(out)
	s.page.Changed()
	s.Hold(ctx, out.Effects)
	return nil, nil
}
