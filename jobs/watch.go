package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"lastmile/jobs/internal/tasks"
)

const (
	watchEvery = 2 * time.Second
	// registerEach is after how many looks queues are registered again: a store
	// may have been emptied.
	registerEach = 5
	// fillEach is after how many looks batches are looked at.
	fillEach   = 3
	watchLease = 10 * time.Second
	watchBatch = 100
	// archivedBatch bounds how many newly archived tasks are looked at, maxTogether
	// of how many queues at once. Another is found when its job is due.
	archivedBatch = 5000
	maxTogether   = 500
	// watchFailures is how many jobs of a sweep may be beyond checking while
	// Redis answers.
	watchFailures = 10
	watchRecover  = 5 * time.Second // after an outage, so that workers beat first
	// A waiting job is looked at again after as long as it has waited, at most
	// waitCheckEach for each open job of its shard: few jobs are looked at often,
	// and many cost no more than some 300 looks a second.
	waitCheckMax   = time.Hour
	waitCheckEach  = 50 * time.Millisecond
	undeliveredMax = 5 * time.Minute
	// leaseGone is how long a task may be active without a heartbeat before
	// its lease is put back for Asynq's recoverer to find.
	leaseGone = 3 * time.Minute
)

// Watch looks after open jobs until ctx ends, and returns nil then: it
// delivers events that a dead process left undelivered, tells sessions of stalled
// jobs, and ends those whose tasks vanished or were archived. Pools do it by
// themselves; a web process may as well, so that a page learns of the death of
// the last worker. Any number of processes may watch at a time.
func (c *Client) Watch(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { (&silence{w: c.watchdog}).watch(ctx) })
	c.watchdog.watch(ctx)
	wg.Wait()
	return nil
}

// watchdog looks after open jobs, of all processes.
type watchdog struct{ c *Client }

func (w watchdog) watch(ctx context.Context) {
	timer := time.NewTimer(watchEvery)
	defer timer.Stop()
	var keeping housekeeping
	if err := w.keepHouse(ctx, &keeping); err != nil && ctx.Err() == nil {
		w.c.log.WarnContext(ctx, "watchdog failed", "error", err)
	}
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		wait := watchEvery
		err := w.sweep(ctx, n)
		if err == nil {
			err = w.keepHouse(ctx, &keeping)
		}
		if err != nil && ctx.Err() == nil {
			w.c.log.WarnContext(ctx, "watchdog failed", "error", err)
			if cluster, ok := w.c.rdb.(*redis.ClusterClient); ok {
				cluster.ReloadState(ctx) // a replica may have taken over; by itself the client asks once a minute
			}
			wait = watchRecover
		}
		timer.Reset(wait)
	}
}

// sweep checks every job that is due. n is how many looks there have been: what is
// not urgent has its turn more seldom.
func (w watchdog) sweep(ctx context.Context, n int) error {
	if n%registerEach == 0 {
		if err := w.registerQueues(ctx); err != nil {
			return err
		}
	}
	if err := w.checkArchived(ctx); err != nil {
		return err
	}
	if n%fillEach == 0 {
		if err := w.fillBatches(ctx); err != nil {
			return err
		}
	}
	failed := 0
	for open := range slices.Chunk(w.shards(), w.together(shards)) {
		for {
			v, err := w.c.run(ctx, "claim", open, msOf(watchLease), watchBatch).Slice()
			if err != nil {
				return fmt.Errorf("jobs: claim open jobs: %w", err)
			}
			r := reply(v)
			for i := 0; i+1 < len(r); i += 2 {
				err := w.inspectJob(ctx, r.str(i), time.Duration(r.num(i+1))*waitCheckEach)
				if err == nil {
					continue
				}
				if failed++; failed > watchFailures || w.c.rdb.Ping(ctx).Err() != nil {
					return err
				}
				w.c.log.ErrorContext(ctx, "job cannot be checked", "id", r.str(i), "error", err) // the others can
			}
			if len(r) < 2*watchBatch { // no shard has more
				break
			}
		}
	}
	return nil
}

// shards returns the sets of open jobs.
func (w watchdog) shards() []string {
	open := make([]string, 0, shards)
	for n := range shards {
		open = append(open, w.c.open(n))
	}
	return open
}

// together is how many of n keys one script may have.
func (w watchdog) together(n int) int {
	if w.c.single() {
		return n
	}
	return 1
}

// checkArchived makes jobs due whose tasks were archived since the last sweep:
// by an operator, if the job is still open.
func (w watchdog) checkArchived(ctx context.Context) error {
	var queues []string
	w.c.queues.Range(func(q, _ any) bool {
		if name, ok := q.(string); ok {
			queues = append(queues, name)
		}
		return true
	})
	var keys []string
	for _, q := range queues {
		if key := w.c.known.Names.Archive(w.c.inAsynq(q)); key != "" {
			keys = append(keys, key)
		}
	}
	for some := range slices.Chunk(keys, w.together(maxTogether)) {
		archived, err := w.c.run(ctx, "archived", some, int(2*watchEvery/time.Second), archivedBatch).StringSlice()
		if err != nil {
			return fmt.Errorf("jobs: read archived tasks: %w", err)
		}
		if len(archived) == 0 {
			continue
		}
		pipe := w.c.rdb.Pipeline()
		for _, task := range archived { // only what is open is in the set
			id := tasks.JobOf(task)
			pipe.ZAddXX(ctx, w.c.open(shard(id)), redis.Z{Score: float64(w.c.clock.now(ctx).UnixMilli()), Member: id})
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return fmt.Errorf("jobs: check archived tasks: %w", err)
		}
	}
	return nil
}

// registerQueues names our queues to Asynq's inspector again.
func (w watchdog) registerQueues(ctx context.Context) error {
	var names []any
	w.c.queues.Range(func(q, _ any) bool {
		if name, ok := q.(string); ok {
			names = append(names, w.c.inAsynq(name))
		}
		return true
	})
	return w.c.tasks.Register(ctx, names)
}

// inspectJob looks at a job that is due. patience is how long a waiting one may
// go without another look at least.
func (w watchdog) inspectJob(ctx context.Context, id string, patience time.Duration) error {
	rec, err := w.c.load(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return w.c.rdb.ZRem(ctx, w.c.open(shard(id)), id).Err()
	}
	if err != nil {
		return err
	}
	if rec.over() {
		return w.deliverOutbox(ctx, rec)
	}
	if _, known := w.c.queues.LoadOrStore(rec.Queue, struct{}{}); !known && rec.raw == "" {
		if err := w.registerQueues(ctx); err != nil {
			return err
		}
	}
	silent := w.c.clock.since(ctx, rec.beat) > stallAfter
	if rec.Cancelling && (rec.State != StateRunning || silent) {
		w.c.metrics.rescued.WithLabelValues("cancelled").Inc()
		return w.c.cancelIdle(ctx, id, rec.Gen, rec.run)
	}
	queue, task := w.c.taskOf(rec)
	info, err := w.c.inspect.GetTaskInfo(queue, task)
	orphan := err == nil && info.Type == "" && rec.raw == ""
	if orphan {
		if err := w.c.tasks.RemoveOrphan(ctx, queue, task); err != nil {
			return err
		}
	}
	switch {
	case orphan, tasks.Gone(err):
		if w.c.clock.since(ctx, rec.Updated) < firstCheck/2 {
			return w.checkAgain(ctx, id, firstCheck/2) // it may be on its way
		}
		if rec.awaitsTask() {
			w.c.metrics.rescued.WithLabelValues("enqueued").Inc()
			w.c.log.WarnContext(ctx, "task of recorded job was missing", "id", id, "action", rec.Kind)
			return enqueueAwaited(ctx, w.c, rec)
		}
		w.c.metrics.rescued.WithLabelValues("lost").Inc()
		w.c.log.WarnContext(ctx, "task of open job is gone", "id", id, "action", rec.Kind)
		return w.c.end(ctx, rec, ending{state: StateLost, code: codeLost, err: "the work was lost"})
	case err != nil:
		return fmt.Errorf("jobs: inspect task of job %q: %w", id, err)
	case rec.awaitsTask() && info.State != asynq.TaskStateArchived && info.State != asynq.TaskStateCompleted:
		noteEnqueued(ctx, w.c, id) // whoever put it in could not say so
	}
	return w.compare(ctx, rec, info, patience)
}

// compare brings a record in line with what Asynq says of its task.
func (w watchdog) compare(ctx context.Context, rec *record, info *asynq.TaskInfo, patience time.Duration) error {
	switch info.State {
	case asynq.TaskStateArchived:
		if rec.run == 0 && w.c.clock.since(ctx, rec.Updated) < 2*watchEvery {
			// It may be the task of a former job of that ID, which Client.supplant is
			// about to remove: the record is made first.
			return w.checkAgain(ctx, rec.ID, 2*watchEvery)
		}
		if rec.raw != "" && info.LastErr == asynq.ErrLeaseExpired.Error() {
			return w.c.end(ctx, rec, ending{state: StateFailed, code: codeCrashed, err: "the work was interrupted too often"})
		}
		w.c.metrics.rescued.WithLabelValues("archived").Inc()
		w.c.log.WarnContext(ctx, "task of open job was archived", "id", rec.ID, "action", rec.Kind, "error", info.LastErr)
		return w.c.end(ctx, rec, ending{state: StateFailed, code: codeArchived, err: "the work was stopped by an operator"})
	case asynq.TaskStateCompleted:
		return w.c.end(ctx, rec, ending{state: StateCompleted, result: []byte("null")})
	case asynq.TaskStateActive:
		return w.checkActive(ctx, rec, info)
	default:
		if rec.State == StateRunning {
			return w.stalled(ctx, rec)
		}
		if there, err := w.answered(ctx, rec); err != nil {
			return err
		} else if there && info.State != asynq.TaskStatePending {
			return w.goOn(ctx, rec)
		}
		return w.checkAgain(ctx, rec.ID, min(max(w.c.clock.since(ctx, rec.Updated), firstCheck), max(patience, firstCheck), waitCheckMax))
	}
}

func (w watchdog) checkActive(ctx context.Context, rec *record, info *asynq.TaskInfo) error {
	if since := w.c.clock.since(ctx, rec.Updated); rec.State == StateStalled && since > leaseGone {
		released, err := w.c.tasks.Release(ctx, info.Queue, info.ID)
		if err != nil {
			return err
		}
		if released {
			w.c.metrics.rescued.WithLabelValues("released").Inc()
			w.c.log.WarnContext(ctx, "active task had no lease", "id", rec.ID, "action", rec.Kind)
		}
	}
	if rec.State != StateRunning {
		return w.checkAgain(ctx, rec.ID, firstCheck)
	}
	return w.stalled(ctx, rec)
}

// suspect marks the runs of tasks whose leases, in the set own, have run down to
// left: their workers have missed a renewal. Each record is read before the lease,
// so the run is not one that has begun since.
func (w watchdog) suspect(ctx context.Context, own string, ids []string, left time.Duration) error {
	pipe := w.c.rdb.Pipeline()
	recs, ends := make([]*redis.MapStringStringCmd, len(ids)), make([]*redis.FloatCmd, len(ids))
	for i, task := range ids {
		recs[i] = pipe.HGetAll(ctx, w.c.job(tasks.JobOf(task))[0])
	}
	for i, task := range ids {
		ends[i] = pipe.ZScore(ctx, own, task)
	}
	now := pipe.Time(ctx)
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return fmt.Errorf("jobs: look at silent workers: %w", err)
	}
	var group errgroup.Group
	group.SetLimit(suspects)
	for i, task := range ids {
		m := recs[i].Val()
		if m["gen"] == "" || ends[i].Err() != nil || int64(ends[i].Val()) > now.Val().Add(left).UnixMilli() {
			continue // a plain job that has only just begun, or it is with another worker by now
		}
		rec, err := parseRecord(tasks.JobOf(task), m)
		if err != nil || rec.State != StateRunning || tasks.IDOf(rec.ID, rec.Gen) != task {
			continue // who cannot read it says so elsewhere
		}
		group.Go(func() error { return w.markStalled(ctx, rec, time.Now().Add(anySilence)) })
	}
	return group.Wait()
}

// suspects is how many sessions are told at a time.
const suspects = 8

// anySilence is ahead of every clock: that a run is silent is known.
const anySilence = 24 * time.Hour

// stalled marks a silent run, once, and tells the sessions.
func (w watchdog) stalled(ctx context.Context, rec *record) error {
	return w.markStalled(ctx, rec, w.c.clock.now(ctx).Add(-stallAfter))
}

// markStalled marks a run that has not been heard of since a time.
func (w watchdog) markStalled(ctx context.Context, rec *record, since time.Time) error {
	now := w.c.clock.now(ctx)
	n, err := w.c.number(ctx, "stall", rec.ID, rec.ID, rec.Gen, rec.run, ms(since), ms(now), ms(now.Add(firstCheck)))
	if err != nil || n == 0 {
		return err
	}
	w.c.metrics.rescued.WithLabelValues("stalled").Inc()
	w.c.log.WarnContext(ctx, "job stalled", "id", rec.ID, "action", rec.Kind, "attempt", rec.Attempt)
	rec.State = StateStalled
	w.c.notify.tell(ctx, string(StateStalled), rec.event(), w.c.notify.some(ctx, rec.ID, rec.first, rec.dests), fmt.Sprintf("job:%s:%d:stalled:%d:%s", rec.ID, rec.Gen, rec.run, ms(rec.beat)))
	return nil
}

// deliverOutbox delivers an event that whoever decided it did not, less and less
// often while it is refused (a full mailbox may stay so for days).
func (w watchdog) deliverOutbox(ctx context.Context, rec *record) error {
	err := w.c.notify.settle(ctx, rec.event(), rec.Result, rec.audience(), rec.follows(), rec.opts.Retention)
	if err == nil {
		w.c.metrics.rescued.WithLabelValues("delivered").Inc()
		return nil
	}
	w.c.log.WarnContext(ctx, "terminal event still undelivered", "id", rec.ID, "error", err)
	if err := w.c.rdb.HIncrBy(ctx, w.c.job(rec.ID)[0], "outn", 1).Err(); err != nil {
		return fmt.Errorf("jobs: count delivery of job %q: %w", rec.ID, err)
	}
	return w.checkAgain(ctx, rec.ID, min(watchLease<<min(rec.tries, 10), undeliveredMax))
}

// checkAgain puts the next check off.
func (w watchdog) checkAgain(ctx context.Context, id string, d time.Duration) error {
	err := w.c.rdb.ZAddXX(ctx, w.c.open(shard(id)), redis.Z{Score: float64(w.c.clock.now(ctx).Add(d).UnixMilli()), Member: id}).Err()
	if err != nil {
		return fmt.Errorf("jobs: put check of job %q off: %w", id, err)
	}
	return nil
}
