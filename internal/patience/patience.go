// Package patience bounds what tests wait for in real time: processes, sockets,
// browsers. One bound serves all, so wide that it says nothing about speed: a
// machine that is ten times slower, or busy, passes. It ends a wait for what
// never comes, with a message, before the test binary's own -timeout does.
//
// It is for tests alone. What passes in fake time needs none of it, and how fast
// something has to be is for a benchmark.
package patience

import (
	"context"
	"testing"
	"time"
)

// Limit is the bound.
const Limit = 10 * time.Minute

// pollEvery is how often a condition is looked at.
const pollEvery = 20 * time.Millisecond

// Until polls until ok returns true. Else it fails the test after Limit, with
// what it has waited for.
func Until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	UntilSaid(t, what, func() (bool, string) { return ok(), "" })
}

// UntilSaid is Until for a condition that can tell how far it is: the last that
// it said is in the message.
func UntilSaid(t testing.TB, what string, ok func() (bool, string)) {
	t.Helper()
	deadline := time.NewTimer(Limit)
	defer deadline.Stop()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		good, said := ok()
		if good {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("waited %v for %s; last: %s", Limit, what, said)
		}
	}
}

// Receive returns what the channel yields, or its zero value once it is closed.
func Receive[T any](t testing.TB, what string, from <-chan T) T {
	t.Helper()
	deadline := time.NewTimer(Limit)
	defer deadline.Stop()
	select {
	case v := <-from:
		return v
	case <-deadline.C:
		t.Fatalf("waited %v for %s", Limit, what)
		panic("not reached")
	}
}

// Context returns a context that ends with the test, or after Limit.
func Context(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), Limit)
	t.Cleanup(cancel)
	return ctx
}
