package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"lastmile/jobs"
	"lastmile/jobs/jobstest"
)

// legacy is an application that was written for Asynq: a mux with middleware,
// whose handlers do as the task's payload says.
type legacy struct {
	mu   sync.Mutex
	seen []string
	errs []string
}

func (l *legacy) note(list *[]string, format string, v ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	*list = append(*list, fmt.Sprintf(format, v...))
}

func (l *legacy) mux() *asynq.ServeMux {
	mux := asynq.NewServeMux()
	mux.Use(func(next asynq.Handler) asynq.Handler {
		return asynq.HandlerFunc(func(ctx context.Context, t *asynq.Task) error {
			id, _ := asynq.GetTaskID(ctx)
			n, _ := asynq.GetRetryCount(ctx)
			most, _ := asynq.GetMaxRetry(ctx)
			queue, _ := asynq.GetQueueName(ctx)
			_, limited := ctx.Deadline()
			l.note(&l.seen, "%s %s %d/%d %s %q limited=%v headers=%q", id, t.Type(), n, most, queue, t.Payload(), limited, t.Headers()["mine"])
			return next.ProcessTask(ctx, t)
		})
	})
	mux.HandleFunc("mail:", l.handle)
	return mux
}

var errLegacy = errors.New("no mailbox")

func (l *legacy) handle(ctx context.Context, t *asynq.Task) error {
	n, _ := asynq.GetRetryCount(ctx)
	jobs.FromContext(ctx).Progress(0.5, "half")
	switch string(t.Payload()) {
	case "skip":
		return fmt.Errorf("bad address: %w", asynq.SkipRetry)
	case "revoke":
		return fmt.Errorf("not wanted: %w", asynq.RevokeTask)
	case "flaky":
		if n < 2 {
			return errLegacy
		}
	case "fail", "fail once":
		return errLegacy
	case "panic":
		panic("no stamp")
	case "mild":
		if len(l.of("mild")) < 3 {
			return errMild
		}
	case "slow":
		<-ctx.Done()
		return ctx.Err()
	case "result":
		if _, err := t.ResultWriter().Write([]byte(`{"size":7}`)); err != nil {
			return err
		}
	case "text":
		if _, err := t.ResultWriter().Write([]byte("sent")); err != nil {
			return err
		}
	}
	return nil
}

var errMild = errors.New("come back later")

func (l *legacy) of(payload string) (out []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.seen {
		if strings.Contains(s, `"`+payload+`"`) {
			out = append(out, s)
		}
	}
	return out
}

func (l *legacy) config() asynq.Config {
	return asynq.Config{
		Concurrency: 4, TaskCheckInterval: time.Second,
		RetryDelayFunc: func(n int, err error, t *asynq.Task) time.Duration {
			if string(t.Payload()) != "panic" { // a bound one's page is told the time first
				l.note(&l.errs, "delay %d %v %s", n, err, t.Payload())
			}
			return time.Duration(n+1) * time.Second
		},
		IsFailure: func(err error) bool { return !errors.Is(err, errMild) },
		ErrorHandler: asynq.ErrorHandlerFunc(func(_ context.Context, t *asynq.Task, err error) {
			text, _, _ := strings.Cut(err.Error(), "[") // where a panic came from
			l.note(&l.errs, "error %s %s: %T panic=%v", t.Payload(), text, err, asynq.IsPanicError(err))
		}),
	}
}

// produce enqueues a task of every fate, as any producer would.
func produce(t *testing.T, k *jobstest.Kit, bind bool) (ids []string) {
	t.Helper()
	client := asynq.NewClientFromRedisClient(k.Redis)
	for _, p := range []struct {
		payload string
		opts    []asynq.Option
	}{
		{"ok", nil},
		{"skip", nil},
		{"revoke", nil},
		{"flaky", nil},
		{"fail", []asynq.Option{asynq.MaxRetry(2)}},
		{"fail once", []asynq.Option{asynq.MaxRetry(0)}},
		{"panic", []asynq.Option{asynq.MaxRetry(1)}},
		{"mild", []asynq.Option{asynq.MaxRetry(1)}},
		{"slow", []asynq.Option{asynq.MaxRetry(1), asynq.Timeout(3 * time.Second)}},
		{"result", []asynq.Option{asynq.Retention(time.Hour)}},
		{"text", []asynq.Option{asynq.Retention(time.Hour)}},
		{"late", []asynq.Option{asynq.Deadline(time.Now().Add(time.Minute))}},
		{"unique", []asynq.Option{asynq.Unique(time.Hour)}},
	} {
		id := "t " + p.payload
		task := asynq.NewTaskWithHeaders("mail:"+p.payload, []byte(p.payload), map[string]string{"mine": "yes"}, append(p.opts, asynq.TaskID(id), asynq.Queue("legacy"))...)
		if bind {
			task = jobs.Bind(task, k.Session("s"), jobs.OnDone("Done"), jobs.OnFailed("Failed"), jobs.OnProgress("Progress"),
				jobs.On("Retrying", jobs.StateRetrying), jobs.On("Started", jobs.StateRunning), jobs.On("Cancelled", jobs.StateCancelled))
		}
		if _, err := client.EnqueueContext(t.Context(), task); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

// observe tells what became of all tasks.
func (l *legacy) observe(t *testing.T, k *jobstest.Kit, ids []string) []string {
	t.Helper()
	time.Sleep(5 * time.Minute)
	inspect := k.Inspector()
	var out []string
	for _, id := range ids {
		info, err := inspect.GetTaskInfo("legacy", id)
		if err != nil {
			out = append(out, fmt.Sprintf("%s: %v", id, err))
			continue
		}
		text, _, _ := strings.Cut(info.LastErr, "[")
		out = append(out, fmt.Sprintf("%s: %s %d/%d %q result %q", id, info.State, info.Retried, info.MaxRetry, text, info.Result))
	}
	q, err := inspect.GetQueueInfo("legacy")
	if err != nil {
		t.Fatal(err)
	}
	out = append(out, fmt.Sprintf("processed %d failed %d", q.ProcessedTotal, q.FailedTotal))
	l.mu.Lock()
	defer l.mu.Unlock()
	slices.Sort(l.seen)
	slices.Sort(l.errs)
	return slices.Concat(out, l.seen, l.errs)
}

// TestAdoptedAsUnderAsynq: an unchanged handler is run as a server of Asynq runs
// it, also for tasks that are bound to a session.
func TestAdoptedAsUnderAsynq(t *testing.T) {
	t.Parallel()
	var want []string
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		l := new(legacy)
		cfg := l.config()
		cfg.Queues = map[string]int{"legacy": 1}
		server := asynq.NewServerFromRedisClient(k.Redis, cfg)
		if err := server.Start(l.mux()); err != nil {
			t.Fatal(err)
		}
		want = l.observe(t, k, produce(t, k, false))
		server.Shutdown()
	})
	for name, bind := range map[string]bool{"plain": false, "bound": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, k *jobstest.Kit) {
				t.Helper()
				l := new(legacy)
				k.Start(jobs.PoolConfig{CheckInterval: checkEvery}, func(p *jobs.Pool) { p.Adopt("legacy", l.mux(), l.config()) })
				got := l.observe(t, k, produce(t, k, bind))
				for i := range min(len(got), len(want)) {
					if got[i] != want[i] {
						t.Errorf("%s\nunder Asynq: %s", got[i], want[i])
					}
				}
				if len(got) != len(want) {
					t.Errorf("%d observations, under Asynq %d", len(got), len(want))
				}
			})
		})
	}
}

// TestBoundTasks: the page of a bound task hears what becomes of it, once.
func TestBoundTasks(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		l := new(legacy)
		k.Start(jobs.PoolConfig{CheckInterval: checkEvery}, func(p *jobs.Pool) { p.Adopt("legacy", l.mux(), l.config()) })
		produce(t, k, true)
		for _, tt := range []struct {
			task    string
			state   jobs.State
			code    string
			attempt int
			of      int
		}{
			{"ok", jobs.StateCompleted, "", 1, 26},
			{"skip", jobs.StateFailed, "error", 1, 26},
			{"revoke", jobs.StateCancelled, "revoked", 1, 26},
			{"flaky", jobs.StateCompleted, "", 3, 26},
			{"fail", jobs.StateFailed, "error", 3, 3},
			{"fail once", jobs.StateFailed, "error", 1, 1},
			{"panic", jobs.StateFailed, "panic", 2, 2},
			{"mild", jobs.StateCompleted, "", 1, 2},
			{"slow", jobs.StateFailed, "timeout", 2, 2},
			{"result", jobs.StateCompleted, "", 1, 26},
			{"late", jobs.StateCompleted, "", 1, 26},
		} {
			end := wantEnd(t, k, "t "+tt.task, tt.state)
			if e := end.Event; e.Code != tt.code || e.Attempt != tt.attempt || e.Attempts != tt.of || e.Kind != "mail:"+tt.task {
				t.Errorf("%s: %+v, want %s in attempt %d of %d", tt.task, e, tt.code, tt.attempt, tt.of)
			}
			if info, err := k.Client.Get(t.Context(), "t "+tt.task); err != nil || info.Queue != "legacy" || info.Attempt != tt.attempt {
				t.Errorf("%s: %+v, %v", tt.task, info, err)
			}
			if tt.task == "result" && !strings.Contains(string(end.Data), `"size":7`) {
				t.Errorf("the end carries %s, want the result", end.Data)
			}
		}
		got := strings.Join(actions(k), " ")
		for _, want := range []string{"Started", "Progress", "Retrying", "Done", "Failed", "Cancelled"} {
			if !strings.Contains(got, want) {
				t.Errorf("no %s among %s", want, got)
			}
		}
	})
}
