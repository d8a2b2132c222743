package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
)

const (
	skewSamples = 3
	skewWarn    = 5 * time.Second
	// skewPatience bounds how long somebody waits who only wants to know what time
	// it is, and skewAgain how soon that is tried again.
	skewPatience = time.Second
	skewAgain    = 5 * time.Second
	// clockStep is by how much the wall clock may leave the monotonic one before
	// Redis is asked again: somebody has set it, or the machine has slept.
	clockStep = time.Second
)

// clock tells Redis's time. Whatever is stored and judged later, by whichever
// process, is of that one clock: those of machines differ. Between measurements
// it goes by this machine's monotonic clock, so it matters to nobody when the
// wall clock is set.
type clock struct {
	rdb    redis.UniversalClient
	log    *slog.Logger
	gauge  prometheus.Gauge
	at     atomic.Pointer[reading]
	tried  atomic.Pointer[time.Time] // when one that failed began
	asking chan struct{}             // whoever asks has its place
	warned atomic.Bool
}

// reading is one moment by both clocks.
type reading struct {
	local time.Time // with its monotonic part
	redis time.Time
}

// skew is by how much ours is ahead.
func (r *reading) skew() time.Duration { return r.local.Sub(r.redis) }

// stale reports whether it is time for another one.
func (r *reading) stale(now time.Time) bool {
	passed := now.Sub(r.local)
	return passed >= skewEvery || (now.Round(0).Sub(r.local.Round(0))-passed).Abs() > clockStep
}

// ClockSkew returns by how much the clock of this process was ahead of Redis's
// when the client measured it last, which it does each minute while it works;
// behind is less than zero. What is less than the round trip can tell is zero,
// and so is everything before the first measurement. From 5 seconds on there is
// a warning in the log, though jobs do not mind: times are stored and judged by
// Redis's clock. [ProcessAt] is a time of that clock too.
func ClockSkew(c *Client) time.Duration {
	if r := c.clock.at.Load(); r != nil {
		return r.skew()
	}
	return 0
}

// Now returns the time by Redis's clock, which jobs are stored and judged by:
// what a [ProcessAt] is to be counted from. Once a minute that takes a round trip of a
// second at most. While Redis does not answer it is the time by the last
// measurement, or this machine's. It is safe for concurrent use.
func Now(ctx context.Context, c *Client) time.Time { return c.clock.now(ctx) }

// now returns Redis's time. Once a minute that takes a round trip. While Redis
// does not answer it is the time by the last measurement, or this machine's.
func (c *clock) now(ctx context.Context) time.Time {
	now := time.Now()
	r := c.at.Load()
	if (r == nil || r.stale(now)) && c.mayAsk(now) {
		left := ctx.Err
		ctx, stop := context.WithTimeout(ctx, skewPatience)
		defer stop()
		if !c.turn(ctx, r == nil) {
			return c.last()
		}
		defer func() { <-c.asking }()
		if c.at.Load() == r { // nobody was faster
			if err := c.measure(ctx, 1); err != nil && left() == nil { // a caller who has left says nothing of Redis
				c.tried.Store(&now)
			}
		}
	}
	return c.last()
}

// turn takes the place of whoever asks, and waits for it if there has been no
// answer yet. It is not a mutex: who has it waits for Redis.
func (c *clock) turn(ctx context.Context, first bool) bool {
	select {
	case c.asking <- struct{}{}:
		return true
	default:
		if !first {
			return false
		}
	}
	select {
	case c.asking <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// mayAsk reports whether the last failure is long enough ago.
func (c *clock) mayAsk(now time.Time) bool {
	t := c.tried.Load()
	return t == nil || now.Sub(*t) >= skewAgain
}

// last returns the time by the last measurement.
func (c *clock) last() time.Time {
	now := time.Now()
	if r := c.at.Load(); r != nil {
		return r.redis.Add(now.Sub(r.local))
	}
	return now.Round(0)
}

// local returns when this machine's clock shows what is t by Redis's.
func (c *clock) local(t time.Time) time.Time { return t.Add(time.Now().Round(0).Sub(c.last())) }

// since is how long ago a stored time was, until how far away it is.
func (c *clock) since(ctx context.Context, t time.Time) time.Duration { return c.now(ctx).Sub(t) }
func (c *clock) until(ctx context.Context, t time.Time) time.Duration { return t.Sub(c.now(ctx)) }

// measure asks for Redis's time, and believes the answer that was fastest.
// Redis's clock was read at some time of the round trip: clocks that may be the
// same are.
func (c *clock) measure(ctx context.Context, samples int) error {
	var best *reading
	var shortest time.Duration
	for range samples {
		asked := time.Now()
		t, err := c.rdb.Time(ctx).Result()
		if err != nil {
			return fmt.Errorf("jobs: ask for Redis's time: %w", err)
		}
		trip := time.Since(asked)
		if best != nil && trip >= shortest {
			continue
		}
		shortest, best = trip, &reading{local: asked.Add(trip / 2), redis: t}
		if best.skew().Abs() <= trip/2 {
			best.redis = best.local.Round(0)
		}
	}
	c.at.Store(best)
	c.gauge.Set(best.skew().Seconds())
	far := best.skew().Abs() >= skewWarn
	switch news := c.warned.Swap(far) != far; {
	case news && far:
		c.log.WarnContext(ctx, "the clock of this process is not Redis's: times in its logs are not those of its jobs", "ahead", best.skew().String())
	case news:
		c.log.InfoContext(ctx, "the clock of this process is Redis's again")
	}
	return nil
}
