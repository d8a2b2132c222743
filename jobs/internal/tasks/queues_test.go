package tasks_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"lastmile/jobs/internal/tasks"
)

func queues(t *testing.T, answer func(redis.Cmder) error) (*fake, *tasks.Queues, *tasks.Known) {
	t.Helper()
	f, rdb := newFake(t, answer)
	k := tasks.Probe()
	return f, &tasks.Queues{Redis: rdb, Inspect: asynq.NewInspectorFromRedisClient(rdb), Names: &k.Names}, &k
}

func TestQueues(t *testing.T) {
	t.Parallel()
	f, q, k := queues(t, func(cmd redis.Cmder) error {
		switch c := cmd.(type) {
		case *redis.StringSliceCmd:
			c.SetVal([]string{"a", "b"})
		case *redis.IntCmd:
			c.SetVal(1)
		}
		return nil
	})
	ctx := t.Context()
	if released, err := q.Release(ctx, "q", "id"); !released || err != nil {
		t.Errorf("released %t, %v", released, err)
	}
	for _, err := range []error{q.Register(ctx, nil), q.Register(ctx, []any{"q"}), q.RemoveOrphan(ctx, "q", "id")} {
		if err != nil {
			t.Error(err)
		}
	}
	all := strings.Join(f.cmds, "\n")
	for _, want := range []string{
		"zadd asynq:{q}:lease nx", "sadd asynq:queues q",
		"lrem asynq:{q}:active 0 id", "zrem asynq:{q}:lease id", "del asynq:{q}:t:id",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q in\n%s", want, all)
		}
	}
	n := len(f.cmds)
	k.Forget()
	released, bad := q.Release(ctx, "q", "id")
	if err := errors.Join(bad, q.Register(ctx, []any{"q"}), q.RemoveOrphan(ctx, "q", "id")); err != nil || released {
		t.Errorf("without names: %t %v", released, err)
	}
	if len(f.cmds) != n {
		t.Errorf("without names it asked %q", f.cmds[n:])
	}
}

func TestQueuesTellWhatFailed(t *testing.T) {
	t.Parallel()
	_, q, _ := queues(t, func(redis.Cmder) error { return errBroken })
	ctx := t.Context()
	_, released := q.Release(ctx, "q", "id")
	_, held := q.Held(ctx, "q", "id", "")
	for _, err := range []error{released, held, q.Register(ctx, []any{"q"}), q.RemoveOrphan(ctx, "q", "id")} {
		if !errors.Is(err, errBroken) {
			t.Errorf("%v, want broken", err)
		}
	}
}

func TestHeld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var lease time.Duration
		var inspected error
		_, q, _ := queues(t, func(cmd redis.Cmder) error {
			if c, ok := cmd.(*redis.FloatCmd); ok {
				if lease == 0 {
					return redis.Nil
				}
				c.SetVal(float64(time.Now().Add(lease).Unix()))
				return nil
			}
			if c, ok := cmd.(*redis.BoolCmd); ok {
				c.SetVal(false) // there is no such queue
			}
			return inspected
		})
		for _, tt := range []struct {
			lease time.Duration
			want  bool
		}{{25 * time.Second, true}, {5 * time.Second, false}, {0, false}} {
			lease = tt.lease
			if held, err := q.Held(t.Context(), "q", "id", ""); held != tt.want || err != nil {
				t.Errorf("a lease of %v: held %t, %v", tt.lease, held, err)
			}
		}
		inspected = errBroken
		if held, err := q.Held(t.Context(), "q", "id", ""); held || err == nil {
			t.Errorf("nobody knows: %t, %v", held, err)
		}
	})
}

func TestGone(t *testing.T) {
	t.Parallel()
	if !tasks.Gone(asynq.ErrTaskNotFound) || !tasks.Gone(asynq.ErrQueueNotFound) || tasks.Gone(nil) || tasks.Gone(errBroken) {
		t.Error("gone is told wrongly")
	}
}
