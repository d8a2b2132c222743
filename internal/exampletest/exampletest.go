// Package exampletest lets an Example use the test kits (livetest, jobstest,
// pushtest), which want a test's *testing.T. It is for examples alone: a test
// has its own t. It checks nothing: the Output comment of an example does.
package exampletest

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
)

// T stands for a test's *testing.T in an Example. A failure panics. It has what
// the test kits use of a testing.TB.
type T struct {
	testing.TB                 // nil: it makes T a testing.TB
	ctx        context.Context //nolint:containedctx // it is what Context returns, as of a *testing.T
	cancel     context.CancelFunc

	mu       sync.Mutex
	cleanups []func()
}

// New returns a T. Its End has to be called, best deferred.
func New() *T {
	ctx, cancel := context.WithCancel(context.Background())
	return &T{ctx: ctx, cancel: cancel}
}

// End ends the context and runs the cleanups, the last one first.
func (t *T) End() {
	t.cancel()
	for {
		t.mu.Lock()
		n := len(t.cleanups)
		if n == 0 {
			t.mu.Unlock()
			return
		}
		f := t.cleanups[n-1]
		t.cleanups = slices.Delete(t.cleanups, n-1, n)
		t.mu.Unlock()
		f()
	}
}

// Context returns a context that ends before the cleanups run.
func (t *T) Context() context.Context { return t.ctx }

// Cleanup makes End call f.
func (t *T) Cleanup(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cleanups = append(t.cleanups, f)
}

// Helper does nothing.
func (t *T) Helper() {}

// Output returns a writer to nowhere.
func (t *T) Output() io.Writer { return io.Discard }

// Error panics.
func (t *T) Error(args ...any) { panic(fmt.Sprint(args...)) }

// Errorf panics.
func (t *T) Errorf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

// Fatal panics.
func (t *T) Fatal(args ...any) { panic(fmt.Sprint(args...)) }

// Fatalf panics.
func (t *T) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
