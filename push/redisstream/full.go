package redisstream

import (
	"context"
	"fmt"
	"strconv"
	"sync"

	"github.com/redis/go-redis/v9"

	"lastmile/push"
)

var _ push.Filled = (*States)(nil)

// Full implements push.Filled by INFO, on every master of a cluster: what counts
// for maxmemory, as a share of it. It is 0 without a maxmemory, and where the
// server keeps INFO to itself.
func (s *States) Full(ctx context.Context) (float64, error) {
	var mu sync.Mutex
	var fullest float64
	err := s.t.eachMaster(ctx, func(ctx context.Context, c *redis.Client) error {
		info, err := c.Info(ctx, "memory").Result()
		if err != nil && !silent(err) {
			return fmt.Errorf("info: %w", err)
		}
		mu.Lock()
		defer mu.Unlock()
		fullest = max(fullest, fullOf(info))
		return nil
	})
	if err != nil {
		return 0, s.t.metrics.fail("ask how full the store is", "", err)
	}
	return fullest, nil
}

// fullOf reads INFO memory. What replicas and the append-only file have buffered
// does not count for maxmemory.
func fullOf(info string) float64 {
	number := func(name string) float64 {
		n, _ := strconv.ParseFloat(infoField(info, name), 64)
		return n
	}
	bound := number("maxmemory")
	if bound <= 0 {
		return 0
	}
	return (number("used_memory") - number("mem_not_counted_for_evict")) / bound
}
