package jobs_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"lastmile/jobs"
	"lastmile/jobs/jobstest"
	"lastmile/push"
)

// action is a context as an action of a live page has it.
type action struct {
	context.Context
	id      string
	session push.Session
}

func (a *action) ActionID() string      { return a.id }
func (a *action) Session() push.Session { return a.session }

func TestEnqueueInsideAnAction(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define()
		run := func(id string) (ids [2]string) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			a := &action{ctx, id, k.Session("page")}
			for i := range ids {
				h, err := kind.With(k.Client).Enqueue(a, args{"same"})
				if err != nil {
					t.Fatal(err)
				}
				ids[i] = h.ID
			}
			return ids
		}
		first, again, other := run("act-1"), run("act-1"), run("act-2")
		if first != again || first[0] == first[1] || first == other {
			t.Errorf("IDs %v, run again %v, another action %v", first, again, other)
		}
		infos, err := jobs.ForSession(t.Context(), k.Client, k.Session("page"))
		if err != nil || len(infos) != 4 {
			t.Errorf("the page's session has %d jobs, %v, want 4", len(infos), err)
		}
	})
}

func TestClientFromContext(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define()
		if _, err := kind.Enqueue(t.Context(), args{}); !errors.Is(err, jobs.ErrInvalid) {
			t.Errorf("Enqueue without a client = %v, want ErrInvalid", err)
		}
		child := jobs.Define[args, result]("test.child")
		k.Start(jobs.PoolConfig{CheckInterval: checkEvery}, func(p *jobs.Pool) {
			kind.Handle(p, func(ctx context.Context, j *jobs.Job[args]) (result, error) {
				_, err := child.Enqueue(ctx, j.Args, jobs.ID("child"))
				return result{}, err
			})
			child.Handle(p, quick)
		})
		if _, err := kind.With(k.Client).Enqueue(t.Context(), args{"a"}); err != nil {
			t.Fatal(err)
		}
		if info := k.Wait("child"); info.State != jobs.StateCompleted {
			t.Errorf("child is %s", info.State)
		}
	})
}

func TestInvalid(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		for name, opt := range map[string]jobs.Option{
			"queue": jobs.Queue(""), "blank queue": jobs.Queue(" "), "queue that is no text": jobs.Queue("q\xff"), "ID that is no text": jobs.ID("\xff"), "retries": jobs.MaxRetry(501), "timeout": jobs.Timeout(0), "retention": jobs.Retention(0),
			"id": jobs.ID(strings.Repeat("x", 97)), "tilde": jobs.ID("a~2"), "delay": jobs.ProcessIn(-1),
			"backoff": jobs.RetryBackoff(0, 0), "limit": jobs.Concurrency("k", 0),
			"action": jobs.Notify(k.Session("s"), jobs.OnDone("no such name")),
			"chain":  jobs.Then(define(jobs.Timeout(0)).Step(args{})),
		} {
			if _, err := define().With(k.Client).Enqueue(t.Context(), args{}, opt); !errors.Is(err, jobs.ErrInvalid) {
				t.Errorf("%s: Enqueue = %v, want ErrInvalid", name, err)
			}
		}
		if _, err := jobs.Define[args, result]("no good").With(k.Client).Enqueue(t.Context(), args{}); !errors.Is(err, jobs.ErrInvalid) {
			t.Errorf("bad name: %v", err)
		}
		if _, err := jobs.Define[string, int]("big").With(k.Client).Enqueue(t.Context(), strings.Repeat("x", 300<<10)); !errors.Is(err, jobs.ErrInvalid) {
			t.Errorf("large arguments: %v", err)
		}
		pool, err := jobs.NewPool(k.Redis, k.Publisher, jobs.PoolConfig{})
		if err != nil {
			t.Fatal(err)
		}
		define().Handle(pool, quick)
		define().Handle(pool, quick)
		if err := pool.Run(t.Context()); !errors.Is(err, jobs.ErrInvalid) {
			t.Errorf("Run with a kind registered twice = %v", err)
		}
		for _, cfg := range []jobs.PoolConfig{{Concurrency: -1}, {Queues: map[string]int{"q": 0}}, {Queues: map[string]int{" ": 1}}, {DelayedInterval: time.Nanosecond}} {
			if _, err := jobs.NewPool(k.Redis, k.Publisher, cfg); err == nil {
				t.Errorf("NewPool(%+v) succeeded", cfg)
			}
		}
	})
}

func TestWhatAPoolCannotRun(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		k.Start(jobs.PoolConfig{CheckInterval: checkEvery, VersionSkew: 2 * time.Second}, func(p *jobs.Pool) { define().Handle(p, quick) })
		unknown := jobs.Define[args, result]("test.unknown", jobs.MaxRetry(1))
		h, err := unknown.With(k.Client).Enqueue(t.Context(), args{}, notify(k))
		if err != nil {
			t.Fatal(err)
		}
		if end := wantEnd(t, k, h.ID, jobs.StateFailed); end.Event.Code != "unknown_kind" {
			t.Errorf("code = %s", end.Event.Code)
		}
		misfit := jobs.Define[[]int, result]("test.work")
		if h, err = misfit.With(k.Client).Enqueue(t.Context(), []int{1}, notify(k)); err != nil {
			t.Fatal(err)
		}
		if end := wantEnd(t, k, h.ID, jobs.StateFailed); end.Event.Code != "bad_args" || end.Event.Attempt != 1 {
			t.Errorf("event = %+v, want bad_args at once", end.Event)
		}
		wantEnd(t, k, enqueue(t, k, define()), jobs.StateCompleted) // the pool lives
	})
}

func TestHandleAfterTheStartIsLogged(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		var log strings.Builder
		pool, err := jobs.NewPool(k.Redis, k.Publisher, jobs.PoolConfig{
			ClientConfig: jobs.ClientConfig{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError}))},
		})
		if err != nil {
			t.Fatal(err)
		}
		define().Handle(pool, quick)
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := pool.Run(ctx); err != nil {
				t.Errorf("Run: %v", err)
			}
		})
		synctest.Wait()
		jobs.Define[args, result]("test.late").Handle(pool, quick)
		stop()
		wg.Wait()
		if !strings.Contains(log.String(), "kind=test.late") {
			t.Errorf("the log says nothing of a kind registered after the start: %q", log.String())
		}
	})
}

// A mailbox that is full loses nothing: the event waits until there is
// room.
func TestFullMailbox(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define()
		start(k, kind, quick)
		var full atomic.Bool
		full.Store(true)
		k.OnPush(func(m push.Message) error {
			if m.Final && full.Load() {
				return push.ErrMailboxFull
			}
			return nil
		}, nil)
		id := enqueue(t, k, kind)
		if info := k.WaitState(id, jobs.StateCompleted); info.Ended.IsZero() {
			t.Errorf("info = %+v", info)
		}
		time.Sleep(10 * time.Minute)
		if n := len(k.Terminal("s", id)); n != 0 {
			t.Fatalf("%d events in a full mailbox", n)
		}
		full.Store(false)
		wantEnd(t, k, id, jobs.StateCompleted)
	})
}

// A mailbox may stay full for longer than the others remember an ID.
func TestFullMailboxOfOneRequester(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define(jobs.Unique(time.Hour))
		worker := start(k, kind, quick)
		var full atomic.Bool
		full.Store(true)
		var pushes atomic.Int32
		k.OnPush(func(m push.Message) error {
			switch {
			case m.Final && m.Session == "away" && full.Load():
				return push.ErrMailboxFull
			case m.Final && m.Session == "there":
				pushes.Add(1)
			}
			return nil
		}, nil)
		if err := worker.Stop(); err != nil {
			t.Fatal(err)
		}
		id := ""
		for _, session := range []string{"away", "there"} {
			h, err := kind.With(k.Client).Enqueue(t.Context(), args{"a"}, notifyAs(k, session))
			if err != nil {
				t.Fatal(err)
			}
			id = h.ID
		}
		start(k, kind, quick)
		k.WaitState(id, jobs.StateCompleted)
		time.Sleep(2 * time.Minute)
		full.Store(false)
		time.Sleep(5 * time.Minute)
		for _, session := range []string{"away", "there"} {
			if n := len(k.Terminal(session, id)); n != 1 {
				t.Errorf("%s has %d ends, want 1", session, n)
			}
		}
		if n := pushes.Load(); n != 1 {
			t.Errorf("the one whose mailbox had room was told %d times", n)
		}
	})
}

func TestLargeResult(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := jobs.Define[args, string]("test.large")
		k.Start(jobs.PoolConfig{}, func(p *jobs.Pool) {
			kind.Handle(p, func(context.Context, *jobs.Job[args]) (string, error) { return strings.Repeat("x", 64<<10), nil })
		})
		h, err := kind.With(k.Client).Enqueue(t.Context(), args{}, notify(k))
		if err != nil {
			t.Fatal(err)
		}
		if end := wantEnd(t, k, h.ID, jobs.StateFailed); end.Event.Code != "result_too_large" {
			t.Errorf("code = %s", end.Event.Code)
		}
	})
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		reg := prometheus.NewPedanticRegistry()
		kind := define(jobs.MaxRetry(0))
		k.Start(jobs.PoolConfig{ClientConfig: jobs.ClientConfig{Registerer: reg}}, func(p *jobs.Pool) { kind.Handle(p, quick) })
		wantEnd(t, k, enqueue(t, k, kind), jobs.StateCompleted)
		problems, err := testutil.GatherAndLint(reg)
		if err != nil || len(problems) > 0 {
			t.Errorf("lint: %v, %v", problems, err)
		}
		n, err := testutil.GatherAndCount(reg, "jobs_ended_total", "jobs_attempts_total", "jobs_attempt_seconds", "jobs_abandoned_handlers")
		if err != nil || n != 4 {
			t.Errorf("%d series, %v, want 4", n, err)
		}
	})
}

func TestTraceReachesHandlerAndPushes(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define()
		span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled})
		var inHandler atomic.Value
		start(k, kind, func(ctx context.Context, _ *jobs.Job[args]) (result, error) {
			inHandler.Store(trace.SpanContextFromContext(ctx).TraceID())
			return result{}, nil
		})
		ctx := trace.ContextWithSpanContext(t.Context(), span)
		h, err := kind.With(k.Client).Enqueue(ctx, args{}, notify(k))
		if err != nil {
			t.Fatal(err)
		}
		end := wantEnd(t, k, h.ID, jobs.StateCompleted)
		if inHandler.Load() != span.TraceID() || !strings.Contains(end.Traceparent, span.TraceID().String()) {
			t.Errorf("trace in the handler %v, in the push %q", inHandler.Load(), end.Traceparent)
		}
	})
}

func TestSpanOfAnExecution(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		spans := tracetest.NewSpanRecorder()
		provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
		kind := define(jobs.MaxRetry(1), jobs.RetryBackoff(time.Second, time.Second))
		h := failOnce()
		k.Start(jobs.PoolConfig{CheckInterval: checkEvery, TracerProvider: provider}, func(p *jobs.Pool) { kind.Handle(p, h) })
		ctx, parent := provider.Tracer("test").Start(t.Context(), "click")
		handle, err := kind.With(k.Client).Enqueue(ctx, args{}, notify(k))
		if err != nil {
			t.Fatal(err)
		}
		parent.End()
		wantEnd(t, k, handle.ID, jobs.StateCompleted)
		executions := func() (out []sdktrace.ReadOnlySpan) {
			for _, s := range spans.Ended() {
				if s.Name() == "job test.work" {
					out = append(out, s)
				}
			}
			return out
		}
		k.Until("both executions have their span", func() bool { return len(executions()) == 2 })
		for i, want := range []codes.Code{codes.Error, codes.Unset} {
			s := executions()[i]
			if s.Status().Code != want || s.Parent().SpanID() != parent.SpanContext().SpanID() {
				t.Errorf("span %d: status %v, child of %s, want %v and of the click", i, s.Status(), s.Parent().SpanID(), want)
			}
		}
	})
}
