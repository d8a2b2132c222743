package tutorial

import (
	"context"
	"log/slog"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// Work runs the workers until ctx ends.
func Work(ctx context.Context, rdb redis.UniversalClient) error {
	// mux maps a type to a handler
	mux := asynq.NewServeMux()
	mux.Use(loggingMiddleware)
	mux.HandleFunc(TypeEmailDelivery, HandleEmailDeliveryTask)
	mux.Handle(TypeImageResize, &ImageProcessor{})

	cfg := asynq.Config{Concurrency: 10, Queues: map[string]int{"critical": 6, "default": 3, "low": 1}}
	srv := asynq.NewServerFromRedisClient(rdb, cfg)
	if err := srv.Start(mux); err != nil {
		return err
	}
	<-ctx.Done()
	srv.Shutdown()
	return nil
}

func loggingMiddleware(h asynq.Handler) asynq.Handler {
	return asynq.HandlerFunc(func(ctx context.Context, t *asynq.Task) error {
		start := time.Now()
		slog.InfoContext(ctx, "Start processing", "type", t.Type())
		if err := h.ProcessTask(ctx, t); err != nil {
			return err
		}
		slog.InfoContext(ctx, "Finished processing", "type", t.Type(), "took", time.Since(start))
		return nil
	})
}
