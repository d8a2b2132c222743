package livetest

import "testing"

// Regular fails the test when a view has parts that are sent whole whenever
// anything in them changes, and says which and why. view is a *live.View.
func Regular(t testing.TB, view interface{ Diagnostics() []string }) {
	t.Helper()
	for _, part := range view.Diagnostics() {
		t.Errorf("livetest: %s", part)
	}
}
