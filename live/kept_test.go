package live_test

import (
	"testing"
	"testing/synctest"
	"time"

	"lastmile/live"
	"lastmile/live/livetest"
	"lastmile/push/mempush"
)

// keeping keeps the Context of its first connection.
type keeping struct{ ctx *live.Context }

func (k *keeping) OnConnect(s plain, ctx *live.Context) (plain, error) {
	if k.ctx == nil {
		k.ctx = ctx
	}
	return s, nil
}

// TestKeptContextStaysAsItWas: a goroutine may read a Context after its action,
// while the page mounts anew or ends.
func TestKeptContextStaysAsItWas(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, err := mempush.New(mempush.Config{})
		if err != nil {
			t.Fatal(err)
		}
		n := startNode(t, s, live.Config{})
		k := &keeping{}
		p := livetest.Open(t, view(t, n, k, plain{}, `{{.N}}`), "/")
		ctx := k.ctx
		before := ctx.ConnectionID()
		s.Flush()
		p.Wait("another mount", func() bool { return p.State().Mounts == 1 })
		if got := ctx.ConnectionID(); got != before {
			t.Errorf("the Context of connection %s says %s", before, got)
		}
		p.Close()
		time.Sleep(time.Second)
		if got := ctx.Reason(); got != "" {
			t.Errorf("the Context of OnConnect has the reason %q", got)
		}
	})
}
