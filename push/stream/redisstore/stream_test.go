package redisstore_test

import (
	"context"
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
