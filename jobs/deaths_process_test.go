package jobs_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"lastmile/internal/patience"
	"lastmile/jobs"
	"lastmile/push"
)

// A test binary that finds this in its environment is a worker process, one of whose
// jobs ends it.
const deadlyRedis = "JOBS_TEST_DEADLY_REDIS"

// deadlyWorker has a job that ends the process as soon as three others have begun, or at
// once where it is alone.
func deadlyWorker(rdb *redis.Client, pub *push.Publisher) (*jobs.Pool, error) {
	pool, err := jobs.NewPool(rdb, pub, jobs.PoolConfig{ClientConfig: jobs.ClientConfig{Logger: slog.New(slog.DiscardHandler)}})
	if err != nil {
		return nil, err
	}
	var innocent atomic.Int32
	define().Handle(pool, func(ctx context.Context, j *jobs.Job[args]) (result, error) {
		rdb.HIncrBy(ctx, "runs", j.Args.Name, 1)
		if j.Args.Name != "deadly" {
			if innocent.Add(1); rdb.HGet(ctx, "runs", j.Args.Name).Val() > "2" {
				return result{7}, nil // after the second death
			}
			<-ctx.Done()
			return result{}, context.Cause(ctx)
		}
		for deaths := rdb.HGet(ctx, "runs", "deadly").Val(); deaths <= "2" && innocent.Load() < 3; {
			<-time.After(5 * time.Millisecond)
		}
		os.Exit(1) //nolint:forbidigo // this is what the test is about
		return result{}, nil
	})
	return pool, nil
}

// TestDeadlyProcess is TestDeadlyJobBesideInnocentOnes with processes, which a
// supervisor starts again: os.Exit in a handler, beside three others.
func TestDeadlyProcess(t *testing.T) {
	t.Parallel()
	w := newProcessWorld(t)
	client := w.client
	ids := map[string]string{}
	for n, name := range []string{"one", "two", "deadly", "three"} {
		most := 3
		if name == "deadly" {
			most = 1
		}
		h, err := define().With(client).Enqueue(t.Context(), args{name}, jobs.MaxRetry(n%2), jobs.MaxDeaths(most))
		if err != nil {
			t.Fatal(err)
		}
		ids[name] = h.ID
	}
	ctx, stop := context.WithCancel(t.Context())
	ended, deaths := make(chan struct{}), 0
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			cmd := exec.CommandContext(ctx, os.Args[0])
			cmd.Env = append(os.Environ(), deadlyRedis+"="+w.addr)
			in, err := cmd.StdinPipe() // its end would end the worker
			if err != nil || cmd.Run() != nil && ctx.Err() == nil {
				deaths++
			}
			_ = in
		}
	}()
	for name, id := range ids {
		var i jobs.Info
		patience.UntilSaid(t, name+" ends", func() (bool, string) {
			var err error
			i, err = client.Get(t.Context(), id)
			return err == nil && i.State.Ended(), fmt.Sprint(i, err)
		})
		want, code, charged := jobs.StateCompleted, "", 0
		if name == "deadly" {
			want, code, charged = jobs.StateFailed, "crashed", 1
		}
		if i.State != want || i.Code != code || i.Attempt != 1 || i.Deaths != charged {
			t.Errorf("%s is %s %q in attempt %d of %d with %d deaths, want %s %q in the first with %d", name, i.State, i.Code, i.Attempt, i.Attempts, i.Deaths, want, code, charged)
		}
	}
	stop()
	<-ended
	if deaths < 3 {
		t.Errorf("%d deaths, want 2 beside others and 1 alone", deaths)
	}
}
