package jobs_test

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"lastmile/jobs"
	"lastmile/jobs/jobstest"
)

func TestRetryOpensTheNextGeneration(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define(jobs.MaxRetry(1))
		var ok atomic.Bool
		start(k, kind, func(context.Context, *jobs.Job[args]) (result, error) {
			if ok.Load() {
				return result{7}, nil
			}
			return result{}, errBoom
		})
		id := enqueue(t, k, kind)
		if err := k.Client.Retry(t.Context(), id); !errors.Is(err, jobs.ErrOpen) {
			t.Errorf("Retry of an open job = %v, want ErrOpen", err)
		}
		wantEnd(t, k, id, jobs.StateFailed)
		ok.Store(true)
		if err := k.Client.Retry(t.Context(), id); err != nil {
			t.Fatalf("Retry: %v", err)
		}
		info := k.Wait(id)
		if info.State != jobs.StateCompleted || info.Gen != 2 || info.Attempt != 1 || info.Code != "" {
			t.Errorf("info = %+v, want completed in generation 2, attempt 1", info)
		}
		ends := k.Terminal("s", id)
		if len(ends) != 2 || ends[0].Event.State != jobs.StateFailed || ends[1].Event.Gen != 2 {
			t.Errorf("terminal events = %v, want one for each generation", ends)
		}
		if _, err := k.Inspector().GetTaskInfo("lm.default", id); err == nil {
			t.Error("the failed task is still in the archive although its job completed")
		}
	})
}

// A job that is opened again tells its page so: it is queued, not failed any
// more, also when no worker is there to start it.
func TestRetryTellsThatTheJobIsQueued(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define(jobs.MaxRetry(0))
		w := start(k, kind, fail)
		id := enqueue(t, k, kind)
		wantEnd(t, k, id, jobs.StateFailed)
		if err := w.Stop(); err != nil {
			t.Fatal(err)
		}
		if err := k.Client.Retry(t.Context(), id); err != nil {
			t.Fatalf("Retry: %v", err)
		}
		events := k.Events("s")
		if last := events[len(events)-1]; last.Action != "Queued" || last.Event.State != jobs.StateQueued || last.Event.Gen != 2 || last.Event.Attempts != 1 {
			t.Errorf("last event = %s %+v, want Queued of generation 2", last.Action, last.Event)
		}
	})
}

// What an operator does to a task with Asynq's own tools gives the right event,
// and never a second one.
func TestOperatorWithAsynqsTools(t *testing.T) {
	t.Parallel()
	stuck := func(ctx context.Context, _ *jobs.Job[args]) (result, error) {
		<-ctx.Done()
		return result{}, ctx.Err()
	}
	for _, tt := range []struct {
		name  string
		h     handler
		at    jobs.State // when the operator acts; "" without a worker
		opts  []jobs.Option
		do    func(k *jobstest.Kit, id string) error
		state jobs.State
		soon  time.Duration // until the session knows
	}{
		{
			"run of a failed job", fail, jobs.StateFailed,
			[]jobs.Option{jobs.MaxRetry(0)},
			func(k *jobstest.Kit, id string) error { return k.Inspector().RunTask("lm.default", id) }, jobs.StateFailed, 0,
		},
		{
			"run of a retrying job", failOnce(), jobs.StateRetrying,
			[]jobs.Option{jobs.RetryBackoff(3*time.Minute, 3*time.Minute)},
			func(k *jobstest.Kit, id string) error { return k.Inspector().RunTask("lm.default", id) }, jobs.StateCompleted, 5 * time.Second,
		},
		{
			"archive of a scheduled job", quick, jobs.StateScheduled,
			[]jobs.Option{jobs.ProcessIn(time.Hour)},
			func(k *jobstest.Kit, id string) error { return k.Inspector().ArchiveTask("lm.default", id) }, jobs.StateFailed, 5 * time.Second,
		},
		{
			"delete of a scheduled job", quick, jobs.StateScheduled,
			[]jobs.Option{jobs.ProcessIn(time.Hour)},
			func(k *jobstest.Kit, id string) error { return k.Inspector().DeleteTask("lm.default", id) }, jobs.StateLost, 30 * time.Second,
		},
		{
			"archive of a retrying job", fail, jobs.StateRetrying,
			[]jobs.Option{jobs.RetryBackoff(3*time.Minute, 3*time.Minute)},
			func(k *jobstest.Kit, id string) error { return k.Inspector().ArchiveTask("lm.default", id) }, jobs.StateFailed, 5 * time.Second,
		},
		{
			"delete of a retrying job", fail, jobs.StateRetrying,
			[]jobs.Option{jobs.RetryBackoff(3*time.Minute, 3*time.Minute)},
			func(k *jobstest.Kit, id string) error { return k.Inspector().DeleteTask("lm.default", id) }, jobs.StateLost, 30 * time.Second,
		},
		{
			"delete of a failed job", fail, jobs.StateFailed,
			[]jobs.Option{jobs.MaxRetry(0)},
			func(k *jobstest.Kit, id string) error { return k.Inspector().DeleteTask("lm.default", id) }, jobs.StateFailed, 0,
		},
		{
			"cancel of a running job", stuck, jobs.StateRunning, nil,
			func(k *jobstest.Kit, id string) error { return k.Inspector().CancelProcessing(id) }, jobs.StateCancelled, time.Second,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, k *jobstest.Kit) {
				t.Helper()
				kind := define(tt.opts...)
				start(k, kind, tt.h)
				id := enqueue(t, k, kind)
				k.WaitState(id, tt.at)
				time.Sleep(time.Second) // Asynq has moved its task too
				done := time.Now()
				if err := tt.do(k, id); err != nil {
					t.Fatalf("operator: %v", err)
				}
				wantEnd(t, k, id, tt.state)
				if took := time.Since(done); took > tt.soon {
					t.Errorf("the session knows after %v, want %v", took, tt.soon)
				}
				time.Sleep(4 * time.Minute)
				wantEnd(t, k, id, tt.state)
			})
		})
	}
}

func fail(context.Context, *jobs.Job[args]) (result, error) { return result{}, errBoom }

func failOnce() handler {
	var n atomic.Int32
	return func(context.Context, *jobs.Job[args]) (result, error) {
		if n.Add(1) == 1 {
			return result{}, errBoom
		}
		return result{7}, nil
	}
}

func TestForSession(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define(jobs.Retention(3 * time.Minute))
		start(k, kind, func(_ context.Context, j *jobs.Job[args]) (result, error) {
			j.Progress(0.5, "half")
			return result{7}, nil
		})
		for i := range 205 {
			h, err := kind.With(k.Client).Enqueue(t.Context(), args{strconv.Itoa(i)}, notifyAs(k, "lister"))
			if err != nil {
				t.Fatal(err)
			}
			if i%50 == 0 {
				k.Wait(h.ID)
			}
			time.Sleep(2 * time.Millisecond)
		}
		k.Drain()
		infos, err := jobs.ForSession(t.Context(), k.Client, k.Session("lister"))
		if err != nil || len(infos) != 200 {
			t.Fatalf("ForSession = %d jobs, %v, want the newest 200", len(infos), err)
		}
		if string(infos[0].Args) != `{"name":"204"}` || string(infos[199].Args) != `{"name":"5"}` {
			t.Errorf("first %s, last %s: want newest first", infos[0].Args, infos[199].Args)
		}
		r, err := kind.Result(infos[0])
		if err != nil || r.Size != 7 || infos[0].Fraction != 0.5 || infos[0].Message != "half" {
			t.Errorf("result = %+v, %v, info %+v", r, err, infos[0])
		}
		time.Sleep(4 * time.Minute)
		infos, err = jobs.ForSession(t.Context(), k.Client, k.Session("lister"))
		if err != nil || len(infos) != 0 {
			t.Errorf("after the retention: %d jobs, %v", len(infos), err)
		}
		if n := k.Redis.Exists(t.Context(), "lm:jobs:s:lister").Val(); n != 0 {
			t.Error("the list of a session without jobs stays")
		}
	})
}

func TestProgress(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define()
		start(k, kind, func(_ context.Context, j *jobs.Job[args]) (result, error) {
			for i := range 1001 {
				j.Progress(float64(i)/1000, "row "+strconv.Itoa(i))
				time.Sleep(2 * time.Millisecond)
			}
			return result{7}, nil
		})
		id := enqueue(t, k, kind)
		wantEnd(t, k, id, jobs.StateCompleted)
		events := k.Events("s")
		n, last := 0, jobstest.Push{}
		for _, p := range events {
			if p.Action != "Progress" {
				continue
			}
			if n++; p.Replaces != "job:"+id+":1" || p.Event.Fraction < last.Event.Fraction {
				t.Errorf("progress push %+v after %+v", p.Message, last.Message)
			}
			last = p
		}
		if n < 15 || n > 22 {
			t.Errorf("%d progress events in 2 seconds, want about 20", n)
		}
		if last.Event.Message != "row 1000" || last.Event.Fraction != 1 {
			t.Errorf("last progress = %+v, want the last value", last.Event)
		}
		if events[len(events)-1].Action != "Done" {
			t.Errorf("last event is %s", events[len(events)-1].Action)
		}
	})
}

// TestQueueThatNobodyNamed: a pool that works on "default", since its configuration
// names no queue, warns of a kind whose jobs lie in another one.
func TestQueueThatNobodyNamed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		queue string
		named map[string]int
		want  int
	}{{"mail", nil, 1}, {"default", nil, 0}, {"mail", map[string]int{"mail": 1}, 0}, {"mail", map[string]int{"default": 1}, 0}} {
		bubble(t, func(t *testing.T, k *jobstest.Kit) {
			t.Helper()
			log := new(syncBuffer)
			p, err := jobs.NewPool(k.Redis, k.Publisher, jobs.PoolConfig{Queues: tt.named, ClientConfig: jobs.ClientConfig{Logger: slog.New(slog.NewTextHandler(log, nil))}})
			if err != nil {
				t.Fatal(err)
			}
			define(jobs.Queue(tt.queue)).Handle(p, quick)
			if got := log.count("level=WARN"); got != tt.want || log.count(`queue=mail`) != tt.want {
				t.Errorf("queue %s, named %v: %d warnings, want %d", tt.queue, tt.named, got, tt.want)
			}
		})
	}
}
