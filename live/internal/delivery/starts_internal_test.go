package delivery

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/push"
)

func TestStartsAreCountedOnceAndTheFirstAlone(t *testing.T) {
	t.Parallel()
	inTime(t, func(t *testing.T, f *fake) {
		f.redelivered = true
		s := f.mounted()
		f.push(1, "a")
		f.push(2, "b")
		f.all(s)
		if f.starts[seqOf(1)] != 1 || f.starts[seqOf(2)] != 0 || f.commits != 0 {
			t.Errorf("starts %v, %d commits: nobody has died", f.starts, f.commits)
		}
	})
}

func TestAfterADeathEachStartIsCountedAndStored(t *testing.T) {
	t.Parallel()
	inTime(t, func(t *testing.T, f *fake) {
		f.redelivered = true
		f.starts[seqOf(1)] = 1
		s := f.mounted()
		f.push(1, "a")
		f.push(2, "b")
		f.all(s)
		if f.starts[seqOf(1)] != 2 || f.starts[seqOf(2)] != 1 || f.commits != 2 {
			t.Errorf("starts %v, %d commits", f.starts, f.commits)
		}
	})
}

func TestIsolatedStartIsCleared(t *testing.T) {
	t.Parallel()
	inTime(t, func(t *testing.T, f *fake) {
		f.redelivered = true
		f.starts[seqOf(1)] = 2
		s, other := f.mounted(), f.mounted()
		f.push(1, "a")
		shared := &item{}
		other.starts.pass, other.starts.of = f.Gate.ask(false, false), shared // another page runs something
		if !s.Next(t.Context()) || s.CatchingUp() != true || len(f.ran) != 0 {
			t.Fatalf("ran %v beside others", f.ran)
		}
		if s.Next(t.Context()) || s.Turned() == nil {
			t.Fatal("does not wait for its turn")
		}
		other.starts.giveBack()
		<-s.Turned()
		s.Heard()
		if s.Turned() != nil {
			t.Error("is told twice")
		}
		f.all(s)
		if !slices.Equal(f.ran, []string{"a"}) || !slices.Equal(f.cleared, []push.Seq{seqOf(1)}) || !f.Counts.survived("session", seqOf(1)) || s.starts.pass != nil {
			t.Errorf("ran %v, cleared %v", f.ran, f.cleared)
		}
	})
}

func TestSuspectIsAwaitedAndGivenUp(t *testing.T) {
	t.Parallel()
	inTime(t, func(t *testing.T, f *fake) {
		f.redelivered = true
		f.starts[seqOf(1)], f.starts[seqOf(2)] = maxStarts, maxStarts
		s := f.mounted()
		f.push(1, "a")
		f.push(2, "b")
		for range 15 {
			f.all(s)
			time.Sleep(suspectLook)
			if len(f.letters) > 0 && f.view.Version == 0 {
				f.write(nil, seqOf(2)) // another page survives b
			}
		}
		if len(f.letters) != 1 || f.letters[0].Reason != push.ReasonCrashLoop || f.letters[0].Attempts != maxStarts {
			t.Fatalf("letters %+v", f.letters)
		}
		for range 16 {
			f.all(s)
			time.Sleep(suspectLook)
		}
		if len(f.letters) != 1 || !slices.Equal(f.gaveUp, []string{"a", "b"}) || len(f.ran) != 0 || s.Now().Cursor != seqOf(2) {
			t.Errorf("letters %+v, told %v, ran %v", f.letters, f.gaveUp, f.ran)
		}
	})
}

func TestUncountedStartWaits(t *testing.T) {
	t.Parallel()
	inTime(t, func(t *testing.T, f *fake) {
		f.redelivered = true
		f.startErr = errors.New("away")
		s := f.mounted()
		f.push(1, "a")
		f.all(s)
		if len(f.ran) != 0 || !s.CatchingUp() {
			t.Error("starts uncounted")
		}
		f.startErr = nil
		time.Sleep(stallMax)
		f.fails["a"] = 1
		f.all(s)
		if len(f.ran) != 1 || f.starts[seqOf(1)] != 1 {
			t.Errorf("ran %v, starts %v", f.ran, f.starts)
		}
		f.clearErr = errors.New("away")
		s.GiveBack(t.Context(), false)
		f.clearErr = nil
		s.GiveBack(t.Context(), true)
		if len(f.cleared) != 0 {
			t.Error("takes back what another page counts")
		}
		s.GiveBack(t.Context(), false)
		if len(f.cleared) != 1 || f.Counts.survived("session", seqOf(1)) {
			t.Error("its start stays counted")
		}
	})
}

func TestGate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(time.Minute)
		one, two := g.ask(false, false), g.ask(false, false)
		alone, again := g.ask(true, false), g.ask(true, true)
		late := g.ask(false, false)
		if !g.started(one) || !g.started(two) || g.started(alone) || g.started(late) {
			t.Fatal("the first round is the shared one")
		}
		g.end(one)
		if g.started(alone) {
			t.Error("starts beside another")
		}
		g.end(two)
		if !g.started(alone) || g.started(late) || g.started(again) {
			t.Error("the isolated one is next, alone")
		}
		g.end(alone)
		if !g.started(late) || g.started(again) {
			t.Error("rounds alternate")
		}
		g.end(late)
		if !g.started(again) {
			t.Error("the second isolated one is next")
		}
		waits := g.ask(true, false)
		if g.wait(t.Context(), waits, time.Second) {
			t.Error("does not wait")
		}
		shared := g.ask(false, false)
		time.Sleep(2 * time.Minute) // again does not return
		if !g.started(shared) || !g.wait(t.Context(), shared, time.Second) {
			t.Error("one that does not return keeps the others waiting")
		}
		g.end(again)
		more := g.ask(false, false)
		if !g.started(more) {
			t.Error("what is given back late ends another round")
		}
		lone := g.ask(true, false)
		next := g.ask(false, false)
		if g.started(next) {
			t.Error("overtakes one that waits to be isolated")
		}
		g.end(lone)
		if !g.started(next) {
			t.Error("waits for nobody")
		}
	})
}

func TestCountsForget(t *testing.T) {
	t.Parallel()
	var c Counts
	calls := 0
	count := func() (int, error) { calls++; return 0, nil }
	for range 2 {
		if n, err := c.count("s", 1, maxBeside, count); n != 0 || err != nil {
			t.Errorf("%d %v", n, err)
		}
	}
	if calls != 1 || !c.survived("s", 1) {
		t.Errorf("%d calls", calls)
	}
	if n, _ := c.count("s", 2, maxBeside, func() (int, error) { return maxBeside, nil }); n != maxBeside || c.survived("s", 2) {
		t.Error("one that may not start was not started here")
	}
	for i := range maxCounts {
		c.set("other", push.Seq(i), 0)
	}
	if c.survived("s", 1) {
		t.Error("the table grows without bound")
	}
}
