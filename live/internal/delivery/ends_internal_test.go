package delivery

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"lastmile/push"
)

func TestStoreThatFails(t *testing.T) {
	t.Parallel()
	inTime(t, func(t *testing.T, f *fake) {
		away := errors.New("away")
		s := f.mounted()
		f.createErr = away
		f.push(1, "a")
		f.all(s)
		if s.Commit(t.Context()) || !s.Stalled() || s.Resume(t.Context()) {
			t.Error("a page without a record goes on")
		}
		soonest := time.Time{}
		s.Due(func(at time.Time) { soonest = at })
		if d := time.Until(soonest); d <= 0 || d > stallMax {
			t.Errorf("tries again in %v", d)
		}
		f.createErr = nil
		time.Sleep(stallMax)
		if !s.Resume(t.Context()) || s.Stalled() || f.commits != 1 {
			t.Error("does not go on")
		}
		f.loadErr = away
		if s.BeforeClick(t.Context()) || !s.Stalled() {
			t.Error("a click runs on what nobody has read")
		}
		time.Sleep(stallMax)
		if !s.Resume(t.Context()) || s.Stalled() {
			t.Error("does not go on")
		}
		f.loadErr = nil
		s.Touch()
		s.commitErr(f, 1, away)
		if s.Commit(t.Context()) || !s.Stalled() {
			t.Error("a failed commit goes on")
		}
		time.Sleep(stallMax)
		s.commitErr(f, commitTries, push.ErrStateConflict)
		if s.Resume(t.Context()) || !s.Stalled() {
			t.Error("a commit without end")
		}
		if len(f.over) != 0 {
			t.Errorf("over: %v", f.over)
		}
	})
}

func TestEnds(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		break_ func(f *fake, s *Session)
		want   End
	}{
		"fenced": {func(f *fake, s *Session) { s.commitErr(f, 1, push.ErrFenced) }, EndFenced},
		"gone":   {func(f *fake, s *Session) { s.commitErr(f, 1, push.ErrNoState) }, EndGone},
		"not stored": {func(_ *fake, s *Session) {
			s.shared.fields = fakeFields{names: []string{"A", "B"}, err: errors.New("bad")}
		}, EndUnstorable},
		"not merged": {func(f *fake, s *Session) { f.view.State = []byte("{"); s.commitErr(f, 1, push.ErrStateConflict) }, EndUnstorable},
		"too large": {func(f *fake, s *Session) {
			f.write(map[string]string{"A": strings.Repeat("x", 2<<10)}, 0)
			s.BeforeClick(f.t.Context())
		}, EndTooLarge},
		"not restored": {func(f *fake, s *Session) {
			f.notFlat, f.decode = true, errors.New("bad")
			f.fails["topic"] = 1
			s.Topic(f.t.Context(), entry(0, "topic"))
		}, EndStateLost},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inTime(t, func(t *testing.T, f *fake) {
				s := f.mounted()
				s.Commit(t.Context())
				f.push(1, "a")
				f.all(s)
				tt.break_(f, s)
				s.Touch()
				s.Commit(t.Context())
				if len(f.over) == 0 || f.over[0] != tt.want {
					t.Errorf("over: %v, want %d", f.over, tt.want)
				}
			})
		})
	}
}

func TestAcknowledgement(t *testing.T) {
	t.Parallel()
	inTime(t, func(t *testing.T, f *fake) {
		s := f.mounted(entry(1, "Nobody"), entry(2, "a"))
		f.all(s)
		f.push(3, "Nobody")
		f.push(4, "b")
		s.Acks.Sent(1, s.Now().Cursor)
		s.Acks.Unchanged(s.Now().Cursor)
		f.all(s)
		s.Acks.Sent(2, s.Now().Cursor)
		s.Commit(t.Context())
		s.Settle(t.Context())
		if s.Acks.Outstanding() != 2 || f.acked != 0 || len(f.ackedBy) != 0 {
			t.Error("acknowledged before it was shown")
		}
		s.Acks.Confirm(1)
		f.ackErr = errors.New("away")
		s.Settle(t.Context())
		f.ackErr = nil
		s.Settle(t.Context())
		if len(f.ackedBy) != 0 {
			t.Error("does not wait for the store")
		}
		time.Sleep(stallMax)
		s.Settle(t.Context())
		if len(f.ackedBy) != 1 || f.ackedBy[0].UpTo != seqOf(2) || !slices.Equal(f.ackedBy[0].Skipped, []push.Seq{seqOf(1)}) || f.acked != seqOf(2) {
			t.Errorf("acknowledged %+v and %d", f.ackedBy, f.acked)
		}
		s.Acks.Confirm(2)
		s.Settle(t.Context())
		if f.acked != seqOf(4) || !slices.Equal(f.skipped, []push.Seq{seqOf(3)}) || f.flushed != 0 || s.Acks.Outstanding() != 0 {
			t.Errorf("acknowledged %d but for %v, %d flushed", f.acked, f.skipped, f.flushed)
		}
		s.Acks.Unchanged(seqOf(9))
		if s.Acks.shown != seqOf(9) {
			t.Error("what looks the same is shown")
		}
	})
}

// TestLeave: a browser is not sent elsewhere before the store knows what it has
// shown. The next page would find that pending, and do it again.
func TestLeave(t *testing.T) {
	t.Parallel()
	inTime(t, func(t *testing.T, f *fake) {
		s := f.mounted()
		if !s.MayLeave() {
			t.Error("waits for nothing")
		}
		f.push(1, "a")
		f.all(s)
		s.Acks.Sent(1, s.Now().Cursor)
		s.Commit(t.Context())
		s.Leave()
		s.Settle(t.Context())
		if s.MayLeave() || f.flushed != 0 {
			t.Errorf("may leave %v before it was shown, %d flushed", s.MayLeave(), f.flushed)
		}
		s.Acks.Confirm(1)
		s.Settle(t.Context())
		if s.MayLeave() || f.acked != seqOf(1) || f.flushed == 0 {
			t.Errorf("may leave %v before the store knows, acknowledged %d, %d flushed", s.MayLeave(), f.acked, f.flushed)
		}
		f.confirmed = seqOf(1)
		if !s.MayLeave() {
			t.Error("may not leave though the store knows")
		}
		f.push(2, "b")
		f.all(s)
		s.Acks.Sent(2, s.Now().Cursor)
		s.Commit(t.Context())
		if !s.MayLeave() {
			t.Error("waits for what came later")
		}
		s.Acks.Confirm(2)
		s.Settle(t.Context())
		s.Leave()
		flushed := f.flushed
		if s.Settle(t.Context()); s.MayLeave() || f.flushed == flushed {
			t.Error("what was acknowledged before has been gathered only")
		}
	})
	inTime(t, func(t *testing.T, f *fake) {
		f.unacked = []push.Entry{entry(1, "Nobody"), entry(2, "a")}
		s := f.resumed(2)
		s.Leave()
		if s.Settle(t.Context()); s.MayLeave() || f.acked != 0 {
			t.Error("what a former life has shown is acknowledged before this one shows it")
		}
		s.Acks.Sent(1, s.Now().Cursor)
		s.Acks.Confirm(1)
		s.Settle(t.Context())
		if f.acked != seqOf(2) || !slices.Equal(f.skipped, []push.Seq{seqOf(1)}) || f.flushed == 0 {
			t.Errorf("acknowledged %d but for %v, %d flushed", f.acked, f.skipped, f.flushed)
		}
	})
}

func TestResumedPage(t *testing.T) {
	t.Parallel()
	inTime(t, func(t *testing.T, f *fake) {
		f.unacked = []push.Entry{entry(1, "Nobody"), entry(2, "a")}
		s := f.resumed(2)
		if f.created != 0 || s.Fence() != 1 || !slices.Equal(s.Acks.skipped, []push.Seq{seqOf(1)}) || s.Acks.done != seqOf(2) {
			t.Errorf("skipped %v, done %d", s.Acks.skipped, s.Acks.done)
		}
		f.write(map[string]string{"A": "theirs"}, seqOf(1))
		if err := s.Refresh(t.Context(), true); err != nil || stateOf(s).A != "theirs" {
			t.Errorf("%v, %+v", err, stateOf(s))
		}
		if err := s.Refresh(t.Context(), false); err != nil {
			t.Error(err)
		}
		s.StoreLast(t.Context(), true)
		s.Close()
		with := NewSession(f.Deps, key(), f.program(), f, Start{State: fakeState{}, Feed: f, Created: true, Effects: fakeEffects("say")})
		if err := with.Refresh(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		with.StoreLast(t.Context(), true)
		if f.commits != 0 {
			t.Error("stored what has not been shown")
		}
		with.StoreLast(t.Context(), false)
		if f.commits != 1 || !slices.Equal(f.happened, []string{"say"}) {
			t.Errorf("%d commits, %v", f.commits, f.happened)
		}
	})
}
