package live

import (
	"context"
	"sync"
	"time"
)

// limited is an action's context: it ends at a time, or when the action does.
// Other than context.WithDeadline's it arms a timer only once somebody waits
// for it, which few actions do.
type limited struct {
	context.Context //nolint:containedctx // it is one
	until           time.Time

	mu       sync.Mutex
	timedCtx context.Context //nolint:containedctx // once somebody has asked for Done
	cancel   context.CancelFunc
	over     error // before that
}

// withLimit returns a context that ends after d.
func withLimit(ctx context.Context, d time.Duration) *limited {
	return &limited{Context: ctx, until: time.Now().Add(d)}
}

func (l *limited) Deadline() (time.Time, bool) {
	if d, ok := l.Context.Deadline(); ok && d.Before(l.until) {
		return d, true
	}
	return l.until, true
}

func (l *limited) Done() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.timedCtx == nil {
		l.timedCtx, l.cancel = context.WithDeadline(l.Context, l.until)
		if l.over != nil {
			l.cancel()
		}
	}
	return l.timedCtx.Done()
}

func (l *limited) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err()
}

// err is Err with mu held.
func (l *limited) err() error {
	if l.timedCtx != nil {
		return l.timedCtx.Err()
	}
	if l.over == nil {
		if l.over = l.Context.Err(); l.over == nil && !time.Now().Before(l.until) {
			l.over = context.DeadlineExceeded
		}
	}
	return l.over
}

// Value lets derived contexts find the one that has the timer.
func (l *limited) Value(key any) any {
	l.mu.Lock()
	ctx := l.timedCtx
	l.mu.Unlock()
	if ctx == nil {
		ctx = l.Context
	}
	return ctx.Value(key)
}

// end ends the context.
func (l *limited) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.timedCtx != nil:
		l.cancel()
	case l.err() == nil:
		l.over = context.Canceled
	}
}
