package live_test

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"lastmile/internal/patience"
	"lastmile/live"
	"lastmile/live/livetest"
	"lastmile/push"
	"lastmile/push/mempush"
)

// ballast is a state whose memory tells when it is let go of.
type ballast struct{ Load *[64]int }

type loading struct{ freed *atomic.Int32 }

func (l loading) OnConnect(s ballast, _ *live.Context) (ballast, error) {
	s.Load = &[64]int{}
	runtime.AddCleanup(s.Load, func(n *atomic.Int32) { n.Add(1) }, l.freed)
	return s, nil
}

// unpending is a store that does not tell what is pending while it is closed.
type unpending struct {
	store
	closed atomic.Bool
}

func (u *unpending) Pending(ctx context.Context, session string, after push.Seq) (push.Backlog, error) {
	if u.closed.Load() {
		return push.Backlog{}, errAway
	}
	return u.store.Pending(ctx, session, after)
}

// TestPageThatCannotMountAnewIsForgotten: a connection that ends because its
// page cannot be mounted anew leaves nothing behind.
func TestPageThatCannotMountAnewIsForgotten(t *testing.T) {
	t.Parallel()
	mem, err := mempush.New(mempush.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s := &unpending{store: mem}
	n := startNode(t, s, live.Config{})
	var freed atomic.Int32
	v := view(t, n, loading{&freed}, ballast{}, `{{if .Load}}loaded{{end}}`)
	p := livetest.Open(t, v, "/")
	p.WaitText("loaded")
	s.closed.Store(true)
	mem.Flush() // another epoch: every page mounts anew
	p.WaitClosed()
	for deadline := time.Now().Add(patience.Limit); freed.Load() == 0; {
		if time.Now().After(deadline) {
			t.Fatal("the connection has ended, its state is still held")
		}
		runtime.GC()
		runtime.Gosched()
	}
}
