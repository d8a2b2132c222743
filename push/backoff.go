package push

import (
	"context"
	"math/rand/v2"
	"time"
)

// Backoff returns how long to wait before the next try: a random duration
// between nothing and base doubled attempt times, at most max ("full jitter").
// attempt counts the tries that failed, less one: it is zero after the first.
// A base or max that is not positive gives zero.
func Backoff(attempt int, base, max time.Duration) time.Duration { //nolint:revive // max says it best
	if base <= 0 || max <= 0 {
		return 0
	}
	ceiling := max
	if attempt < 0 {
		attempt = 0
	}
	if attempt < 62 && base <= max>>attempt {
		ceiling = base << attempt
	}
	return rand.N(ceiling + 1) //nolint:gosec // jitter needs no secrecy
}

// wait blocks for d or until ctx ends, and reports whether d has passed.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
