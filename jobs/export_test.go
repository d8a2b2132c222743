package jobs

import "context"

// OpenJobs returns the jobs of a shard that are open or owe an event.
func (c *Client) OpenJobs(ctx context.Context, shard int) ([]string, error) {
	return c.rdb.ZRange(ctx, c.open(shard), 0, -1).Result()
}
