package tasks_test

import (
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/jobs/internal/tasks"
)

var queue = tasks.Queue{Pending: "p", Paused: "s", Active: "a", Lease: "l", Prefix: "t:"}

func some(n int) []tasks.Task {
	out := make([]tasks.Task, n)
	for i := range out {
		id := strconv.Itoa(i)
		out[i] = tasks.Task{ID: id, Message: "m" + id, Standing: tasks.Unbegun, Dest: "d" + id}
	}
	return out
}

func TestPrefetchTakesForFreeSlots(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name        string
		slots, busy int
		one         bool
		want        int
	}{
		{"all free", 3, 0, true, 3},
		{"some busy", 3, 2, true, 1},
		{"all busy, and yet Asynq asks", 3, 3, true, 1},
		{"many queues", 3, 0, false, 1},
		{"more than a script takes", 5000, 0, true, 500},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := tasks.NewPrefetch(tt.slots, tt.one)
			for _, task := range some(tt.busy) {
				p.Keep(queue, task)
			}
			if msg, n := p.Next("p"); n != tt.want || msg != "" {
				t.Errorf("next = %q, %d, want %d", msg, n, tt.want)
			}
		})
	}
}

func TestPrefetchHandsOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := tasks.NewPrefetch(3, true)
		if _, ok := p.Keep(queue); ok {
			t.Error("nothing was taken, and yet something is handed out")
		}
		if msg, ok := p.Keep(queue, some(3)...); !ok || msg != "m0" {
			t.Errorf("keep = %q, %t", msg, ok)
		}
		if s, dest := p.Standing("0"); s != tasks.Unbegun || dest != "d0" {
			t.Errorf("standing = %v, %q", s, dest)
		}
		if s, _ := p.Standing("1"); s != tasks.Untold {
			t.Error("a task that is held is Asynq's already")
		}
		if _, n := p.Next("another"); n == 0 {
			t.Error("a task of another queue was handed out")
		}
		if msg, n := p.Next("p"); msg != "m1" || n != 0 {
			t.Errorf("next = %q, %d", msg, n)
		}
		time.Sleep(tasks.HeldFor)
		if msg, n := p.Next("p"); msg != "" || n != 1 {
			t.Errorf("a task that was held for too long: %q, %d", msg, n)
		}
		held := p.Overdue(tasks.HeldFor)
		if len(held) != 1 || held[0].ID != "2" || held[0].Queue != queue {
			t.Errorf("overdue: %v", held)
		}
		p.Restore(held)
		if again := p.Overdue(0); len(again) != 1 {
			t.Errorf("restored: %v", again)
		}
		time.Sleep(tasks.LeftToIt)
		p.Restore(held)
		if again := p.Overdue(0); len(again) != 0 {
			t.Errorf("left to its lease, and yet %v", again)
		}
	})
}

func TestPrefetchOrderOfWhatIsGivenBack(t *testing.T) {
	t.Parallel()
	p := tasks.NewPrefetch(4, true)
	p.Keep(queue, some(4)...)
	for range 2 { // and again after a failure
		held := p.Overdue(0)
		if len(held) != 3 || held[0].ID != "3" || held[2].ID != "1" {
			t.Fatalf("the newest is first: %v", held)
		}
		p.Restore(held)
	}
}

func TestPrefetchFreesSlots(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := tasks.NewPrefetch(2, true)
		tt := some(2)
		p.Keep(queue, tt[0])
		p.Keep(queue, tt[1])
		p.Settled("0", "unheard")
		if _, n := p.Next("p"); n != 1 {
			t.Errorf("one settled: %d", n)
		}
		p.Keep(queue, tt[0])
		p.Returned("0")
		p.Returned("1")
		p.Returned("unheard")
		if _, n := p.Next("p"); n != 1 {
			t.Errorf("both came back just now: %d", n)
		}
		time.Sleep(time.Second + 1)
		if _, n := p.Next("p"); n != 2 {
			t.Errorf("both came back long ago: %d", n)
		}
	})
}

func TestPending(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var p tasks.Pending[string]
		if _, ok := p.Take([]string{"a"}); ok {
			t.Error("nothing waits, and yet something was taken")
		}
		p.Put("a", "end of a")
		p.Put("b", "end of b")
		if v, ok := p.Take([]string{"x", "a"}); !ok || v != "end of a" {
			t.Errorf("took %q, %t", v, ok)
		}
		if _, ok := p.Take([]string{"a"}); ok {
			t.Error("taken twice")
		}
		time.Sleep(time.Second)
		p.Put("c", "end of c")
		if late := p.Overdue(time.Second); len(late) != 1 || late[0] != "end of b" {
			t.Errorf("overdue: %q", late)
		}
		rest := p.Overdue(0) // they go on waiting
		slices.Sort(rest)
		if !slices.Equal(rest, []string{"end of b", "end of c"}) {
			t.Errorf("all: %q", rest)
		}
	})
}
