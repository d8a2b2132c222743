package jobs

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// silenceEvery is how often a process without a pool looks for silent workers:
	// nobody sweeps once the last one is dead.
	silenceEvery = time.Second
	// tellLengthEvery is how often workers tell how long their leases are,
	// lengthsEvery how often it is asked for, lengthsFor for how long it counts,
	// whatever clocks say.
	tellLengthEvery = time.Minute
	lengthsEvery    = 20 * time.Second
	lengthsFor      = 10 * time.Minute
)

// stuckPart is how much of a lease is left, in percent, of a worker that seems to
// be dead: it has missed a renewal.
const stuckPart = 45

// stuckBelow is what is left then.
func stuckBelow(lease time.Duration) time.Duration { return lease * stuckPart / 100 }

// tellLength tells how long this pool's leases are.
func (h holder) tellLength(ctx context.Context) error {
	c := h.p.client
	now := c.clock.now(ctx)
	pipe := c.rdb.Pipeline()
	pipe.ZAdd(ctx, c.lengths(), redis.Z{Score: float64(now.UnixMilli()), Member: msOf(h.p.cfg.Lease)})
	pipe.Expire(ctx, c.lengths(), lengthsFor)
	_, err := pipe.Exec(ctx)
	return err
}

// lengths is where that is told.
func (k keys) lengths() string { return k.prefix + ":jobs:leases" }

// silence looks for workers that let their leases run down.
type silence struct {
	w     watchdog
	lease time.Duration // the shortest that any worker has; zero: there is none
	asked time.Time     // when that was asked
	last  time.Time     // of the last look
	since time.Time     // of the first without a gap: after one, workers renew first
}

// watch looks until ctx ends.
func (s *silence) watch(ctx context.Context) {
	tick := time.NewTicker(silenceEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := s.look(ctx); err != nil {
			s.last = time.Time{}
			if ctx.Err() == nil {
				s.w.c.log.DebugContext(ctx, "leases of workers not looked at", "error", err)
			}
		}
	}
}

func (s *silence) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if time.Since(s.asked) >= lengthsEvery {
		if err := s.ask(ctx); err != nil {
			return err
		}
	}
	now, found, err := s.w.runningOut(ctx, stuckBelow(s.lease))
	if err != nil {
		return err
	}
	if now.Sub(s.last).Abs() > 3*silenceEvery {
		s.since = now
	}
	if s.last = now; s.lease == 0 || now.Sub(s.since) < s.lease-stuckBelow(s.lease) {
		return nil
	}
	for own, ids := range found {
		err = errors.Join(err, s.w.suspect(ctx, own, ids, stuckBelow(s.lease)))
	}
	return err
}

// ask asks for the shortest lease.
func (s *silence) ask(ctx context.Context) error {
	now := time.Now()
	from := strconv.FormatInt(s.w.c.clock.now(ctx).Add(-lengthsFor).UnixMilli(), 10)
	told, err := s.w.c.rdb.ZRangeByScore(ctx, s.w.c.lengths(), &redis.ZRangeBy{Min: from, Max: "+inf"}).Result()
	if err != nil {
		return fmt.Errorf("jobs: ask for the length of leases: %w", err)
	}
	s.asked, s.lease = now, 0
	for _, l := range told {
		if n, err := strconv.ParseInt(l, 10, 64); err == nil && n > 0 && (s.lease == 0 || s.lease > time.Duration(n)*time.Millisecond) {
			s.lease = time.Duration(n) * time.Millisecond
		}
	}
	if s.lease == 0 {
		s.asked = now.Add(silenceEvery - lengthsEvery) // a worker may start any moment
	}
	return nil
}

// runningOut returns Redis's time, and the tasks of the queues known here of whose
// leases less than left is left, by the set that they are in.
func (w watchdog) runningOut(ctx context.Context, left time.Duration) (now time.Time, found map[string][]string, err error) {
	if now, err = w.c.rdb.Time(ctx).Result(); err != nil || left == 0 {
		return now, nil, err
	}
	pipe := w.c.rdb.Pipeline()
	looks := make(map[string]*redis.StringSliceCmd)
	w.c.queues.Range(func(q, _ any) bool {
		name, _ := q.(string)
		if pending := w.c.known.Names.Pending(w.c.inAsynq(name)); pending != "" {
			own := w.c.own(pending)
			to := strconv.FormatInt(now.Add(left).UnixMilli(), 10)
			looks[own] = pipe.ZRangeByScore(ctx, own, &redis.ZRangeBy{Min: "-inf", Max: to, Count: suspectsAtOnce})
		}
		return true
	})
	if _, err := pipe.Exec(ctx); err != nil {
		return now, nil, fmt.Errorf("jobs: look at leases: %w", err)
	}
	found = make(map[string][]string)
	for own, look := range looks {
		if ids := look.Val(); len(ids) > 0 {
			found[own] = ids
		}
	}
	return now, found, nil
}

// suspectsAtOnce bounds how many tasks of a queue are looked at together.
const suspectsAtOnce = 1000
