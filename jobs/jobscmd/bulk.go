package jobscmd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lastmile/jobs"
)

// chosen is one job, or those that are asked for.
type chosen struct {
	ID string `arg:"" optional:"" help:"The job's ID."`
	jobsWhere
	All bool `name:"all" help:"Needed for all jobs, when neither an ID nor anything else is given."`
}

// many tells whether it is not about one job.
func (c *chosen) many() (bool, error) {
	switch {
	case c.ID != "" && (c.given() || c.All):
		return false, fmt.Errorf("%w: ID=%s: must be alone, or left out for the jobs that are asked for", ErrUsage, c.ID)
	case c.ID == "" && !c.given() && !c.All:
		return false, fmt.Errorf("%w: ID: must be given, or which jobs; --all for all", ErrUsage)
	}
	return c.ID == "", nil
}

// bulkInfo is a bulk as it is printed.
type bulkInfo struct {
	ID      string    `json:"bulk"`
	Done    int       `json:"done"`
	Skipped int       `json:"skipped"`
	Failed  int       `json:"failed"`
	Over    bool      `json:"over"`
	Started time.Time `json:"started,omitzero"`
	Updated time.Time `json:"updated,omitzero"`
}

// print says what came of a bulk.
func (t *Config) print(b jobs.Bulk, did string) error {
	text := fmt.Sprintf("%d %s, %d left as they were, %d refused", b.Done, did, b.Skipped, b.Failed)
	if !b.Over {
		text += "; more to do: a worker goes on, see jobs bulk " + b.ID
	}
	return t.printer().Print(bulkInfo(b), text)
}

// carryOut does something to all that are asked for.
func (t *Config) carryOut(ctx context.Context, c *chosen, did string, do func(context.Context, *jobs.Client, jobs.Query) (jobs.Bulk, error)) error {
	q, err := c.query(jobs.Now(ctx, t.Client))
	if err != nil {
		return err
	}
	b, err := do(ctx, t.Client, q)
	switch {
	case errors.Is(err, jobs.ErrInvalid):
		return fmt.Errorf("%w: %w", ErrUsage, err)
	case b.ID == "":
		return err
	}
	return errors.Join(err, t.print(b, did))
}

// jobsCancel is "jobs cancel".
type jobsCancel struct{ chosen }

// Run cancels a job, or many.
func (c *jobsCancel) Run(ctx context.Context, t *Config) error {
	many, err := c.many()
	if err != nil {
		return err
	}
	if many {
		return t.carryOut(ctx, &c.chosen, "cancelled", jobs.CancelAll)
	}
	if err := t.Client.Cancel(ctx, c.ID); err != nil {
		return err
	}
	// A running one ends as soon as its worker sees it.
	if i, err := t.Client.Get(ctx, c.ID); err == nil && !i.State.Ended() {
		return t.printer().Print(map[string]string{"id": c.ID, "result": "cancelling"}, "cancelling "+c.ID+": its worker ends it, or the watchdog if that is dead")
	}
	return t.printer().Print(map[string]string{"id": c.ID, "result": "cancelled"}, "cancelled "+c.ID)
}

// jobsRetry is "jobs retry".
type jobsRetry struct{ chosen }

// Run opens the next generation of a job, or of many.
func (c *jobsRetry) Run(ctx context.Context, t *Config) error {
	many, err := c.many()
	if err != nil {
		return err
	}
	if many {
		return t.carryOut(ctx, &c.chosen, "retried", jobs.RetryAll)
	}
	if err := t.Client.Retry(ctx, c.ID); err != nil {
		return err
	}
	return t.printer().Print(map[string]string{"id": c.ID, "result": "enqueued"}, "enqueued again "+c.ID)
}

// jobsBulk is "jobs bulk ID".
type jobsBulk struct {
	ID string `arg:"" help:"What the cancellation or retry of many printed."`
}

// Run shows how far it is.
func (c *jobsBulk) Run(ctx context.Context, t *Config) error {
	b, err := jobs.BulkOf(ctx, t.Client, c.ID)
	if err != nil {
		return err
	}
	return t.print(b, "done")
}
