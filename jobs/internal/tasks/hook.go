package tasks

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// Hook repairs two habits of Asynq's server, on the client that only the
// server uses. Its retries of a failed "task is done" run under a context that
// is cancelled by then, so they never succeed: such commands get a context of
// their own. And it asks for the next task in a tight loop when Redis refuses
// it (-OOM, -NOAUTH, ...): repeated refusals wait a little.
type Hook struct{ refused atomic.Int32 }

const (
	detachTimeout = 5 * time.Second
	refusedBase   = 50 * time.Millisecond
	refusedMax    = 500 * time.Millisecond
	// clusterReload is how soon a master that died is looked for elsewhere: its
	// dead connection alone does not make a client ask.
	clusterReload = 5 * time.Second
)

// DialHook implements redis.Hook.
func (h *Hook) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessPipelineHook implements redis.Hook.
func (h *Hook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// ProcessHook implements redis.Hook.
func (h *Hook) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		ctx, cancel := detach(ctx)
		defer cancel()
		err := next(ctx, cmd)
		if name := cmd.Name(); name == "evalsha" || name == "eval" {
			h.pace(ctx, err)
		}
		return err
	}
}

// detach returns a context that lives, if ctx was cancelled.
func detach(ctx context.Context) (context.Context, context.CancelFunc) {
	if !errors.Is(ctx.Err(), context.Canceled) {
		return ctx, func() {}
	}
	return context.WithTimeout(context.WithoutCancel(ctx), detachTimeout)
}

func (h *Hook) pace(ctx context.Context, err error) {
	if !troubled(err) {
		h.refused.Store(0)
		return
	}
	n := h.refused.Add(1)
	if n < 2 {
		return
	}
	timer := time.NewTimer(min(refusedBase<<min(n-2, 10), refusedMax))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// troubled tells an error of Redis or the way to it from an answer of one of
// Asynq's scripts.
func troubled(err error) bool {
	if err == nil || errors.Is(err, redis.Nil) {
		return false
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	if _, ok := errors.AsType[redis.Error](err); !ok {
		return true
	}
	msg := err.Error()
	return !strings.HasPrefix(msg, "NOSCRIPT") && !strings.Contains(msg, "NOT FOUND") &&
		!strings.Contains(msg, "TASK ALREADY")
}

// Connect returns a client like rdb for Asynq's server alone, to be closed
// after use, or nil when rdb is of an unknown type.
func Connect(rdb redis.UniversalClient, concurrency int) redis.UniversalClient {
	switch c := rdb.(type) {
	case *redis.Client:
		o := *c.Options()
		o.PoolSize = max(o.PoolSize, concurrency/4+8)
		o.PushNotificationProcessor = nil // belongs to the other client
		o.MaxRetries = unfilled(o.MaxRetries)
		o.ReadTimeout, o.WriteTimeout = unfilled(o.ReadTimeout), unfilled(o.WriteTimeout)
		return redis.NewClient(&o)
	case *redis.ClusterClient:
		o := *c.Options()
		o.ReadTimeout, o.WriteTimeout = unfilled(o.ReadTimeout), unfilled(o.WriteTimeout)
		o.ClusterStateReloadInterval = min(o.ClusterStateReloadInterval, clusterReload)
		return redis.NewClusterClient(&o)
	default:
		return nil
	}
}

// unfilled undoes what a client makes of its options, where -1 means none and
// is kept as 0, which in new options means the default.
func unfilled[T ~int | ~int64](v T) T {
	if v == 0 {
		return -1
	}
	return v
}
