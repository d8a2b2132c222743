package delivery

import (
	"errors"
	"slices"
	"testing"
	"time"

	"lastmile/push"
)

// replicated is a page on a store with replicas that has stored the pushes of
// the arguments.
func (f *fake) replicated(actions ...string) *Session {
	f.t.Helper()
	f.replicas = true
	s := f.mounted()
	for i, action := range actions {
		f.push(i+1, action)
	}
	f.all(s)
	if !s.Commit(f.t.Context()) {
		f.t.Fatal("the pushes are not stored")
	}
	return s
}

// TestTopicMessageWhileCatchingUp: a conflict puts a topic message back in line,
// which has no place among the pushes; the page is as far behind as before.
func TestTopicMessageWhileCatchingUp(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		own, at, undone push.Seq
		behind          bool
	}{{9, 5, 7, true}, {9, 5, 4, true}, {9, 9, 10, false}, {9, 9, 8, true}, {9, 9, 9, true}, {0, 0, 3, false}} {
		f := failover{own: tt.own, at: tt.at}
		f.undone([]*item{{from: FromTopic}, {entry: push.Entry{Seq: tt.undone}}})
		if got := f.behind(); got != tt.behind {
			t.Errorf("own %d, at %d, %d undone: behind is %v", tt.own, tt.at, tt.undone, got)
		}
	}
}

func TestPlaceOfTheSharedFields(t *testing.T) {
	t.Parallel()
	f := failover{own: 9, at: 5}
	if got := f.place(12); got != 5 {
		t.Errorf("catching up: %d", got)
	}
	if f.caughtUp(); f.place(12) != 12 || f.behind() {
		t.Errorf("caught up: %d", f.place(12))
	}
}

func TestReplayedPushIsKnown(t *testing.T) {
	t.Parallel()
	inTime(t, func(t *testing.T, f *fake) {
		s := f.replicated("saidshare", "share")
		again := entry(2, "share")
		again.Seq = seqOf(3)
		f.entries = append(f.entries, again)
		f.all(s)
		if len(f.ran) != 2 || !slices.Contains(f.counted, "repeated") || s.Now().Cursor != seqOf(3) {
			t.Errorf("ran %v, counted %v", f.ran, f.counted)
		}
		again.Seq = seqOf(4 + int(appliedFor/time.Second))
		f.entries = append(f.entries, again)
		f.all(s)
		if len(f.ran) != 3 {
			t.Errorf("an ID of long ago: ran %v", f.ran)
		}
	})
}

func TestSharedFieldsCatchUpAfterAFailover(t *testing.T) {
	t.Parallel()
	inTime(t, func(t *testing.T, f *fake) {
		s := f.replicated("share")
		old := f.view
		f.push(2, "sayshare")
		f.push(3, "share")
		f.all(s)
		s.Commit(t.Context())
		before := stateOf(s)
		if s.CheckTerm(t.Context()) {
			t.Error("nothing has happened")
		}
		f.view, f.term = old, 1
		if !s.CheckTerm(t.Context()) || s.MayClick() || s.BeforeClick(t.Context()) {
			t.Fatal("the page does not notice")
		}
		f.subErr = errors.New("away")
		if s.Next(t.Context()) || !s.Stalled() {
			t.Error("goes on without the pushes")
		}
		f.subErr = nil
		time.Sleep(stallMax)
		s.Resume(t.Context())
		f.happened = nil
		f.all(s)
		s.Commit(t.Context())
		if got := stateOf(s); got != before || !s.MayClick() || len(f.happened) != 0 {
			t.Errorf("state %+v, want %+v; happened %v", got, before, f.happened)
		}
		if s.CheckTerm(t.Context()) {
			t.Error("the term has been dealt with")
		}
	})
}

func TestPushesThatAreGoneAreNotReadAgain(t *testing.T) {
	t.Parallel()
	inTime(t, func(t *testing.T, f *fake) {
		s := f.replicated("share")
		f.view.Cursor, f.view.Version = 0, f.view.Version+1
		f.term = 1
		f.loadErr = errors.New("away")
		if !s.CheckTerm(t.Context()) || !s.Stalled() {
			t.Error("goes on without the fields")
		}
		f.loadErr = nil
		time.Sleep(stallMax)
		s.Resume(t.Context())
		s.CheckTerm(t.Context())
		f.subErr = push.ErrCursorTooOld
		if s.Next(t.Context()); !s.MayClick() {
			t.Error("waits for pushes that are gone")
		}
		s.failover.fellBack(1)
		s.queue.end = s.now.Cursor + 1
		n := len(f.subscribed)
		if s.Next(t.Context()); len(f.subscribed) != n {
			t.Error("reads again what a mount has found")
		}
	})
}

func TestRecordThatIsGoneWithAFailover(t *testing.T) {
	t.Parallel()
	inTime(t, func(t *testing.T, f *fake) {
		s := f.replicated("share")
		f.view, f.term = push.ViewRecord{}, 1
		s.CheckTerm(t.Context())
		if stateOf(s).A != "" {
			t.Errorf("state %+v, want the defaults", stateOf(s))
		}
		f.all(s)
		if stateOf(s).A != "share" || stateOf(s).Own != "share" {
			t.Errorf("state %+v", stateOf(s))
		}
	})
}

func TestAppliedIDs(t *testing.T) {
	t.Parallel()
	var a Applied
	for i := range maxApplied + 10 {
		a = a.with(appliedID{uint64(i), push.Seq(i)})
	}
	if len(a) != maxApplied || a[0].hash != 10 {
		t.Errorf("%d IDs from %d on", len(a), a[0].hash)
	}
	back := DecodeApplied(a.Encode(), 7)
	if len(back) != maxApplied || back[3].hash != a[3].hash || back[3].seq != 7 || Applied(nil).Encode() != nil {
		t.Error("does not come back as it was")
	}
	joined := Applied{{1, 1}, {2, 2}}.join(Applied{{2, 2}, {3, 3}})
	if len(joined) != 3 || joined[2].hash != 3 {
		t.Errorf("joined: %v", joined)
	}
	if (Applied{{hashID(""), 1}}).has(push.Entry{Seq: 1}) {
		t.Error("a push without an ID is known")
	}
	old := Applied{{1, 0}}.with(appliedID{2, seqOf(int(2 * appliedFor / time.Second))})
	if len(old) != 1 {
		t.Errorf("remembers %v for ever", old)
	}
}
