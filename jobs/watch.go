package jobs

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"lastmile/jobs/internal/taskid"
)

const (
	watchEvery = 2 * time.Second
	watchLease = 10 * time.Second
	watchBatch = 100
	// watchFailures is how many jobs of a sweep may be beyond checking while
	// Redis answers.
	watchFailures = 10
	watchRecover  = 5 * time.Second // after an outage, so that workers beat first
	// A waiting job is looked at again after as long as it has waited, at most
	// waitCheckEach for each open job of its shard: few jobs are looked at often,
	// and many cost no more than some 300 looks a second.
	waitCheckMax  = time.Hour
	waitCheckEach = 50 * time.Millisecond
	// archivedBatch bounds how many newly archived tasks of a queue are looked
	// at in one sweep; the rest is found when their jobs are due.
	archivedBatch = 1000
	owedMax       = 5 * time.Minute
	// leaseGone is how long a task may be active without a heartbeat before
	// its lease is put back for Asynq's recoverer to find.
	leaseGone = 3 * time.Minute
)

// Watch looks after open jobs until ctx ends, and returns nil then: it
// delivers events that a dead process left owed, tells sessions of stalled
// jobs, and ends those whose tasks vanished or were archived. Pools do it by
// themselves; a web process may as well, so that a page learns of the death of
// the last worker. Any number of processes may watch at a time.
func (c *Client) Watch(ctx context.Context) error {
	c.watch(ctx)
	return nil
}

func (c *Client) watch(ctx context.Context) {
	timer := time.NewTimer(watchEvery)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		wait := watchEvery
		if err := c.sweep(ctx); err != nil && ctx.Err() == nil {
			c.log.WarnContext(ctx, "watchdog failed", "error", err)
			if cluster, ok := c.rdb.(*redis.ClusterClient); ok {
				cluster.ReloadState(ctx) // a replica may have taken over; by itself the client asks once a minute
			}
			wait = watchRecover
		}
		timer.Reset(wait)
	}
}

// sweep checks every job that is due.
func (c *Client) sweep(ctx context.Context) error {
	if err := c.registerQueues(ctx); err != nil {
		return err
	}
	if err := c.checkArchived(ctx); err != nil {
		return err
	}
	failed := 0
	for n := range shards {
		for {
			now := time.Now()
			v, err := c.run(ctx, "claim", []string{c.open(n)}, ms(now), ms(now.Add(watchLease)), watchBatch).Slice()
			if err != nil {
				return fmt.Errorf("jobs: claim open jobs: %w", err)
			}
			r := reply(v)
			patience := time.Duration(r.num(0)) * waitCheckEach
			for i := 1; i < len(r); i++ {
				err := c.inspectJob(ctx, r.str(i), patience)
				if err == nil {
					continue
				}
				if failed++; failed > watchFailures || c.rdb.Ping(ctx).Err() != nil {
					return err
				}
				c.log.ErrorContext(ctx, "job cannot be checked", "id", r.str(i), "error", err) // the others can
			}
			if len(r)-1 < watchBatch {
				break
			}
		}
	}
	return nil
}

// checkArchived makes jobs due whose tasks were archived since the last sweep:
// by an operator, if the job is still open.
func (c *Client) checkArchived(ctx context.Context) error {
	var queues []string
	c.queues.Range(func(q, _ any) bool {
		if name, ok := q.(string); ok {
			queues = append(queues, name)
		}
		return true
	})
	since := strconv.FormatInt(time.Now().Add(-2*watchEvery).Unix(), 10)
	for _, q := range queues {
		archived := c.known.Names.Archived(q)
		if archived == "" {
			continue // these jobs are found when they are due
		}
		tasks, err := c.rdb.ZRangeByScore(ctx, archived, &redis.ZRangeBy{Min: since, Max: "+inf", Count: archivedBatch}).Result()
		if err != nil {
			return fmt.Errorf("jobs: read archived tasks of queue %q: %w", q, err)
		}
		if len(tasks) == 0 {
			continue
		}
		pipe := c.rdb.Pipeline()
		for _, task := range tasks { // only what is open is in the set
			id := taskid.Job(task)
			pipe.ZAddXX(ctx, c.open(shard(id)), redis.Z{Score: float64(time.Now().UnixMilli()), Member: id})
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return fmt.Errorf("jobs: check archived tasks: %w", err)
		}
	}
	return nil
}

// registerQueues names our queues to Asynq's inspector again: a client that
// outlives a FLUSHALL remembers having done so and does not.
func (c *Client) registerQueues(ctx context.Context) error {
	var names []any
	c.queues.Range(func(q, _ any) bool {
		names = append(names, q)
		return true
	})
	queues := c.known.Names.Queues()
	if len(names) == 0 || queues == "" {
		return nil
	}
	if err := c.rdb.SAdd(ctx, queues, names...).Err(); err != nil {
		return fmt.Errorf("jobs: register queues: %w", err)
	}
	return nil
}

// inspectJob looks at a job that is due. patience is how long a waiting one may
// go without another look at least.
func (c *Client) inspectJob(ctx context.Context, id string, patience time.Duration) error {
	rec, err := c.load(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return c.rdb.ZRem(ctx, c.open(shard(id)), id).Err()
	}
	if err != nil {
		return err
	}
	if rec.over() {
		return c.deliverOwed(ctx, rec)
	}
	if _, known := c.queues.LoadOrStore(rec.Queue, struct{}{}); !known {
		if err := c.registerQueues(ctx); err != nil {
			return err
		}
	}
	silent := time.Since(rec.beat) > stallAfter
	if rec.Cancelling && (rec.State != StateRunning || silent) {
		c.metrics.rescued.WithLabelValues("cancelled").Inc()
		return c.cancelIdle(ctx, id, rec.Gen, rec.run)
	}
	info, err := c.inspect.GetTaskInfo(rec.Queue, taskid.Of(id, rec.Gen))
	ghost := err == nil && info.Type == ""
	if ghost {
		if err := c.exorcise(ctx, rec); err != nil {
			return err
		}
	}
	switch {
	case ghost, errors.Is(err, asynq.ErrTaskNotFound), errors.Is(err, asynq.ErrQueueNotFound):
		if time.Since(rec.Updated) < firstCheck/2 {
			return c.checkAgain(ctx, id, firstCheck/2) // it may be on its way
		}
		c.metrics.rescued.WithLabelValues("lost").Inc()
		c.log.WarnContext(ctx, "task of open job is gone", "id", id, "action", rec.Kind)
		return c.end(ctx, rec, end{gen: rec.Gen, run: rec.run, state: StateLost, code: codeLost, err: "the work was lost"})
	case err != nil:
		return fmt.Errorf("jobs: inspect task of job %q: %w", id, err)
	}
	return c.compare(ctx, rec, info, patience)
}

// exorcise removes what Asynq makes of an ID whose task is gone: an active task
// without a message, which nothing ever takes out.
func (c *Client) exorcise(ctx context.Context, rec *record) error {
	id, names := taskid.Of(rec.ID, rec.Gen), &c.known.Names
	active, lease, task := names.Active(rec.Queue), names.Lease(rec.Queue), names.Task(rec.Queue, id)
	if active == "" || lease == "" || task == "" {
		return nil
	}
	_, err := c.rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.LRem(ctx, active, 0, id)
		p.ZRem(ctx, lease, id)
		p.Del(ctx, task)
		return nil
	})
	if err != nil {
		return fmt.Errorf("jobs: remove empty task of job %q: %w", rec.ID, err)
	}
	return nil
}

// compare brings a record in line with what Asynq says of its task.
func (c *Client) compare(ctx context.Context, rec *record, info *asynq.TaskInfo, patience time.Duration) error {
	switch info.State {
	case asynq.TaskStateArchived:
		c.metrics.rescued.WithLabelValues("archived").Inc()
		c.log.WarnContext(ctx, "task of open job was archived", "id", rec.ID, "action", rec.Kind, "error", info.LastErr)
		return c.end(ctx, rec, end{gen: rec.Gen, run: rec.run, state: StateFailed, code: codeArchived, err: "the work was stopped by an operator"})
	case asynq.TaskStateCompleted:
		return c.end(ctx, rec, end{gen: rec.Gen, run: rec.run, state: StateCompleted, result: []byte("null")})
	case asynq.TaskStateActive:
		return c.checkActive(ctx, rec, info)
	default:
		if rec.State == StateRunning {
			return c.stalled(ctx, rec)
		}
		return c.checkAgain(ctx, rec.ID, min(max(time.Since(rec.Updated), firstCheck), max(patience, firstCheck), waitCheckMax))
	}
}

func (c *Client) checkActive(ctx context.Context, rec *record, info *asynq.TaskInfo) error {
	key := c.known.Names.Lease(rec.Queue)
	if since := time.Since(rec.Updated); key != "" && rec.State == StateStalled && since > leaseGone {
		// Without a lease Asynq never takes an active task back.
		n, err := c.rdb.ZAddNX(ctx, key, redis.Z{Score: float64(time.Now().Add(-time.Minute).Unix()), Member: info.ID}).Result()
		if err != nil {
			return fmt.Errorf("jobs: release task of job %q: %w", rec.ID, err)
		}
		if n > 0 {
			c.metrics.rescued.WithLabelValues("released").Inc()
			c.log.WarnContext(ctx, "active task had no lease", "id", rec.ID, "action", rec.Kind)
		}
	}
	if rec.State != StateRunning {
		return c.checkAgain(ctx, rec.ID, firstCheck)
	}
	return c.stalled(ctx, rec)
}

// stalled marks a silent run, once, and tells the sessions.
func (c *Client) stalled(ctx context.Context, rec *record) error {
	now := time.Now()
	n, err := c.number(ctx, "stall", rec.ID, rec.ID, rec.Gen, rec.run, ms(now.Add(-stallAfter)), ms(now), ms(now.Add(firstCheck)))
	if err != nil || n == 0 {
		return err
	}
	c.metrics.rescued.WithLabelValues("stalled").Inc()
	c.log.WarnContext(ctx, "job stalled", "id", rec.ID, "action", rec.Kind, "attempt", rec.Attempt)
	rec.State = StateStalled
	c.tell(ctx, string(StateStalled), rec.event(), rec.dests, fmt.Sprintf("job:%s:%d:stalled:%d:%s", rec.ID, rec.Gen, rec.run, ms(rec.beat)))
	return nil
}

// deliverOwed delivers an event that whoever decided it did not, less and less
// often while it is refused (a full mailbox may stay so for days).
func (c *Client) deliverOwed(ctx context.Context, rec *record) error {
	err := c.settle(ctx, rec.event(), rec.Result, rec.untold(), rec.follows(), rec.opts.Retention)
	if err == nil {
		c.metrics.rescued.WithLabelValues("delivered").Inc()
		return nil
	}
	c.log.WarnContext(ctx, "terminal event still owed", "id", rec.ID, "error", err)
	if err := c.rdb.HIncrBy(ctx, c.job(rec.ID)[0], "outn", 1).Err(); err != nil {
		return fmt.Errorf("jobs: count delivery of job %q: %w", rec.ID, err)
	}
	return c.checkAgain(ctx, rec.ID, min(watchLease<<min(rec.tries, 10), owedMax))
}

// checkAgain puts the next check off.
func (c *Client) checkAgain(ctx context.Context, id string, d time.Duration) error {
	err := c.rdb.ZAddXX(ctx, c.open(shard(id)), redis.Z{Score: float64(time.Now().Add(d).UnixMilli()), Member: id}).Err()
	if err != nil {
		return fmt.Errorf("jobs: put check of job %q off: %w", id, err)
	}
	return nil
}
