package jobs_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"lastmile/jobs"
	"lastmile/jobs/jobstest"
)

// The bounds of a takeover, in fake time.
const (
	runsAgain = 8 * time.Second
	toldBy    = 4 * time.Second
)

// starts is a handler that tells of its starts, and waits for its context's end or
// a release in the first.
type starts struct {
	began   chan time.Time
	release chan struct{}
	n       atomic.Int32
}

func newStarts() *starts {
	return &starts{began: make(chan time.Time, 100), release: make(chan struct{})}
}

// wantOne releases a job and checks that it has run once.
func (s *starts) wantOne(t *testing.T, k *jobstest.Kit, id string) {
	t.Helper()
	close(s.release)
	if end := wantEnd(t, k, id, jobs.StateCompleted); end.Event.Attempt != 1 || len(s.began) > 0 {
		t.Errorf("attempt = %d, %d more starts", end.Event.Attempt, len(s.began))
	}
}

func (s *starts) handle(ctx context.Context, j *jobs.Job[args]) (result, error) {
	s.began <- time.Now()
	if s.n.Add(1) > 1 {
		return result{j.Attempt}, nil
	}
	select {
	case <-s.release:
		return result{7}, nil
	case <-ctx.Done():
		return result{}, ctx.Err()
	}
}

// TestKilledWorkerIsReplaced: whenever a worker dies between two renewals of its
// leases, its job runs again within seconds, and the page has heard of it before.
func TestKilledWorkerIsReplaced(t *testing.T) {
	t.Parallel()
	for phase := range 30 {
		t.Run(strconv.Itoa(phase), func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, k *jobstest.Kit) {
				t.Helper()
				s, kind := newStarts(), define()
				first := start(k, kind, s.handle)
				id := enqueue(t, k, kind)
				<-s.began
				start(k, kind, s.handle)
				time.Sleep(5*time.Second + time.Duration(phase)*71*time.Millisecond)
				first.Crash()
				died := time.Now()
				k.Until("the page is told", func() bool { return slices.Contains(actions(k), "Stalled") })
				if d := time.Since(died); d > toldBy {
					t.Errorf("told after %v, want at most %v", d, toldBy)
				}
				if d := (<-s.began).Sub(died); d > runsAgain {
					t.Errorf("ran again after %v, want at most %v", d, runsAgain)
				}
				if end := wantEnd(t, k, id, jobs.StateCompleted); end.Event.Attempt != 1 {
					t.Errorf("attempt = %d, want 1: a death is none", end.Event.Attempt)
				}
			})
		})
	}
}

// TestTakenAheadOfAKilledWorker: so do the jobs that it had taken and not begun,
// without an attempt.
func TestTakenAheadOfAKilledWorker(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		x := newTaker(t, k, 3, jobs.PoolConfig{})
		x.take(0)
		died := time.Now()
		start(k, define(), quick)
		for _, id := range x.ids {
			wantEnd(t, k, id, jobs.StateCompleted)
		}
		if d := time.Since(died); d > runsAgain+time.Second {
			t.Errorf("all ended after %v", d)
		}
	})
}

// TestSlowWorkerIsNotRobbed: a worker that is cut off for less than its lease lacks
// a beat keeps its jobs.
func TestSlowWorkerIsNotRobbed(t *testing.T) {
	t.Parallel()
	for _, cut := range []time.Duration{time.Second, 2 * time.Second, 3 * time.Second} {
		for phase := range 8 {
			t.Run(fmt.Sprint(cut, " ", phase), func(t *testing.T) {
				t.Parallel()
				bubble(t, func(t *testing.T, k *jobstest.Kit) {
					t.Helper()
					s, kind := newStarts(), define()
					first := start(k, kind, s.handle)
					id := enqueue(t, k, kind)
					<-s.began
					start(k, kind, s.handle)
					time.Sleep(5*time.Second + time.Duration(phase)*193*time.Millisecond)
					first.Cut(cut)
					time.Sleep(20 * time.Second)
					s.wantOne(t, k, id)
				})
			})
		}
	}
}

// TestNobodyIsRobbedByAnOutage: Redis is away for all, for longer than a lease.
func TestNobodyIsRobbedByAnOutage(t *testing.T) {
	t.Parallel()
	for _, d := range []time.Duration{2800 * time.Millisecond, 3200 * time.Millisecond, 10 * time.Second, 40 * time.Second, 3 * time.Minute} {
		for name, before := range map[string]time.Duration{
			"before anyone has swept": 0, "before the first renewal": 1100 * time.Millisecond,
			"just after one": 6010 * time.Millisecond, "just before one": 7490 * time.Millisecond,
		} {
			t.Run(d.String()+" "+name, func(t *testing.T) {
				t.Parallel()
				bubble(t, func(t *testing.T, k *jobstest.Kit) {
					t.Helper()
					s, kind := newStarts(), define(jobs.Timeout(time.Hour))
					start(k, kind, s.handle)
					id := enqueue(t, k, kind)
					<-s.began
					start(k, kind, s.handle)
					time.Sleep(before)
					k.Outage(d)
					time.Sleep(30 * time.Second)
					s.wantOne(t, k, id)
				})
			})
		}
	}
}

// TestDeadlyJobBacksOff: a job that kills each worker does so less and less often,
// from the fourth on.
func TestDeadlyJobBacksOff(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define(jobs.MaxDeaths(9))
		began := make(chan time.Time, 1)
		h := func(ctx context.Context, _ *jobs.Job[args]) (result, error) {
			began <- time.Now()
			<-ctx.Done()
			return result{}, ctx.Err()
		}
		w := start(k, kind, h)
		enqueue(t, k, kind)
		last := <-began
		var waits []time.Duration
		for range 6 {
			w.Crash()
			w = start(k, kind, h)
			at := <-began
			waits, last = append(waits, at.Sub(last)), at
		}
		for _, wait := range waits[:3] {
			if wait > runsAgain {
				t.Errorf("after one of the first deaths it started after %v, want at most %v", wait, runsAgain)
			}
		}
		for i := 3; i < len(waits); i++ {
			if waits[i] <= waits[i-1] {
				t.Errorf("it started after %v", waits)
				break
			}
		}
	})
}

// TestPoolRefusesLeasesThatAreTooShort: three beats a lease.
func TestPoolRefusesLeasesThatAreTooShort(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		for _, tt := range []struct {
			lease, beat time.Duration
			ok          bool
		}{
			{0, 0, true},
			{time.Second, 0, true},
			{3 * time.Second, time.Second, true},
			{3 * time.Second, time.Second + 1, false},
			{0, 2 * time.Second, false},
			{-1, 0, false},
			{0, -1, false},
			{time.Millisecond, 0, false},
		} {
			_, err := jobs.NewPool(k.Redis, k.Publisher, jobs.PoolConfig{Lease: tt.lease, Beat: tt.beat})
			if (err == nil) != tt.ok {
				t.Errorf("lease %v, beat %v: %v", tt.lease, tt.beat, err)
			}
		}
	})
}

// TestLastWorkerDies: nobody sweeps any more, and a process that only watches tells
// the page.
func TestLastWorkerDies(t *testing.T) {
	t.Parallel()
	for _, lease := range []time.Duration{time.Second, 0, 20 * time.Second} { // 0: 5 seconds
		for phase := range 5 {
			t.Run(fmt.Sprint(lease, " ", phase), func(t *testing.T) {
				t.Parallel()
				bubble(t, func(t *testing.T, k *jobstest.Kit) {
					t.Helper()
					ctx, stop := context.WithCancel(t.Context())
					defer stop()
					go func() { _ = k.Client.Watch(ctx) }()
					s, kind := newStarts(), define(jobs.Timeout(time.Hour))
					w := k.Start(jobs.PoolConfig{CheckInterval: checkEvery, Lease: lease}, func(p *jobs.Pool) { kind.Handle(p, s.handle) })
					enqueue(t, k, kind)
					<-s.began
					time.Sleep(time.Minute + time.Duration(phase)*317*time.Millisecond)
					if slices.Contains(actions(k), "Stalled") {
						t.Fatal("a worker that lives is said to have stalled")
					}
					w.Crash()
					died := time.Now()
					k.Until("the page is told", func() bool { return slices.Contains(actions(k), "Stalled") })
					if d := time.Since(died); d > max(toldBy, lease*4/5) {
						t.Errorf("told after %v", d)
					}
				})
			})
		}
	}
}
