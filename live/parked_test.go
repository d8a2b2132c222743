package live_test

import (
	"testing"
	"time"

	"lastmile/live"
)

// TestPageMountedAnewLeavesOthersTheirPushes: a page whose record is gone mounts
// anew on its socket. What waits for another view must still wait afterwards.
func TestPageMountedAnewLeavesOthersTheirPushes(t *testing.T) {
	t.Parallel()
	onBoth(t, func(e env) {
		t, s := e.t, e.store
		n := startNode(t, s, live.Config{FirstTTL: time.Minute})
		other := viewNamed(t, n, "other", connName{new(string)}, plain{}, `{{.N}}`)
		lists := viewNamed(t, n, "lists", newListing(), list{}, listHTML)
		b := e.browser()
		p := b.Load(other, "/") // its script comes late
		session := sessionOf(t, n, b)
		trigger(t, session, "Put", put(1))
		trigger(t, session, "Inc", nil)
		trigger(t, session, "Put", put(2))
		time.Sleep(2 * time.Minute)
		p.Connect(other)
		if got := p.State().Mounts; got != 1 {
			t.Fatalf("mounted anew %d times, want once", got)
		}
		p.WaitText("1")
		time.Sleep(5 * time.Second) // stored, shown and acknowledged
		waitItems(t, b.Open(lists, "/lists"), "1 2")
	})
}
