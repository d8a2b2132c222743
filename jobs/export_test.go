package jobs

import (
	"context"
	"time"

	"lastmile/jobs/internal/tasks"
)

// OpenJobs returns the jobs of a shard that are open or have an undelivered event.
func (c *Client) OpenJobs(ctx context.Context, shard int) ([]string, error) {
	return c.rdb.ZRange(ctx, c.open(shard), 0, -1).Result()
}

// Take asks for a task as Asynq's server does, and returns its message.
func (p *Pool) Take(ctx context.Context, queue string) (string, error) {
	q := "asynq:{" + queue + "}:"
	return p.server(p.client.rdb, new(tasks.Hook)).EvalSha(ctx, "a8153319360adc71cdc370107f8ab9786f204765",
		[]string{q + "pending", q + "paused", q + "active", q + "lease"}, time.Now().Add(30*time.Second).Unix(), q+"t:").Text()
}

// GiveBack gives back what the pool has held for longer than d.
func (p *Pool) GiveBack(ctx context.Context, d time.Duration) { p.giveBack(ctx, d) }
