package jobs

import (
	"context"
	"errors"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"lastmile/jobs/internal/taskid"
)

// leaseLeft is the least that is left of a lease of 30 seconds that Asynq renews
// each five, some of its renewals lost.
const leaseLeft = 15 * time.Second

// holds tells whether the task was the execution's when its context ended: it
// has a good lease still, or Asynq has put it back for the context's sake, as it
// does only under a good lease. Heartbeats do not tell: they go through again
// before Asynq notices that a lease ran out meanwhile, and on a cluster they go to
// another node than Asynq's.
func (x *execution) holds(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	c, task := x.pool.client, taskid.Of(x.id, x.gen)
	rec, err := c.load(ctx, x.id)
	if err == nil && (rec.Gen != x.gen || rec.run != x.run) || err != nil && !errors.Is(err, ErrNotFound) {
		return false, err // of another execution, or nobody knows
	}
	until, err := 0.0, error(redis.Nil)
	if lease := c.known.Names.Lease(x.queue); lease != "" {
		until, err = c.rdb.ZScore(ctx, lease, task).Result()
	}
	if err == nil {
		return time.Until(time.Unix(int64(until), 0)) > leaseLeft, nil
	}
	if !errors.Is(err, redis.Nil) {
		return false, err
	}
	info, err := c.inspect.GetTaskInfo(x.queue, task)
	if errors.Is(err, asynq.ErrTaskNotFound) || errors.Is(err, asynq.ErrQueueNotFound) {
		return false, nil
	}
	return err == nil && info.State == asynq.TaskStateRetry && info.LastErr == context.Canceled.Error(), err
}
