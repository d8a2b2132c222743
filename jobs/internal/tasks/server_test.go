package tasks_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"lastmile/jobs/internal/tasks"
)

// fake is a client whose commands are answered by a function, without a network.
type fake struct {
	answer func(cmd redis.Cmder) error

	mu   sync.Mutex
	cmds []string
}

func newFake(t *testing.T, answer func(cmd redis.Cmder) error, outer ...redis.Hook) (*fake, *redis.Client) {
	t.Helper()
	f := &fake{answer: answer}
	c := redis.NewClient(&redis.Options{
		Addr: "127.0.0.1:0", MaxRetries: -1, Protocol: 2,
		Dialer:                   func(context.Context, string, string) (net.Conn, error) { return nil, errBroken },
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	for _, h := range append(outer, f) {
		c.AddHook(h)
	}
	t.Cleanup(func() { _ = c.Close() })
	return f, c
}

func (f *fake) DialHook(next redis.DialHook) redis.DialHook { return next }

func (f *fake) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(_ context.Context, cmd redis.Cmder) error { return f.process(cmd) }
}

func (f *fake) ProcessPipelineHook(redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(_ context.Context, cmds []redis.Cmder) error {
		var err error
		for _, cmd := range cmds {
			err = errors.Join(err, f.process(cmd))
		}
		return err
	}
}

func (f *fake) process(cmd redis.Cmder) error {
	f.mu.Lock()
	f.cmds = append(f.cmds, strings.SplitN(cmd.String(), ": ", 2)[0])
	f.mu.Unlock()
	err := f.answer(cmd)
	cmd.SetErr(err)
	return err
}

var errBroken = errors.New("broken")

func fine(redis.Cmder) error { return nil }

// bench is a Server with everything around it recorded.
type bench struct {
	*tasks.Server
	passed   []string // SHAs
	asked    []int
	finished []string
	taken    []tasks.Task
	removal  tasks.Removal
	done     bool
	err      error
}

func newBench(t *testing.T) *bench {
	t.Helper()
	_, rdb := newFake(t, fine)
	known := tasks.Probe()
	b := new(bench)
	b.Server = &tasks.Server{
		UniversalClient: rdb, Known: &known, Prefetch: tasks.NewPrefetch(3, true), Pace: new(tasks.Hook),
		Take: func(_ context.Context, _ tasks.Queue, _ any, n int) ([]tasks.Task, bool, error) {
			b.asked = append(b.asked, n)
			return b.taken, false, b.err
		},
		Finish: func(_ context.Context, ids []string, r tasks.Removal) (bool, error) {
			b.finished, b.removal = append(b.finished, ids...), r
			return b.done, b.err
		},
		Call: func(ctx context.Context, sha string, _ []string, _ []any) *redis.Cmd {
			b.passed = append(b.passed, sha)
			cmd := redis.NewCmd(ctx)
			cmd.SetVal("asynq")
			return cmd
		},
	}
	return b
}

func key(name string) string { return "asynq:{q}:" + name }

func (b *bench) dequeue(ctx context.Context) *redis.Cmd {
	return b.EvalSha(ctx, tasks.DequeueSHA, []string{key("pending"), key("paused"), key("active"), key("lease")}, int64(1), key("t:"))
}

func (b *bench) remove(ctx context.Context, sha string) *redis.Cmd {
	return b.EvalSha(ctx, sha, []string{key("active"), key("lease"), key("t:1"), key("processed:x"), key("processed")}, "1", int64(1), int64(2))
}

func TestServerTakes(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if err := b.dequeue(t.Context()).Err(); !errors.Is(err, redis.Nil) {
		t.Errorf("an empty queue: %v", err)
	}
	b.taken = some(2)
	for n, want := range []string{"m0", "m1"} {
		if got, err := b.dequeue(t.Context()).Text(); got != want || err != nil {
			t.Errorf("call %d = %q, %v", n, got, err)
		}
	}
	b.err, b.taken = errBroken, nil
	if err := b.dequeue(t.Context()).Err(); !errors.Is(err, errBroken) {
		t.Errorf("a broken queue: %v", err)
	}
	if !slices.Equal(b.asked, []int{3, 3, 1}) || len(b.passed) > 0 {
		t.Errorf("asked for %v, passed on %v", b.asked, b.passed)
	}
}

func TestServerLeavesToAsynqWhatIsUnknown(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.Known.Dequeue, b.Known.Done = false, false
	if got, _ := b.dequeue(t.Context()).Text(); got != "asynq" || len(b.asked) > 0 {
		t.Errorf("took %q, asked for %v", got, b.asked)
	}
	if got, _ := b.remove(t.Context(), tasks.DoneSHA).Text(); got != "asynq" || len(b.removal.Keys) > 0 {
		t.Errorf("removed %q, told to remove %v", got, b.removal)
	}
	if !slices.Contains(b.finished, "1") {
		t.Errorf("finished %q: an end has to be stored before a call that mentions its task", b.finished)
	}
}

func TestServerFinishes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name       string
		sha        string
		done       bool
		err        error
		want       string
		keys       int
		wantPassed bool
	}{
		{name: "with the task", sha: tasks.DoneSHA, done: true, want: "OK", keys: 6},
		{name: "and Asynq removes the task", sha: tasks.DoneSHA, want: "asynq", keys: 6, wantPassed: true},
		{name: "another script", sha: "0123", want: "asynq", wantPassed: true},
		{name: "fails", sha: tasks.DoneSHA, err: errBroken, keys: 6},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.done, b.err = tt.done, tt.err
			cmd := b.remove(t.Context(), tt.sha)
			if got, _ := cmd.Text(); got != tt.want || !errors.Is(cmd.Err(), tt.err) {
				t.Errorf("answer %q, %v", got, cmd.Err())
			}
			if len(b.removal.Keys) != tt.keys || (len(b.passed) > 0) != tt.wantPassed {
				t.Errorf("removal %v, passed on %v", b.removal, b.passed)
			}
		})
	}
}

// TestServerPassesHeartbeats: what Asynq writes of its workers names tasks, and
// ends none.
func TestServerPassesHeartbeats(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.taken = some(1)
	b.dequeue(t.Context())
	b.EvalSha(t.Context(), "0123", []string{"asynq:servers:{h}", "asynq:workers:{h}"}, 10.0, "info", "0", "worker")
	if s, _ := b.Prefetch.Standing("0"); s != tasks.Unbegun || len(b.finished) > 0 {
		t.Errorf("standing %v, finished %v", s, b.finished)
	}
	b.EvalSha(t.Context(), "0123", nil)
	b.remove(t.Context(), "4567")
	if s, _ := b.Prefetch.Standing("0"); s != tasks.Unbegun {
		t.Error("the end of another task settles this one")
	}
}

// TestServerOutlivesItsCaller: Asynq repeats a failed call under a context that
// is cancelled by then.
func TestServerOutlivesItsCaller(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var inner error
	b.Call = func(ctx context.Context, _ string, _ []string, _ []any) *redis.Cmd {
		inner = ctx.Err()
		return redis.NewCmd(ctx)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b.remove(ctx, "0123")
	if inner != nil {
		t.Errorf("the call's context: %v", inner)
	}
}

func TestHookPaces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := new(tasks.Hook)
		waited := func(err error) time.Duration {
			began := time.Now()
			h.Wait(t.Context(), err)
			return time.Since(began)
		}
		for n, want := range []time.Duration{0, tasks.Refused, 2 * tasks.Refused, 4 * tasks.Refused, 8 * tasks.Refused, 10 * tasks.Refused} {
			if got := waited(errBroken); got != want {
				t.Errorf("refusal %d waits %v, want %v", n, got, want)
			}
		}
		if waited(nil) != 0 || waited(errBroken) != 0 {
			t.Error("it waits after a success")
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		began := time.Now()
		h.Wait(ctx, errBroken)
		if time.Since(began) != 0 {
			t.Error("it waits for nobody")
		}
	})
}

func TestHookOnAClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, rdb := newFake(t, func(redis.Cmder) error { return errBroken }, new(tasks.Hook))
		ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
		cancel()
		began := time.Now()
		for range 3 {
			_ = rdb.EvalSha(ctx, "0123", nil).Err()
		}
		if got := time.Since(began); got != 3*tasks.Refused {
			t.Errorf("three refused scripts wait %v", got)
		}
		_, _ = rdb.Pipelined(ctx, func(p redis.Pipeliner) error { p.Get(ctx, "x"); return nil })
		_ = rdb.Get(ctx, "x").Err()
		if got := time.Since(began); got != 3*tasks.Refused {
			t.Errorf("other commands wait: %v", got)
		}
	})
}

type redisError string

func (e redisError) Error() string { return string(e) }
func (redisError) RedisError()     {}

func TestTroubled(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{redis.Nil, false},
		{errBroken, true},
		{&net.OpError{Op: "dial", Err: errBroken}, true},
		{redisError("OOM command not allowed"), true},
		{redisError("NOSCRIPT none"), false},
		{redisError("NOT FOUND"), false},
		{redisError("TASK ALREADY ARCHIVED"), false},
	} {
		if got := tasks.Troubled(tt.err); got != tt.want {
			t.Errorf("troubled(%v) = %t", tt.err, got)
		}
	}
}

func TestConnect(t *testing.T) {
	t.Parallel()
	single := redis.NewClient(&redis.Options{Addr: "127.0.0.1:0", MaxRetries: -1, ReadTimeout: -1, PoolSize: 5})
	defer func() { _ = single.Close() }()
	c, ok := tasks.Connect(single, 100).(*redis.Client)
	if !ok {
		t.Fatalf("%T", c)
	}
	defer func() { _ = c.Close() }()
	if o := c.Options(); o.PoolSize != 33 || o.MaxRetries != single.Options().MaxRetries || o.ReadTimeout != single.Options().ReadTimeout {
		t.Errorf("options %+v", o)
	}
	cluster := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{"127.0.0.1:0"}, ReadTimeout: time.Minute})
	defer func() { _ = cluster.Close() }()
	cc, ok := tasks.Connect(cluster, 1).(*redis.ClusterClient)
	if !ok {
		t.Fatalf("%T", cc)
	}
	defer func() { _ = cc.Close() }()
	if o := cc.Options(); o.ReadTimeout != time.Minute || o.ClusterStateReloadInterval != 5*time.Second {
		t.Errorf("options %+v", o)
	}
	if got := tasks.Connect(struct{ redis.UniversalClient }{}, 1); got != nil {
		t.Errorf("a client of an unknown type: %T", got)
	}
}
