package push_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/push"
	"lastmile/push/mempush"
)

// TestAcceptedBeforeRun: Run is a goroutine of its own, so pushes may be accepted
// before it begins, or be under way then. A failover loses them no more than
// others.
func TestAcceptedBeforeRun(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		before   time.Duration // from the push to Run
		underWay bool          // Run begins when the store has the push, and before its publisher knows
		lag      time.Duration // from Run to the failover
		kept     bool
	}{
		"a moment before":              {before: time.Millisecond, lag: time.Second / 2, kept: true},
		"a moment before, a long lag":  {before: time.Millisecond, lag: 40 * time.Second, kept: true},
		"a window before":              {before: 14 * time.Second, lag: time.Second / 2, kept: true},
		"longer before than a window":  {before: 16 * time.Second, lag: time.Second / 2},
		"under way when Run begins":    {underWay: true, lag: time.Second / 2, kept: true},
		"under way, and a long lag":    {underWay: true, lag: 40 * time.Second, kept: true},
		"Run begins behind a failover": {before: 2 * time.Second, lag: -time.Second, kept: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inFailover(t, push.PublisherConfig{}, 0, func(f *failover) {
				t := f.t
				promote := f.store.Replicate()
				f.store.list(func(m *push.Master) { // it lags
					for name := range m.Replicas {
						m.Replicas[name] = 0
					}
				})
				early := newPublisher(t, f.store, push.PublisherConfig{})
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				begin := func() {
					go func() { done <- early.Run(ctx) }()
					time.Sleep(time.Millisecond)
				}
				if tt.underWay {
					f.store.behind(func() {
						f.store.behind(nil)
						begin()
					})
				}
				if _, err := early.Session("s").Trigger(ctx, "Do", map[string]string{"n": "early"}, push.WithID("early")); err != nil {
					t.Fatal(err)
				}
				if !tt.underWay {
					time.Sleep(tt.before + min(0, tt.lag))
					if tt.lag < 0 {
						promote()
						time.Sleep(-tt.lag)
					}
					if !tt.kept { // each push lets go what has become too old
						if _, err := early.Session("other").Trigger(ctx, "Do", nil); err != nil {
							t.Fatal(err)
						}
					}
					begin()
				}
				if tt.lag > 0 {
					time.Sleep(tt.lag)
					promote()
				}
				f.store.list(nil)
				time.Sleep(3 * time.Second)
				synctest.Wait()
				if tt.kept {
					f.stored("early")
				} else {
					f.stored()
				}
				cancel()
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestBeforeRunPublishingNeverWaits: a program that has not called Run, or never
// will, is not held up at the bound of what is kept.
func TestBeforeRunPublishingNeverWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		memory, err := mempush.New(mempush.Config{})
		if err != nil {
			t.Fatal(err)
		}
		store := &replicated{Transport: memory}
		store.Replicate()
		p := newPublisher(t, store, push.PublisherConfig{ReplayBytes: 7 * 220})
		began := time.Now()
		for range 100 {
			if _, err := p.Session("s").Trigger(t.Context(), "Do", nil); err != nil {
				t.Fatal(err)
			}
		}
		if waited := time.Since(began); waited > 0 {
			t.Errorf("a hundred pushes waited for %v", waited)
		}
	})
}
