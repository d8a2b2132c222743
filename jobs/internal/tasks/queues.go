package tasks

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// Queues looks after tasks in Asynq's own keys, beside what Asynq's inspector
// can do. What it does not know the key for it leaves undone.
type Queues struct {
	Redis   redis.UniversalClient
	Inspect *asynq.Inspector
	Names   *Names
}

// leaseLeft is the least that is left of a lease of 30 seconds that Asynq renews
// each five, some of its renewals lost.
const leaseLeft = 15 * time.Second

// Key returns the key of a task, or nothing when it is not known.
func (q *Queues) Key(queue, id string) string {
	if q.Names.task == "" {
		return ""
	}
	return q.Names.task.of(queue) + id
}

// fieldToken is where a task has the token of its hand-out.
const fieldToken = "lmh"

// Register names queues to Asynq's inspector again: a client that outlives a
// FLUSHALL remembers having done so and does not.
func (q *Queues) Register(ctx context.Context, queues []any) error {
	if len(queues) == 0 || q.Names.queues == "" {
		return nil
	}
	if err := q.Redis.SAdd(ctx, q.Names.queues, queues...).Err(); err != nil {
		return fmt.Errorf("jobs: register queues: %w", err)
	}
	return nil
}

// RemoveOrphan removes what Asynq makes of an ID whose task is gone: an active
// task without a message, which nothing ever takes out.
func (q *Queues) RemoveOrphan(ctx context.Context, queue, id string) error {
	n := q.Names
	if n.task == "" || n.active == "" || n.lease == "" {
		return nil
	}
	_, err := q.Redis.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.LRem(ctx, n.active.of(queue), 0, id)
		p.ZRem(ctx, n.lease.of(queue), id)
		p.Del(ctx, n.task.of(queue)+id)
		return nil
	})
	if err != nil {
		return fmt.Errorf("jobs: remove orphan task %q: %w", id, err)
	}
	return nil
}

// Release gives an active task without a lease one that is over, for Asynq to
// find: without a lease it never takes an active task back. released tells
// whether there was none.
func (q *Queues) Release(ctx context.Context, queue, id string) (released bool, err error) {
	key := q.Names.lease.of(queue)
	if key == "" {
		return false, nil
	}
	n, err := q.Redis.ZAddNX(ctx, key, redis.Z{Score: float64(time.Now().Add(-time.Hour).Unix()), Member: id}).Result()
	if err != nil {
		return false, fmt.Errorf("jobs: release task %q: %w", id, err)
	}
	return n > 0, nil
}

// Held tells whether a task was still the worker's when its context ended: it
// has its token or, without one, a good lease; or Asynq has put it back for the
// context's sake, as it does only while the task is the worker's.
func (q *Queues) Held(ctx context.Context, queue, id, token string) (bool, error) {
	if key := q.Names.task.of(queue); token != "" && key != "" {
		now, err := q.Redis.HGet(ctx, key+id, fieldToken).Result()
		if err == nil || !errors.Is(err, redis.Nil) {
			return now == token, err
		}
	} else if key := q.Names.lease.of(queue); key != "" {
		until, err := q.Redis.ZScore(ctx, key, id).Result()
		if err == nil {
			return time.Until(time.Unix(int64(until), 0)) > leaseLeft, nil
		}
		if !errors.Is(err, redis.Nil) {
			return false, err
		}
	}
	info, err := q.Inspect.GetTaskInfo(queue, id)
	if Gone(err) {
		return false, nil
	}
	return err == nil && info.State == asynq.TaskStateRetry && info.LastErr == context.Canceled.Error(), err
}

// Gone tells whether an error of Asynq's inspector says that there is no such
// task.
func Gone(err error) bool {
	return errors.Is(err, asynq.ErrTaskNotFound) || errors.Is(err, asynq.ErrQueueNotFound)
}
