package live_test

import (
	"strings"
	"testing"

	"lastmile/live"
)

// TestLoadingThePageEverywhereIsNoCrashLoop: a browser that never acknowledges
// (no JavaScript, no pictures) may load its page on any number of nodes.
func TestLoadingThePageEverywhereIsNoCrashLoop(t *testing.T) {
	t.Parallel()
	onAll(t, func(e env) {
		t := e.t
		b := e.browser()
		for i := range 6 {
			n := startNode(t, e.store, live.Config{})
			v := view(t, n, newListing(), list{}, listHTML)
			if i == 0 {
				trigger(t, sessionOf(t, n, b), "Put", put("healthy"))
			}
			if got := b.Load(v, "/").Text(); !strings.Contains(got, "healthy") {
				t.Errorf("load %d shows %q", i+1, got)
			}
		}
	})
}
