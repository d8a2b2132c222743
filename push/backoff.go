package push

import (
	"context"
	"math/rand/v2"
	"time"
)

// Backoff returns how long to wait before the next try: a random duration
// between nothing and base doubled attempt times, at most limit ("full jitter").
// attempt counts the tries that failed, less one: it is zero after the first.
// A base or limit that is not positive gives zero.
func Backoff(attempt int, base, limit time.Duration) time.Duration {
	if base <= 0 || limit <= 0 {
		return 0
	}
	ceiling := limit
	if attempt < 0 {
		attempt = 0
	}
	if attempt < 62 && base <= limit>>attempt {
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
