package jobs

import (
	"context"
	"fmt"
	"time"
)

// Outgoing is a job that an application's own database promised to enqueue.
type Outgoing struct {
	// ID becomes the job's, so that relaying it twice enqueues it once. It has
	// to be unique for good: a random one, or one that names the change.
	ID string
	// Step is the job, made by Kind.Step; it marshals to JSON and back.
	Step Step
}

// Outbox is a table of jobs in an application's own database. The application
// inserts a row in the transaction that makes the job necessary, so the job is
// enqueued if, and only if, the transaction commits; [Client.Relay] moves the
// rows on.
type Outbox interface {
	// Pending returns up to limit rows, oldest first.
	Pending(ctx context.Context, limit int) ([]Outgoing, error)
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
// number of processes may relay the same outbox.
func (c *Client) Relay(ctx context.Context, o Outbox, every time.Duration) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		n, err := c.relay(ctx, o)
		switch {
		case err != nil && ctx.Err() == nil:
			c.log.WarnContext(ctx, "outbox not relayed, trying again", "error", err)
			timer.Reset(max(every, relayRetry))
		case n == relayBatch:
			timer.Reset(0)
		default:
			timer.Reset(max(every, time.Millisecond))
		}
	}
}

func (c *Client) relay(ctx context.Context, o Outbox) (int, error) {
	rows, err := o.Pending(ctx, relayBatch)
	if err != nil {
		return 0, fmt.Errorf("jobs: read outbox: %w", err)
	}
	done := make([]string, 0, len(rows))
	for _, r := range rows {
		if err = c.enqueueStep(ctx, r.Step, r.ID, nil); err != nil {
			break
		}
		done = append(done, r.ID)
	}
	if len(done) > 0 {
		if err := o.Delete(ctx, done); err != nil {
			return 0, fmt.Errorf("jobs: clear outbox: %w", err)
		}
	}
	return len(done), err
}
