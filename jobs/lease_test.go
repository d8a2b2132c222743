package jobs_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"lastmile/jobs"
	"lastmile/jobs/jobstest"
)

// Around the moment when a lease runs out, Redis may be back before Asynq looks:
// then the execution is given up although its heartbeats go through again. That
// is no cancellation.
func TestOutageAboutAsLongAsTheLease(t *testing.T) {
	t.Parallel()
	for d := 20 * time.Second; d <= 34*time.Second; d += 2 * time.Second {
		t.Run(fmt.Sprint(d), func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, k *jobstest.Kit) {
				t.Helper()
				kind := define()
				start(k, kind, func(ctx context.Context, j *jobs.Job[args]) (result, error) {
					if j.Attempt > 1 {
						return result{7}, nil
					}
					select {
					case <-ctx.Done():
						return result{}, context.Cause(ctx)
					case <-time.After(2 * time.Minute):
						return result{8}, nil
					}
				})
				id := enqueue(t, k, kind)
				k.WaitState(id, jobs.StateRunning)
				time.Sleep(7 * time.Second)
				k.Outage(d)
				wantEnd(t, k, id, jobs.StateCompleted)
			})
		})
	}
}

// noRenewals is a connection that breaks when a lease is to be renewed: no other
// script has our own leases and not the list of active tasks.
type noRenewals struct{ net.Conn }

func (c noRenewals) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte(":jobs:own:")) && !bytes.Contains(b, []byte(":active\r\n")) {
		_ = c.Close()
		return 0, net.ErrClosed
	}
	return c.Conn.Write(b)
}

// A cluster's node may be away that has the queue, while the one that has the
// job's record answers: that is no cancellation either.
func TestLeaseLostWhileHeartbeatsGoThrough(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		own, ok := k.Redis.(*redis.Client)
		if !ok {
			t.Fatalf("the kit has a %T", k.Redis)
		}
		opts := *own.Options()
		dial := opts.Dialer
		opts.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := dial(ctx, network, addr)
			return noRenewals{c}, err
		}
		rdb := redis.NewClient(&opts)
		defer func() { _ = rdb.Close() }()
		pool, err := jobs.NewPool(rdb, k.Publisher, jobs.PoolConfig{
			CheckInterval: checkEvery, ClientConfig: jobs.ClientConfig{Logger: slog.New(slog.DiscardHandler)},
		})
		if err != nil {
			t.Fatal(err)
		}
		kind := define()
		var ran atomic.Int32
		kind.Handle(pool, func(ctx context.Context, j *jobs.Job[args]) (result, error) {
			if ran.Add(1) == 1 {
				<-ctx.Done()
			}
			return result{j.Attempt}, ctx.Err()
		})
		ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
		done := make(chan error, 1)
		go func() { done <- pool.Run(ctx) }()
		if end := wantEnd(t, k, enqueue(t, k, kind), jobs.StateCompleted); end.Event.Attempt != 1 || ran.Load() != 2 {
			t.Errorf("it ended in attempt %d after %d runs, want 1 after 2", end.Event.Attempt, ran.Load())
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
