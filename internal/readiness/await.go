package readiness

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Pinger is what Await waits for; *redisstream.Transport is one.
type Pinger interface {
	Ping(ctx context.Context) error
}

// Await returns once the store answers, or its last error after a time: a
// program that starts with its Redis need not be started twice.
func Await(ctx context.Context, store Pinger, patience time.Duration, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for tries := 1; ; tries++ {
		tryCtx, done := context.WithTimeout(ctx, 3*time.Second)
		err := store.Ping(tryCtx)
		done()
		if err == nil || errors.Is(err, ErrDenied) { // it answers; the store has logged what is missing
			return nil
		}
		if tries == 1 {
			log.WarnContext(ctx, "waiting for redis", "error", err, "patience", patience)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("redis does not answer: %w", err)
		case <-time.After(250 * time.Millisecond):
		}
	}
}
