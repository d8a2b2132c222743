package stream_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"lastmile/push/pushtest"
	"lastmile/push/stream"
	"lastmile/push/stream/redisstore"
)

// TestCloseWhileWriting: what Write has taken is stored, however it races with Close.
func TestCloseWhileWriting(t *testing.T) {
	t.Parallel()
	store, stop := runStore(t, pushtest.NewRedis(t).Client(t))
	defer stop()
	w := open(t, store, key, stream.WriterConfig{})
	taken, begun := make(chan int), make(chan struct{})
	go func() {
		n := 0
		for {
			if _, err := w.Write([]byte("x")); err != nil {
				break
			}
			if n++; n == 1000 {
				close(begun)
			}
		}
		taken <- n
	}()
	<-begun
	if err := w.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	n := <-taken
	if page, err := store.Read(t.Context(), key, stream.Now, 0, false); err != nil || page.To.Pos != int64(n) {
		t.Errorf("%d bytes stored, %d taken; %v", page.To.Pos, n, err)
	}
}

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
