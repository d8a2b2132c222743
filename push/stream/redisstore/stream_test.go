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

// bubble runs a test in fake time, with a store whose Run is running.
func bubble(t *testing.T, test func(t *testing.T, store *redisstore.Store)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		store := newStore(t, pushtest.NewRedis(t).Client(t))
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- store.Run(ctx) }()
		test(t, store)
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func open(t testing.TB, store stream.Store, cfg stream.WriterConfig) *stream.Writer {
	t.Helper()
	w, err := stream.Open(t.Context(), store, key, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func write(t testing.TB, w *stream.Writer, text string) {
	t.Helper()
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatalf("Write: %v", err)
	}
}

// TestWriterGathers: the first bytes are stored at once after a pause, what
// follows together.
func TestWriterGathers(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, store *redisstore.Store) {
		t.Helper()
		w := open(t, store, stream.WriterConfig{})
		write(t, w, "a")
		synctest.Wait()
		if got := all(t, store, key, stream.Start); got != "a" {
			t.Errorf("at once: %q", got)
		}
		write(t, w, "b")
		write(t, w, "c")
		time.Sleep(40 * time.Millisecond)
		synctest.Wait()
		if got := all(t, store, key, stream.Start); got != "a" {
			t.Errorf("after 40 ms: %q", got)
		}
		time.Sleep(10 * time.Millisecond)
		synctest.Wait()
		if got := all(t, store, key, stream.Start); got != "abc" {
			t.Errorf("after 50 ms: %q", got)
		}
		write(t, w, strings.Repeat("d", 5000))
		if got := all(t, store, key, stream.Start); len(got) != 5003 {
			t.Errorf("%d bytes, want those that are more than gathered", len(got))
		}
		write(t, w, "e\xe2\x82") // the euro's first two bytes
		is(t, "Flush", w.Flush(t.Context()), nil)
		if got := all(t, store, key, stream.Start); !strings.HasSuffix(got, "de") {
			t.Errorf("ends in %q, a rune is cut", got[len(got)-3:])
		}
		write(t, w, "\xac")
		is(t, "Close", w.Close(), nil)
		is(t, "Close again", w.Close(), nil)
		if got := all(t, store, key, stream.Start); !strings.HasSuffix(got, "e€") {
			t.Errorf("ends in %q", got[len(got)-4:])
		}
		_, err := w.Write([]byte("x"))
		is(t, "Write after Close", err, stream.ErrClosed)
		if got := w.Offset().Pos; got != 5007 {
			t.Errorf("Offset %d, want 5007", got)
		}
	})
}

// TestWriterAgain: a run that follows another one.
func TestWriterAgain(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		cfg     stream.WriterConfig
		closed  bool   // by the first run
		writes  string // of the second run, at each bar one
		want    string
		edition int64
		err     error
	}{
		{name: "the same and more", writes: "one| two three| four", want: "one two three four"},
		{name: "the same", writes: "one two", want: "one two"},
		{name: "closed before", closed: true, writes: "one two", want: "one two"},
		{name: "more than was closed", closed: true, writes: "one two three", want: "one two", err: stream.ErrClosed},
		{name: "less", writes: "one", want: "one two", err: stream.ErrDiverged},
		{name: "other", writes: "one| or two", want: "one two", err: stream.ErrDiverged},
		{name: "less, again", cfg: stream.WriterConfig{Restart: true}, writes: "one", want: "one", edition: 1},
		{name: "other, again", cfg: stream.WriterConfig{Restart: true}, writes: "one| or two", want: "one or two", edition: 1},
		{name: "other than was closed, again", closed: true, cfg: stream.WriterConfig{Restart: true}, writes: "two", want: "two", edition: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, store *redisstore.Store) {
				t.Helper()
				first := open(t, store, stream.WriterConfig{})
				write(t, first, "one two")
				if tt.closed {
					is(t, "Close", first.Close(), nil)
				} else {
					is(t, "Flush", first.Flush(t.Context()), nil)
				}
				w := open(t, store, tt.cfg)
				var err error
				for part := range strings.SplitSeq(tt.writes, "|") {
					if _, err = w.Write([]byte(part)); err != nil {
						break
					}
				}
				if err == nil {
					err = w.Close()
				}
				is(t, "the second run", err, tt.err)
				if got := all(t, store, key, stream.Start); got != tt.want {
					t.Errorf("stored %q, want %q", got, tt.want)
				}
				page, err := store.Read(t.Context(), key, stream.Now, 0, false)
				if err != nil || page.State.End.Edition != tt.edition {
					t.Errorf("%+v, %v, want edition %d", page.State, err, tt.edition)
				}
				if !tt.closed {
					write(t, first, "late")
					is(t, "Flush of the first run", first.Flush(t.Context()), stream.ErrFenced)
				}
			})
		})
	}
}

// TestWriterGoesOn: a handler that knows where it was.
func TestWriterGoesOn(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, store *redisstore.Store) {
		t.Helper()
		w := open(t, store, stream.WriterConfig{Keep: 4})
		write(t, w, "one two")
		is(t, "Release", w.Release(t.Context()), nil)
		_, err := w.Write([]byte("x"))
		is(t, "Write after Release", err, stream.ErrClosed)

		w = open(t, store, stream.WriterConfig{})
		if got := w.From().Pos; got != 7 {
			t.Errorf("From: %d, want 7", got)
		}
		write(t, w, "!")
		is(t, "Flush", w.Flush(t.Context()), nil)
		if got := all(t, store, key, stream.Start); got != "two!" {
			t.Errorf("kept %q", got)
		}
		_, err = store.Read(t.Context(), key, stream.Offset{Pos: 3}, 10, false)
		is(t, "Read before what is kept", err, stream.ErrMoved)

		is(t, "Reset", w.Reset(t.Context()), nil)
		write(t, w, "new")
		is(t, "Close", w.Close(), nil)
		page, err := store.Read(t.Context(), key, stream.Start, 10, false)
		if err != nil || string(page.Data) != "new" || page.To != (stream.Offset{Edition: 1, Pos: 11}) || !page.Ended() {
			t.Errorf("%q up to %s, %v", page.Data, page.To, err)
		}
		is(t, "Reset of a closed stream", w.Reset(t.Context()), nil)
	})
}

// TestItems: a stream of JSON.
func TestItems(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, store *redisstore.Store) {
		t.Helper()
		w := open(t, store, stream.WriterConfig{ContentType: "application/json"})
		for i := range 3 {
			is(t, "Append", w.Append(map[string]int{"n": i}), nil)
		}
		if err := w.Append(func() {}); err == nil {
			t.Error("Append of a function succeeded")
		}
		is(t, "Close", w.Close(), nil)
		if got := all(t, store, key, stream.Start); got != `{"n":0},{"n":1},{"n":2},` {
			t.Errorf("stored %s", got)
		}
		text, err := stream.Open(t.Context(), store, stream.Key{Group: "t"}, stream.WriterConfig{})
		is(t, "Open", err, nil)
		is(t, "Append to text", text.Append(1), stream.ErrInvalid)
		_, err = stream.Open(t.Context(), store, key, stream.WriterConfig{})
		is(t, "Open as text", err, stream.ErrConflict)
	})
}

// TestFull: who writes too much is told, and readers get what was stored.
func TestFull(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, store *redisstore.Store) {
		t.Helper()
		w := open(t, store, stream.WriterConfig{MaxBytes: 10})
		write(t, w, "0123456")
		is(t, "Flush", w.Flush(t.Context()), nil)
		write(t, w, "789a")
		is(t, "Flush", w.Flush(t.Context()), stream.ErrFull)
		is(t, "Close", w.Close(), stream.ErrFull)
		if got := all(t, store, key, stream.Start); got != "0123456" {
			t.Errorf("stored %q", got)
		}
	})
}

// TestFollow: readers at the start, in the middle and late see the same bytes,
// and hardly any of them asks Redis.
func TestFollow(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, store *redisstore.Store) {
		t.Helper()
		w := open(t, store, stream.WriterConfig{})
		var want strings.Builder
		const readers = 50
		got := make(chan string, readers)
		for i := range readers {
			go func() {
				time.Sleep(time.Duration(i) * 100 * time.Millisecond)
				got <- follow(t, store, stream.Start)
			}()
		}
		for i := range 200 {
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
