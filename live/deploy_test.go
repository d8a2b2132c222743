package live_test

import (
	"testing"
	"time"

	"lastmile/live"
)

// oldListing is the listing before Put was written.
type oldListing struct{}

func (oldListing) Tally(s list, _ *live.Context) (list, error) {
	s.Count++
	return s, nil
}

// TestNewVersionAppliesWhatTheOldOneSkipped: a worker is upgraded before the
// web nodes and pushes an action that they lack. Their pages pass it, store
// newer pushes and acknowledge; the new version's pages still get it.
func TestNewVersionAppliesWhatTheOldOneSkipped(t *testing.T) {
	t.Parallel()
	onAll(t, func(e env) {
		t, s := e.t, e.store
		before, after := startNode(t, s, live.Config{}), startNode(t, s, live.Config{})
		v1, v2 := view(t, before, oldListing{}, list{}, listHTML), view(t, after, newListing(), list{}, listHTML)
		b := e.browser()
		p := b.Open(v1, "/")
		session := sessionOf(t, before, b)
		trigger(t, session, "Put", put("new"))
		trigger(t, session, "Tally", nil)
		p.WaitText("count=1")
		time.Sleep(time.Second)
		p.Close()
		p = b.Open(v2, "/")
		waitItems(t, p, "new")
		p.WaitText("count=1")
		time.Sleep(time.Second)
		p = b.Open(v2, "/")
		waitItems(t, p, "")
		p.WaitText("count=1")
	})
}
