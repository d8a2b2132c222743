package jobs

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
)

const (
	skewSamples = 3
	skewWarn    = 5 * time.Second
)

// clock is how far this process's clock is from Redis's.
type clock struct {
	skew   atomic.Int64 // nanoseconds by which ours is ahead
	warned atomic.Bool
}

// ClockSkew returns by how much the clock of this process was ahead of Redis's
// when a watchdog of the client measured it last, which [Client.Watch] and a
// running pool do each minute; behind is less than zero. It is zero before.
// From 5 seconds on there is a warning in the log: jobs are judged by Redis's
// clock, and what is due at a time is due by the clock of who enqueues it.
func ClockSkew(c *Client) time.Duration { return time.Duration(c.clock.skew.Load()) }

// measureSkew asks for Redis's time, takes half of the round trip off, and
// believes the median of a few.
func (w watchdog) measureSkew(ctx context.Context) error {
	var samples []time.Duration
	for range skewSamples {
		asked := time.Now()
		t, err := w.c.rdb.Time(ctx).Result()
		if err != nil {
			return fmt.Errorf("jobs: ask for Redis's time: %w", err)
		}
		samples = append(samples, asked.Add(time.Since(asked)/2).Sub(t))
	}
	slices.Sort(samples)
	skew := samples[len(samples)/2]
	w.c.clock.skew.Store(int64(skew))
	w.c.metrics.skew.Set(skew.Seconds())
	far := skew.Abs() >= skewWarn
	switch news := w.c.clock.warned.Swap(far) != far; {
	case news && far:
		w.c.log.WarnContext(ctx, "the clock of this process is not Redis's: times of jobs are wrong by the difference", "ahead", skew.String())
	case news:
		w.c.log.InfoContext(ctx, "the clock of this process is Redis's again")
	}
	return nil
}
