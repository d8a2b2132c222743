package stream_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"lastmile/push/stream"
	"lastmile/push/stream/redisstore"
)

// lossy stores, and loses the answers while it is told to.
type lossy struct {
	stream.Store
	losing  atomic.Bool
	appends atomic.Int64
}

func (l *lossy) Append(ctx context.Context, key stream.Key, a stream.Append) (stream.Appended, error) {
	l.appends.Add(1)
	done, err := l.Store.Append(ctx, key, a)
	if l.losing.Load() && err == nil {
		return done, errors.New("connection lost")
	}
	return done, err
}

// TestLostAnswers: what was stored without the writer knowing is not stored
// twice, and a call that ran out of time leaves a writer that goes on.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	for _, closing := range []bool{false, true} {
		bubble(t, func(t *testing.T, store *redisstore.Store) {
			t.Helper()
			l := &lossy{Store: store}
			w := open(t, l, key, stream.WriterConfig{})
			_, _ = w.Write([]byte("one "))
			synctest.Wait()
			_, _ = w.Write([]byte("two "))
			l.losing.Store(true)
			ctx, cancel := context.WithTimeout(t.Context(), 1)
			defer cancel()
			call := w.Flush
			if closing {
				call = w.CloseContext
			}
			if err := call(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("a call whose answer is lost: %v", err)
			}
			l.losing.Store(false)
			if !closing {
				if _, err := w.Write([]byte("three")); err != nil {
					t.Errorf("Write: %v", err)
				}
			}
			if err := w.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			want := "one two three"
			if closing {
				want = "one two "
			}
			page, err := store.Read(t.Context(), key, stream.Start, 100, false)
			if err != nil || string(page.Data) != want || !page.Ended() {
				t.Errorf("stored %q, %v, want %q and the end", page.Data, err, want)
			}
		})
	}
}
