package delivery

import (
	"context"
	"log/slog"
	"time"

	"lastmile/push"
)

// A push whose action ends the process is found out by counting the starts of
// redelivered pushes that nobody survived. When a process ends, all that it was
// starting are suspects; so a push that was there twice is isolated from then on
// (see Gate), and what a death says is said of it. An innocent one gets no
// further than that: it survives its isolated start, which clears it.

// starts lets the redelivered pushes of one page start in turn, and counts the
// starts. It is for sockets, GETs and POSTs.
type starts struct {
	deps *Deps
	key  Key
	// counted says that the first one has been counted, careful that a process
	// died at or behind it: then each is, and is stored before the next one, to
	// find out where.
	counted, careful bool
	// pass is that of the push of, while it runs or waits for its turn.
	pass *Pass
	of   *item
}

// may asks whether a push may start now. It counts the start if so.
func (s *starts) may(ctx context.Context, it *item) (v startVerdict, before int) {
	if !it.redelivered || it.rerun {
		return mayStart, 0
	}
	if it.isolated && s.deps.Counts.survived(s.key.Session, it.entry.Seq) {
		it.isolated = false // in another tab
	}
	for {
		if !s.turn(it) {
			return mustWait, 0
		}
		if s.exempt(it) {
			return mayStart, 0
		}
		before, err := s.count(ctx, it.entry, most(it.isolated))
		if err != nil {
			return isUnknown, 0
		}
		v = decideStart(before, it.isolated)
		switch v {
		case mayStart:
			it.counted, s.counted = true, true
			s.careful = s.careful || before > 0
			return v, before
		case mustIsolate:
			it.isolated, it.isolatedBefore = true, before > maxBeside
		default:
			return v, before
		}
	}
}

// exempt reports whether the start need not be counted: it has been, or nobody
// died at the first one.
func (s *starts) exempt(it *item) bool {
	return !it.isolated && it.giveUpAt.IsZero() && (it.counted || s.counted && !s.careful)
}

// turn asks for the push's turn, unless it has it. It reports false when the
// push has to wait.
func (s *starts) turn(it *item) bool {
	if p := s.pass; p != nil && (s.of != it || p.isolated != it.isolated) {
		s.giveBack()
	}
	if s.pass == nil {
		s.pass, s.of = s.deps.Gate.ask(it.isolated, it.isolatedBefore), it
	}
	return s.deps.Gate.started(s.pass)
}

// wait blocks until the push that must wait has its turn, at most for a time. It
// reports false when that is over.
func (s *starts) wait(ctx context.Context, most time.Duration) bool {
	if s.deps.Gate.wait(ctx, s.pass, most) {
		return true
	}
	s.pass, s.of = nil, nil
	return false
}

// ran follows a run. A push that is isolated keeps its turn until it is stored
// and cleared.
func (s *starts) ran(it *item) {
	if !it.isolated {
		s.giveBack()
	}
}

// giveBack gives the turn back, or no longer waits for it.
func (s *starts) giveBack() {
	if s.pass != nil {
		s.deps.Gate.end(s.pass)
		s.pass, s.of = nil, nil
	}
}

// inLine reports whether the page waits for its turn.
func (s *starts) inLine() bool { return s.pass != nil && !s.deps.Gate.started(s.pass) }

// count counts the start of a push, once in this process.
func (s *starts) count(ctx context.Context, e push.Entry, most int) (int, error) {
	return s.deps.Counts.count(s.key.Session, e.Seq, most, func() (int, error) {
		return s.deps.Node.CountStart(context.WithoutCancel(ctx), s.key.Session, e, most) // others may wait for it
	})
}

// clear takes the starts of a push back that has killed nothing, and reports
// whether it could.
func (s *starts) clear(ctx context.Context, e push.Entry) bool {
	err := s.deps.Node.ClearStarts(context.WithoutCancel(ctx), s.key.Session, e)
	if err != nil {
		s.deps.log(ctx, slog.LevelWarn, s.key, "start of a push stays counted", "action", e.Action, "id", e.ID, "error", err)
	}
	return err == nil
}

// survived clears a push that was isolated, once it is stored. Other tabs of the
// process go on being careful about what comes behind it.
func (s *starts) survived(ctx context.Context, it *item) {
	if it.isolated && it.counted && s.clear(ctx, it.entry) {
		s.deps.Counts.set(s.key.Session, it.entry.Seq, maxBeside-1)
	}
}

// takeBack takes a start back that has killed nothing, done or not, and reports
// whether it could.
func (s *starts) takeBack(ctx context.Context, e push.Entry) bool {
	ok := s.clear(ctx, e)
	if ok {
		s.deps.Counts.forget(s.key.Session, e.Seq)
	}
	return ok
}
