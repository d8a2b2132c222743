package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lastmile/jobs"
	"lastmile/jobs/jobstest"
	"lastmile/push/stream"
	"lastmile/push/stream/redisstore"
)

// streamsOf returns a store on the kit's Redis, running.
func streamsOf(t *testing.T, k *jobstest.Kit) *redisstore.Store {
	t.Helper()
	s, err := redisstore.New(k.Redis, redisstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s
}

// readAll follows a stream to its end.
func readAll(ctx context.Context, s stream.Store, key stream.Key) (string, error) {
	var b strings.Builder
	for c, err := range stream.Follow(ctx, s, key, stream.Start) {
		if err != nil {
			return b.String(), err
		}
		b.Write(c.Data)
	}
	return b.String(), nil
}

func startStreaming(k *jobstest.Kit, s stream.Store, kind *jobs.Kind[args, result], h handler) *jobstest.Worker {
	return k.Start(jobs.PoolConfig{CheckInterval: checkEvery, Streams: s}, func(p *jobs.Pool) { kind.Handle(p, h) })
}

// TestStreamThroughCrashes: a job writes a text, its workers die on the way, and a
// reader that came at the start has it whole, once, when the job's end is there.
func TestStreamThroughCrashes(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		s := streamsOf(t, k)
		kind := define(jobs.MaxRetry(10), jobs.MaxDeaths(100))
		var want strings.Builder
		for i := range 200 {
			fmt.Fprintf(&want, "token %d, ", i)
		}
		var runs atomic.Int32
		work := func() *jobstest.Worker {
			return startStreaming(k, s, kind, func(ctx context.Context, _ *jobs.Job[args]) (result, error) {
				runs.Add(1)
				w, err := jobs.Stream(ctx, "answer", stream.WriterConfig{})
				if err != nil {
					return result{}, err
				}
				for i := range 200 {
					if _, err := fmt.Fprintf(w, "token %d, ", i); err != nil {
						return result{}, err
					}
					time.Sleep(20 * time.Millisecond)
				}
				return result{200}, nil
			})
		}
		h, err := kind.With(k.Client).Enqueue(t.Context(), args{"a"}, notify(k))
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		w := work()
		time.Sleep(100 * time.Millisecond) // the stream is there
		for range 3 {
			wg.Go(func() {
				if got, err := readAll(t.Context(), s, jobs.StreamKey(h.ID, h.Gen, "answer")); err != nil || got != want.String() {
					t.Errorf("a reader got %d bytes, error %v, want %d", len(got), err, want.Len())
				}
			})
		}
		for i := range 3 {
			k.Until("it runs", func() bool { return int(runs.Load()) > i })
			time.Sleep(1300 * time.Millisecond)
			w.Crash()
			w = work()
		}
		if i := k.Wait(h.ID); i.State != jobs.StateCompleted {
			t.Errorf("it is %s: %v", i.State, i.Failures)
		}
		page, err := s.Read(t.Context(), jobs.StreamKey(h.ID, h.Gen, "answer"), stream.Start, 1<<20, false)
		if err != nil || !page.Ended() || string(page.Data) != want.String() {
			t.Errorf("with the job's end: %d bytes, ended %v, error %v", len(page.Data), page.Ended(), err)
		}
		wg.Wait()
		if n := runs.Load(); n < 4 {
			t.Errorf("it ran %d times", n)
		}
	})
}

// TestStreamsEndWithTheirJob: whichever way a run ends, what it wrote is there, and
// readers of a job that is over come to an end; a generation has streams of its own.
func TestStreamsEndWithTheirJob(t *testing.T) {
	t.Parallel()
	write := func(ctx context.Context, text string) error {
		w, err := jobs.Stream(ctx, "log", stream.WriterConfig{})
		if err != nil {
			return err
		}
		again, err := jobs.Stream(ctx, "log", stream.WriterConfig{})
		if err != nil || again != w {
			return fmt.Errorf("opened twice: %w", err)
		}
		_, err = io.WriteString(w, text)
		return err
	}
	for name, tc := range map[string]struct {
		retries int
		handle  func(ctx context.Context, j *jobs.Job[args]) error
		state   jobs.State
		text    string
		open    bool
	}{
		"completed": {0, func(ctx context.Context, _ *jobs.Job[args]) error { return write(ctx, "all") }, jobs.StateCompleted, "all", false},
		"failed":    {0, func(ctx context.Context, _ *jobs.Job[args]) error { return cmpErr(write(ctx, "part"), errLater) }, jobs.StateFailed, "part", false},
		"panicked": {0, func(ctx context.Context, _ *jobs.Job[args]) error {
			if err := write(ctx, "part"); err != nil {
				return err
			}
			panic("boom")
		}, jobs.StateFailed, "part", false},
		"retried": {1, func(ctx context.Context, j *jobs.Job[args]) error {
			if j.Attempt == 1 {
				return cmpErr(write(ctx, "par"), errLater)
			}
			return write(ctx, "part, and more")
		}, jobs.StateCompleted, "part, and more", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, k *jobstest.Kit) {
				t.Helper()
				s := streamsOf(t, k)
				kind := define(jobs.MaxRetry(tc.retries), jobs.Retention(time.Hour))
				w := startStreaming(k, s, kind, func(ctx context.Context, j *jobs.Job[args]) (result, error) { return result{}, tc.handle(ctx, j) })
				h, err := kind.With(k.Client).Enqueue(t.Context(), args{"a"}, notify(k))
				if err != nil {
					t.Fatal(err)
				}
				for gen := 1; gen <= 2; gen++ {
					if i := k.Wait(h.ID); i.State != tc.state {
						t.Errorf("it is %s, want %s: %v", i.State, tc.state, i.Failures)
					}
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					got, err := readAll(ctx, s, jobs.StreamKey(h.ID, gen, "log"))
					cancel()
					if err != nil || got != tc.text {
						t.Errorf("generation %d wrote %q, error %v; want %q", gen, got, err, tc.text)
					}
					if gen == 1 {
						if err := k.Client.Retry(t.Context(), h.ID); err != nil {
							t.Fatal(err)
						}
					}
				}
				if err := w.Stop(); err != nil { // an hour of its watchdog takes a while
					t.Fatal(err)
				}
				time.Sleep(61 * time.Minute)
				if _, err := s.Read(t.Context(), jobs.StreamKey(h.ID, 1, "log"), stream.Start, 1, false); !errors.Is(err, stream.ErrNotFound) {
					t.Errorf("when the record is gone: %v", err)
				}
			})
		})
	}
}

// TestStreamsThatAreRefused: what cannot be written to is said.
func TestStreamsThatAreRefused(t *testing.T) {
	t.Parallel()
	if _, err := jobs.Stream(t.Context(), "a", stream.WriterConfig{}); !errors.Is(err, jobs.ErrInvalid) {
		t.Errorf("outside of a handler: %v", err)
	}
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define(jobs.MaxRetry(0))
		var none, many, long, negative error
		start(k, kind, func(ctx context.Context, _ *jobs.Job[args]) (result, error) {
			_, none = jobs.Stream(ctx, "a", stream.WriterConfig{})
			return result{}, nil
		})
		k.Wait(enqueue(t, k, kind))
		if !errors.Is(none, jobs.ErrNoStreams) {
			t.Errorf("a pool without a store: %v", none)
		}
		other := jobs.Define[args, result]("test.streams", jobs.MaxRetry(0), jobs.Queue("streams"))
		s := streamsOf(t, k)
		k.Start(jobs.PoolConfig{CheckInterval: checkEvery, Streams: s, Queues: map[string]int{"streams": 1}}, func(p *jobs.Pool) {
			other.Handle(p, func(ctx context.Context, _ *jobs.Job[args]) (result, error) {
				_, long = jobs.Stream(ctx, strings.Repeat("x", 600), stream.WriterConfig{})
				_, negative = jobs.Stream(ctx, "a", stream.WriterConfig{MaxBytes: -1})
				for i := 0; i < 17 && many == nil; i++ {
					_, many = jobs.Stream(ctx, strconv.Itoa(i), stream.WriterConfig{})
				}
				return result{}, nil
			})
		})
		h, err := other.With(k.Client).Enqueue(t.Context(), args{"a"})
		if err != nil {
			t.Fatal(err)
		}
		k.Wait(h.ID)
		if !errors.Is(many, jobs.ErrInvalid) || !errors.Is(long, stream.ErrInvalid) || !errors.Is(negative, stream.ErrInvalid) {
			t.Errorf("got %v; %v; %v", many, long, negative)
		}
	})
}
