package live_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/live"
	"lastmile/live/livetest"
	"lastmile/push"
)

// slowAcks is a store whose acknowledgements wait until they are let go.
type slowAcks struct {
	store
	letGo chan struct{}
}

func (s slowAcks) Ack(ctx context.Context, session string, a push.Ack) error {
	select {
	case <-s.letGo:
		return s.store.Ack(ctx, session, a)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// leaving sends the browser on, with a message for the page that it finds there.
type leaving struct{}

func (leaving) Leave(s plain, ctx *live.Context) (plain, error) {
	s.N++
	ctx.SetFlash("info", "left")
	return s, ctx.Navigate("/there")
}

// TestNavigationWaitsForItsAcknowledgement: the page that a push sends the
// browser to must not find that push pending. It would say and do everything
// once more.
func TestNavigationWaitsForItsAcknowledgement(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		// meanwhile happens while the store takes no acknowledgement.
		meanwhile func(n *node, acks slowAcks)
		// pending says that the next page finds the push.
		pending bool
	}{
		"acknowledged":        {func(_ *node, acks slowAcks) { close(acks.letGo) }, false},
		"the store is slow":   {func(_ *node, _ slowAcks) { time.Sleep(5 * time.Second) }, true},
		"the process is told": {func(n *node, _ slowAcks) { go n.stop() }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				acks := slowAcks{memStore(t), make(chan struct{})}
				n := startNode(t, acks, live.Config{})
				v := view(t, n, leaving{}, plain{}, `<b>{{.N}}</b>`)
				b := livetest.NewBrowser(t)
				p := b.Open(v, "/")
				session := sessionOf(t, n, b)
				trigger(t, session, "Leave", nil)
				time.Sleep(time.Second)
				if got := p.State(); !strings.Contains(p.Text(), "1") || got.Location != "" || len(got.Flashes) != 0 {
					t.Errorf("not acknowledged: the page shows %q and has seen %+v, want the state alone", p.Text(), got)
				}
				tt.meanwhile(n, acks)
				time.Sleep(100 * time.Millisecond)
				if got := p.State(); got.Location != "/there" || len(got.Flashes) != 1 {
					t.Errorf("the page has seen %+v, want the message and the navigation", got)
				}
				backlog, err := acks.Pending(t.Context(), session.ID(), 0)
				if err != nil || (len(backlog.Entries) > 0) != tt.pending {
					t.Errorf("pending: %d (%v), want any: %v", len(backlog.Entries), err, tt.pending)
				}
				if tt.pending {
					close(acks.letGo)
				}
			})
		})
	}
}
