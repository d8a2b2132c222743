// Package adopt lets an application that is written for Asynq tell browsers of
// its tasks, by one line in its worker and one where it enqueues:
//
//	err := adopt.Run(ctx, rdb, mux, asynq.Config{Concurrency: 10})  // where it ran an asynq.Server
//	task = jobs.Bind(task, session, jobs.OnDone("Sent"))            // before client.Enqueue(task)
//
// It is [jobs.Pool.Adopt] with the wiring that an application without pages of
// its own in the process needs. One that has a publisher makes its pool itself.
package adopt

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"lastmile/jobs"
	"lastmile/push"
	"lastmile/push/redisstream"
)

// Run runs the handler on the queues of cfg, or on "default", until ctx ends, as
// an asynq.Server with that configuration would, and tells the sessions of
// tasks that [jobs.Bind] has bound. Keys have the default prefix. rdb has to be a
// *redis.Client or a *redis.ClusterClient. It returns nil after a clean stop.
func Run(ctx context.Context, rdb redis.UniversalClient, handler asynq.Handler, cfg asynq.Config) error {
	log := slog.Default()
	store, err := redisstream.New(rdb, redisstream.Config{Logger: log})
	if err != nil {
		return fmt.Errorf("adopt: %w", err)
	}
	publisher, err := push.NewPublisher(store, push.PublisherConfig{Logger: log})
	if err != nil {
		return fmt.Errorf("adopt: %w", err)
	}
	pool, err := jobs.NewPool(rdb, publisher, jobs.PoolConfig{ClientConfig: jobs.ClientConfig{Logger: log}})
	if err != nil {
		return fmt.Errorf("adopt: %w", err)
	}
	queue := "default"
	if len(cfg.Queues) > 0 {
		names := make([]string, 0, len(cfg.Queues))
		for name := range cfg.Queues {
			names = append(names, name)
		}
		queue = slices.Min(names)
	}
	pool.Adopt(queue, handler, cfg)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	failed := make(chan error, 1)
	wg.Go(func() {
		defer stop()
		failed <- publisher.Run(ctx)
	})
	if err := pool.Run(ctx); err != nil {
		stop()
		return fmt.Errorf("adopt: %w", err)
	}
	stop()
	if err := <-failed; err != nil {
		return fmt.Errorf("adopt: %w", err)
	}
	return nil
}
