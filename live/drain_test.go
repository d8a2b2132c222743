package live_test

import (
	"context"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/live"
	"lastmile/live/livetest"
)

// slowBroker is a store that takes its time to end a subscription.
type slowBroker struct{ store }

func (s slowBroker) Follow(ctx context.Context, topic string, fn func([]byte)) (func(), error) {
	stop, err := s.store.Follow(ctx, topic, fn)
	return func() {
		time.Sleep(500 * time.Millisecond)
		if stop != nil {
			stop()
		}
	}, err
}

type follower struct{}

func (follower) Mount(s plain, ctx *live.Context) (plain, error) {
	for i := range 60 {
		if err := ctx.Subscribe("topic" + strconv.Itoa(i)); err != nil {
			return s, err
		}
	}
	return s, nil
}

// TestDrainBesideAHangingBroker: the stop of a node takes no longer than it may
// although no subscription ends.
func TestDrainBesideAHangingBroker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const patience = 3 * time.Second
		n := startNode(t, slowBroker{memStore(t)}, live.Config{
			DrainTimeout: patience, Topics: func(live.Identity, string) error { return nil },
		})
		v := view(t, n, follower{}, plain{}, `{{.N}}`)
		livetest.NewBrowser(t).Open(v, "/")
		since := time.Now()
		n.stop()
		if took := time.Since(since); took > patience+time.Second {
			t.Errorf("stopping took %v, want at most %v", took, patience)
		}
		time.Sleep(time.Minute) // the subscriptions end on their own time
	})
}

// deaf's action takes no notice of its context.
type deaf struct{ release chan struct{} }

func (d deaf) Hang(s plain, _ *live.Context) (plain, error) {
	<-d.release
	return s, nil
}

// TestDrainBesideAHangingAction: the stop of a node takes no longer than it may
// although an action does not return.
func TestDrainBesideAHangingAction(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const patience = 3 * time.Second
		n := startNode(t, memStore(t), live.Config{DrainTimeout: patience, StoreTimeout: time.Second / 2})
		d := deaf{make(chan struct{})}
		v := view(t, n, d, plain{}, `{{.N}}`)
		p := livetest.Open(t, v, "/")
		p.Send("Hang", nil)
		synctest.Wait()
		since := time.Now()
		n.stop()
		if took := time.Since(since); took > patience+time.Second {
			t.Errorf("stopping took %v, want at most %v", took, patience)
		}
		close(d.release)
		synctest.Wait()
	})
}
