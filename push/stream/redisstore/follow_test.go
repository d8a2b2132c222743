package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/push/pushtest"
	"lastmile/push/stream"
	"lastmile/push/stream/redisstore"
)

// TestFollow: readers at the start, in the middle and late see the same bytes,
// and hardly any of them asks Redis.
func TestFollow(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, store *redisstore.Store) {
		t.Helper()
		w := open(t, store, stream.WriterConfig{})
		var want strings.Builder
		const readers = 25
		got := make(chan string, readers)
		for i := range readers {
			go func() {
				time.Sleep(time.Duration(i) * 100 * time.Millisecond)
				got <- follow(t, store, stream.Start)
			}()
		}
		for i := range 100 {
			text := fmt.Sprintf("token %d\r\n", i)
			want.WriteString(text)
			write(t, w, text)
			time.Sleep(30 * time.Millisecond)
		}
		is(t, "Close", w.Close(), nil)
		for range readers {
			if text := <-got; text != want.String() {
				t.Errorf("a reader got %d bytes, want %d", len(text), want.Len())
			}
		}
		asked := reads(store)
		if asked > 4*readers {
			t.Errorf("%v reads of the store for %d readers", asked, readers)
		}
	})
}

func follow(t *testing.T, store stream.Store, from stream.Offset) string {
	t.Helper()
	var b strings.Builder
	for chunk, err := range stream.Follow(t.Context(), store, key, from) {
		if err != nil {
			t.Errorf("Follow: %v", err)
			break
		}
		b.Write(chunk.Data)
	}
	return b.String()
}

// TestFollowEnds: what ends a reader that waits.
func TestFollowEnds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		do   func(t *testing.T, store *redisstore.Store, w *stream.Writer) error
		want error
	}{
		{"closed", func(_ *testing.T, _ *redisstore.Store, w *stream.Writer) error { return w.Close() }, nil},
		{"deleted", func(t *testing.T, store *redisstore.Store, _ *stream.Writer) error {
			t.Helper()
			return store.Delete(t.Context(), key)
		}, stream.ErrNotFound},
		{"new edition", func(t *testing.T, _ *redisstore.Store, w *stream.Writer) error {
			t.Helper()
			return w.Reset(t.Context())
		}, stream.ErrMoved},
		{"made anew", func(t *testing.T, store *redisstore.Store, _ *stream.Writer) error {
			t.Helper()
			_, _, err := store.Create(t.Context(), key, stream.Create{Data: []byte("abcdef")})
			return errors.Join(store.Delete(t.Context(), key), ignoreConflict(err))
		}, stream.ErrNotFound},
		{"expired", func(t *testing.T, store *redisstore.Store, _ *stream.Writer) error {
			t.Helper()
			return store.Expire(t.Context(), key, 3*time.Second)
		}, stream.ErrNotFound},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, store *redisstore.Store) {
				t.Helper()
				w := open(t, store, stream.WriterConfig{})
				write(t, w, "abc")
				is(t, "Flush", w.Flush(t.Context()), nil)
				got := make(chan error)
				go func() {
					var last error
					for _, err := range stream.Follow(t.Context(), store, key, stream.Start) {
						last = err
					}
					got <- last
				}()
				synctest.Wait()
				started := time.Now()
				is(t, tt.name, tt.do(t, store, w), nil)
				is(t, "Follow", <-got, tt.want)
				if took := time.Since(started); took > 5*time.Second {
					t.Errorf("told after %s", took)
				}
			})
		})
	}
}

func ignoreConflict(err error) error {
	if errors.Is(err, stream.ErrConflict) {
		return nil
	}
	return err
}

// TestFollowWithoutRun: readers of a store that nobody runs look by themselves.
func TestFollowWithoutRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newStore(t, pushtest.NewRedis(t).Client(t))
		w := open(t, store, stream.WriterConfig{})
		got := make(chan string)
		go func() { got <- follow(t, store, stream.Start) }()
		time.Sleep(time.Millisecond)
		write(t, w, "late")
		is(t, "Close", w.Close(), nil)
		if text := <-got; text != "late" {
			t.Errorf("got %q", text)
		}
	})
}

// TestSweepFindsWhatWakeUpsDoNotTell: a change that nobody was told of is read
// within a second.
func TestSweepFindsWhatWakeUpsDoNotTell(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		redis := pushtest.NewRedis(t)
		store := newStore(t, redis.Client(t))
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- store.Run(ctx) }()
		create(t, store, "n", stream.Create{Data: []byte("a")})
		r := stream.NewReader(store, key, stream.Start)
		_, err := r.Next(t.Context())
		is(t, "Next", err, nil)
		synctest.Wait()

		client := redis.Client(t)
		is(t, "XAdd", client.Do(t.Context(), "XADD", "lm:stream:{g}:d:n", "2-0", "b", "b").Err(), nil)
		is(t, "HSet", client.HSet(t.Context(), "lm:stream:{g}:s:n", "tail", 2).Err(), nil)
		started := time.Now()
		c, err := r.Next(t.Context())
		if took := time.Since(started); err != nil || string(c.Data) != "b" || took > time.Second {
			t.Errorf("%q, %v after %s", c.Data, err, took)
		}
		if missed(store) != 1 {
			t.Errorf("%v changes counted as missed, want 1", missed(store))
		}
		r.Close()
		stop()
		is(t, "Run", <-done, nil)
	})
}

// TestStoreGoesBack: a store that has lost what it had acknowledged, as a failover
// may, is noticed by writers and readers.
func TestStoreGoesBack(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, store *redisstore.Store) {
		t.Helper()
		w := open(t, store, stream.WriterConfig{})
		for _, text := range []string{"one ", "two"} {
			write(t, w, text)
			is(t, "Flush", w.Flush(t.Context()), nil)
		}
		r := stream.NewReader(store, key, stream.Start)
		defer r.Close()
		for r.Offset().Pos < 7 {
			_, err := r.Next(t.Context())
			is(t, "Next", err, nil)
		}
		is(t, "lose", store.Lose(t.Context(), key, "7-0", 4), nil)
		_, err := r.Next(t.Context())
		is(t, "a reader that is ahead", err, stream.ErrMoved)
		write(t, w, " three")
		is(t, "Flush", w.Flush(t.Context()), stream.ErrPlace)

		again := open(t, store, stream.WriterConfig{})
		write(t, again, "one two three")
		is(t, "Close", again.Close(), nil)
		if got := all(t, store, key, stream.Start); got != "one two three" {
			t.Errorf("stored %q", got)
		}
	})
}
