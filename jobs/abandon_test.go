package jobs_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"lastmile/jobs"
	"lastmile/jobs/jobstest"
)

// refusing fails the first task that Asynq is given, after something else has
// happened.
type refusing struct {
	first     atomic.Bool
	meanwhile func()
}

func (*refusing) DialHook(next redis.DialHook) redis.DialHook { return next }

func (r *refusing) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		for _, arg := range cmd.Args() {
			if key, ok := arg.(string); ok && strings.HasSuffix(key, "}:pending") && r.first.CompareAndSwap(false, true) {
				r.meanwhile()
				return errLost
			}
		}
		return next(ctx, cmd)
	}
}

func (*refusing) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// TestRefusedEnqueueLeavesTheJobToOthers: somebody else has enqueued the same
// job while Asynq refused ours. Theirs must run.
func TestRefusedEnqueueLeavesTheJobToOthers(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define()
		r := &refusing{}
		k.Redis.AddHook(r)
		refused, err := jobs.NewClient(k.Redis, k.Publisher, jobs.ClientConfig{})
		if err != nil {
			t.Fatal(err)
		}
		r.meanwhile = func() { enqueue(t, k, kind, jobs.ID("the job")) }
		if _, err := kind.With(refused).Enqueue(t.Context(), args{"a"}, notify(k), jobs.ID("the job")); err == nil {
			t.Fatal("the refused Enqueue returned no error")
		}
		start(k, kind, quick)
		wantEnd(t, k, "the job", jobs.StateCompleted)
	})
}
