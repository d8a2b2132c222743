// Package outbox moves jobs from a table in an application's own database into
// the queue, so that a job is enqueued if, and only if, the transaction that
// makes it necessary commits.
package outbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"lastmile/jobs"
)

// Job is a job that an application's own database promised to enqueue.
type Job struct {
	// ID becomes the job's, so that relaying it twice enqueues it once. It has
	// to be unique for good: a random one, or one that names the change.
	ID string
	// Step is the job, made by Kind.Step; it marshals to JSON and back.
	Step jobs.Step
}

// Table holds jobs in an application's own database. The application
// inserts a row in the transaction that makes the job necessary, so the job is
// enqueued if, and only if, the transaction commits; [Relay] moves the
// rows on.
type Table interface {
	// Pending returns up to limit rows, oldest first.
	Pending(ctx context.Context, limit int) ([]Job, error)
	// Delete removes rows that have been enqueued. Rows that are gone are no
	// error.
	Delete(ctx context.Context, ids []string) error
}

const (
	relayBatch = 100
	relayRetry = 2 * time.Second
)

// Relay enqueues what the outbox holds, looking every so often, until ctx ends,
// and returns nil then. A row is deleted after its job is stored; if the
// process dies between, the ID keeps the job from being enqueued again while
// its record exists (its Retention should exceed the longest outage). Any
// number of processes may relay the same table. A row that is refused for good
// (jobs.ErrInvalid) stays, is logged each time, and does not hold up the others.
// A nil log is slog.Default().
func Relay(ctx context.Context, c *jobs.Client, o Table, every time.Duration, log *slog.Logger) error {
	log = cmp.Or(log, slog.Default())
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		n, err := relay(ctx, c, o)
		switch {
		case err != nil && ctx.Err() == nil:
			log.WarnContext(ctx, "outbox not relayed, trying again", "error", err)
			timer.Reset(max(every, relayRetry))
		case n == relayBatch:
			timer.Reset(0)
		default:
			timer.Reset(max(every, time.Millisecond))
		}
	}
}

func relay(ctx context.Context, c *jobs.Client, o Table) (int, error) {
	rows, err := o.Pending(ctx, relayBatch)
	if err != nil {
		return 0, fmt.Errorf("outbox: read: %w", err)
	}
	done := make([]string, 0, len(rows))
	var refused error
	for _, r := range rows {
		_, err = c.EnqueueStep(ctx, r.ID, r.Step)
		if errors.Is(err, jobs.ErrInvalid) {
			refused, err = errors.Join(refused, fmt.Errorf("row %q: %w", r.ID, err)), nil
			continue
		}
		if err != nil {
			break
		}
		done = append(done, r.ID)
	}
	if len(done) > 0 {
		if err := o.Delete(ctx, done); err != nil {
			return 0, fmt.Errorf("outbox: delete: %w", err)
		}
	}
	return len(done), errors.Join(refused, err)
}
