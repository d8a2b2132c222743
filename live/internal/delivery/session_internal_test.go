package delivery

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/push"
)

// inTime runs a test in fake time.
func inTime(t *testing.T, test func(t *testing.T, f *fake)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, newFake(t)) })
}

func TestPushesAreAppliedInOrderAndStoredTogether(t *testing.T) {
	t.Parallel()
	inTime(t, func(t *testing.T, f *fake) {
		s := f.mounted()
		f.push(1, "a")
		f.push(2, "share")
		f.push(3, "Nobody")
		f.push(4, "say")
		f.all(s)
		if got := stateOf(s); got != (fakeState{Own: "asharesay", A: "share"}) || s.Now().Cursor != seqOf(4) || f.applied != 3 || f.changed != 3 {
			t.Errorf("state %+v at %d, %d applied, %d changed", got, s.Now().Cursor, f.applied, f.changed)
		}
		if f.commits != 0 || len(f.happened) != 0 {
			t.Errorf("%d commits and %v before it was time", f.commits, f.happened)
		}
		s.CommitDue(t.Context(), false)
		if f.commits != 0 {
			t.Error("stored before its time without a frame")
		}
		s.CommitDue(t.Context(), true)
		if f.commits != 1 || f.created != 1 || !slices.Equal(f.happened, []string{"say"}) || f.conn.Cursor != seqOf(4) || s.Saved().Cursor != seqOf(4) {
			t.Errorf("%d commits, %d records, happened %v, stored at %d", f.commits, f.created, f.happened, f.conn.Cursor)
		}
		if !slices.Contains(f.counted, "skipped") || f.view.Cursor != seqOf(4) || !strings.Contains(string(f.view.State), `"skipped":[`) {
			t.Errorf("counted %v, view %s", f.counted, f.view.State)
		}
		s.CommitDue(t.Context(), true)
		if f.commits != 1 || s.Err() != nil || s.Ready() != nil || s.Fence() != 0 || !s.Presentable() || s.CatchingUp() {
			t.Error("an idle page is stored again")
		}
	})
}

func TestCommitsAreDue(t *testing.T) {
	t.Parallel()
	inTime(t, func(t *testing.T, f *fake) {
		s := f.mounted()
		f.push(1, "quiet")
		f.all(s)
		s.CommitDue(t.Context(), true) // nothing to show
		if f.commits != 0 {
			t.Error("stored for a frame that shows the state alone")
		}
		var at time.Time
		s.Due(func(d time.Time) {
			if !d.IsZero() {
				at = d
			}
		})
		if got := time.Until(at); got != f.CommitDelay {
			t.Errorf("due in %v, want %v", got, f.CommitDelay)
		}
		time.Sleep(f.CommitDelay)
		s.CommitDue(t.Context(), false)
		if f.commits != 1 || !slices.Equal(f.happened, []string{"quiet"}) {
			t.Errorf("%d commits, %v", f.commits, f.happened)
		}
		for i := range maxUncommitted {
			f.entries = append(f.entries, push.Entry{Seq: seqOf(2 + i), Message: push.Message{Action: "a"}})
		}
		f.all2(s)
		s.CommitDue(t.Context(), false)
		if f.commits != 2 {
			t.Errorf("%d commits with %d pushes", f.commits, maxUncommitted)
		}
		s.KeepAlive()
		s.CommitDue(t.Context(), false)
		time.Sleep(f.ResumeTTL/3 + time.Second)
		s.KeepAlive()
		time.Sleep(f.CommitDelay)
		s.CommitDue(t.Context(), false)
		if f.commits != 3 {
			t.Errorf("%d commits, want one to keep the page alive", f.commits)
		}
	})
}

// all2 applies many.
func (f *fake) all2(s *Session) {
	for s.Next(f.t.Context()) {
	}
}

func TestFailingPushIsRetriedAndGivenUp(t *testing.T) {
	t.Parallel()
	inTime(t, func(t *testing.T, f *fake) {
		s := f.mounted()
		f.notFlat = true
		f.fails["say"] = 2
		f.push(1, "say")
		f.push(2, "b")
		f.all(s)
		if stateOf(s).Own != "" || s.Now().Cursor != 0 || s.CatchingUp() || s.Rerunning() {
			t.Errorf("behind a push that fails: %+v", stateOf(s))
		}
		for range 2 {
			time.Sleep(2 * time.Second)
			f.all(s)
		}
		if stateOf(s).Own != "sayb" || len(f.letters) != 0 {
			t.Errorf("state %+v, letters %v", stateOf(s), f.letters)
		}
		f.fails["say"] = 3
		f.push(3, "say")
		for range 3 {
			f.all(s)
			time.Sleep(2 * time.Second)
		}
		f.all(s)
		s.Commit(t.Context())
		if len(f.letters) != 1 || f.letters[0].Attempts != 3 || f.letters[0].Reason != push.ReasonError || !slices.Equal(f.gaveUp, []string{"say"}) || len(f.happened) != 2 {
			t.Errorf("letters %+v, told %v, happened %v", f.letters, f.gaveUp, f.happened)
		}
		f.failure = push.ErrReject
		f.fails["c"] = 1
		f.letterErr = errors.New("away")
		f.push(4, "c")
		f.push(5, "d")
		f.all(s)
		if s.Now().Cursor != seqOf(3) {
			t.Error("passed a push that is not a dead letter yet")
		}
		f.letterErr = nil
		time.Sleep(2 * time.Second)
		f.all(s)
		if len(f.letters) != 2 || f.letters[1].Reason != push.ReasonRejected || f.letters[1].Attempts != 1 || s.Now().Cursor != seqOf(5) {
			t.Errorf("letters %+v at %d", f.letters, s.Now().Cursor)
		}
		f.entries = append(f.entries, push.Entry{Seq: seqOf(6), Err: push.ErrDecode, Message: push.Message{Action: "e"}})
		f.all(s)
		if len(f.letters) != 3 || slices.Contains(f.ran, "e") {
			t.Errorf("letters %+v, ran %v", f.letters, f.ran)
		}
	})
}

func TestConflictRunsPushesAgain(t *testing.T) {
	t.Parallel()
	inTime(t, func(t *testing.T, f *fake) {
		s := f.mounted()
		f.push(1, "say")
		f.push(2, "share")
		f.fails["last"] = 1
		f.push(3, "last")
		f.all(s)
		s.Topic(t.Context(), entry(0, "Nobody"))
		s.Topic(t.Context(), entry(0, "topic"))
		f.rivals = 1
		if !s.Commit(t.Context()) || !s.Rerunning() || s.Presentable() || s.MayClick() || len(f.happened) != 0 || stateOf(s).A != "theirs" || stateOf(s).Own != "" {
			t.Fatalf("after a conflict: %+v, happened %v", stateOf(s), f.happened)
		}
		f.all(s)
		if s.Commit(t.Context()); stateOf(s) != (fakeState{Own: "saysharetopiclast", A: "theirsshare"}) || !slices.Equal(f.happened, []string{"say"}) {
			t.Errorf("state %+v, happened %v", stateOf(s), f.happened)
		}
		if !slices.Contains(f.counted, "commit conflict") {
			t.Errorf("counted %v", f.counted)
		}
	})
}

func TestFieldsThatHoldAPushAreLeftAlone(t *testing.T) {
	t.Parallel()
	inTime(t, func(t *testing.T, f *fake) {
		s := f.mounted()
		f.push(1, "share")
		f.all(s)
		f.write(map[string]string{"A": "share"}, seqOf(1)) // another tab was faster
		s.Commit(t.Context())
		f.all(s)
		s.Commit(t.Context())
		if got := stateOf(s); got != (fakeState{Own: "share", A: "share"}) {
			t.Errorf("state %+v, want the push once", got)
		}
	})
}

func click(action string) func(context.Context, any) (Outcome, error) {
	return func(_ context.Context, state any) (Outcome, error) {
		s, _ := state.(fakeState)
		s.B += action
		b, err := (&fake{limit: 1 << 10}).Encode(s)
		return Outcome{State: s, Encoded: b, Effects: fakeEffects("say " + action)}, err
	}
}

func TestClickIsMergedAndAnsweredOnce(t *testing.T) {
	t.Parallel()
	inTime(t, func(t *testing.T, f *fake) {
		s := f.mounted()
		f.push(1, "share")
		f.all(s)
		if !s.BeforeClick(t.Context()) || f.commits != 1 {
			t.Fatal("what pushes did is not stored first")
		}
		f.write(map[string]string{"A": "other"}, 0)
		if !s.BeforeClick(t.Context()) || stateOf(s).A != "other" {
			t.Errorf("before a click: %+v", stateOf(s))
		}
		f.rivals, f.rival = 1, "late"
		if _, err := s.Click(t.Context(), 7, click("x")); err != nil || s.Presentable() {
			t.Fatal(err)
		}
		if !s.Commit(t.Context()) || stateOf(s).A != "late" || stateOf(s).B != "x" || s.Saved().Client != 7 || !slices.Equal(f.happened, []string{"say x"}) {
			t.Errorf("state %+v, message %d, happened %v", stateOf(s), s.Saved().Client, f.happened)
		}
		fx, err := s.Click(t.Context(), 8, func(context.Context, any) (Outcome, error) {
			return Outcome{Effects: fakeEffects("sorry")}, errors.New("no")
		})
		if err == nil || fx != fakeEffects("sorry") || s.Now().Client != 8 || stateOf(s).B != "x" {
			t.Errorf("a failed click: %v, %v, %+v", fx, err, stateOf(s))
		}
		if _, err := s.Click(t.Context(), 0, click("y")); err != nil || s.Now().Client != 8 {
			t.Errorf("a click without a number: %v, %d", err, s.Now().Client)
		}
		s.Commit(t.Context())
		s.commitErr(f, 1, push.ErrStateConflict)
	})
}

// commitErr has n commits fail.
func (s *Session) commitErr(f *fake, n int, err error) {
	for range n {
		f.commitErr = append(f.commitErr, err)
	}
}

func TestOnConnect(t *testing.T) {
	t.Parallel()
	inTime(t, func(t *testing.T, f *fake) {
		s := f.mounted()
		if !s.BeforeConnect(t.Context()) || f.commits != 0 {
			t.Error("nothing is uncommitted")
		}
		f.push(1, "share")
		f.all(s)
		f.rivals = 1
		if s.BeforeConnect(t.Context()) {
			t.Error("OnConnect may not see what runs again")
		}
		f.all(s)
		if !s.BeforeConnect(t.Context()) {
			t.Error("stored, and yet not")
		}
		f.rivals, f.rival = 1, "late"
		if _, err := s.Own(t.Context(), click("c")); err != nil {
			t.Fatal(err)
		}
		s.CommitOwn(t.Context())
		if stateOf(s).A != "late" || stateOf(s).B != "c" || !slices.Equal(f.happened, []string{"say c"}) {
			t.Errorf("state %+v, happened %v", stateOf(s), f.happened)
		}
		if fx, err := s.Own(t.Context(), func(context.Context, any) (Outcome, error) {
			return Outcome{Effects: fakeEffects("sorry")}, errors.New("no")
		}); err == nil || fx != fakeEffects("sorry") {
			t.Errorf("failed: %v %v", fx, err)
		}
		s.Hold(t.Context(), fakeEffects("now"))
		s.Hold(t.Context(), nil)
		s.CommitOwn(t.Context())
		if !slices.Contains(f.happened, "now") {
			t.Errorf("what nothing waits for: %v", f.happened)
		}
	})
}
