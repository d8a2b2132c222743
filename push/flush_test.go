package push_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/push"
	"lastmile/push/mempush"
)

// TestFlush: a consumer that waits for its acknowledgements hears when the store
// has them all, however often the store refuses them.
func TestFlush(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newFaulty(t, mempush.Config{})
		n, _ := startNode(t, store, push.NodeConfig{})
		f := subscribe(t, n, 0)
		last := store.publish(t, "1", "2")
		collect(t, f, 2)
		signalled := func() bool {
			synctest.Wait()
			select {
			case <-f.Ready():
				return true
			default:
				return false
			}
		}
		f.Flush() // of nothing
		if signalled(); f.Acked() != 0 {
			t.Errorf("acknowledged up to %s, want nothing", f.Acked())
		}
		store.set(func() { store.fail = map[string]error{"ack": errors.New("away")} })
		f.Ack(last, nil)
		f.Flush()
		if signalled() || f.Acked() != 0 {
			t.Error("says that the store has what it refused")
		}
		store.set(func() { store.fail = nil })
		time.Sleep(time.Minute)
		if !signalled() || f.Acked() != last {
			t.Errorf("acknowledged up to %s, want %s and a signal", f.Acked(), last)
		}
	})
}
