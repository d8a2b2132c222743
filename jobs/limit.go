package jobs

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

const (
	// placeLease is how long a place under a concurrency limit outlives its
	// last heartbeat.
	placeLease = 30 * time.Second
	// placeWait is the least time until a job looks for a place again, placeMax
	// the most. In between it grows by placeShare for each job that waits, so
	// that together they look 20 times a second.
	placeWait  = time.Second
	placeMax   = 30 * time.Second
	placeShare = 50 * time.Millisecond
	// turnMax bounds how long a job waits for others before it.
	turnMax = time.Minute
)

// limit is a bound on how many jobs of a kind and key run at a time, or start
// in a period.
type limit struct {
	Key string        `json:"k,omitempty"`
	N   int           `json:"n"`
	Per time.Duration `json:"p,omitempty"` // zero: at a time
}

// Concurrency bounds how many jobs of the kind with the same key run at a time,
// over all workers. Jobs beyond wait, without holding a worker or using an
// attempt. After a crash a place is free again within 30 seconds. The key may
// be empty: then the bound is for the kind.
func Concurrency(key string, n int) Option {
	return Option{func(s *settings) { s.limits = append(slices.Clip(s.limits), limit{key, n, 0}) }}
}

// RateLimit bounds how many jobs of the kind with the same key start in a
// period, over all workers; n may start at once. Jobs beyond wait, without
// holding a worker or using an attempt. The key may be empty: then the bound is
// for the kind.
func RateLimit(key string, n int, per time.Duration) Option {
	return Option{func(s *settings) { s.limits = append(slices.Clip(s.limits), limit{key, n, per}) }}
}

func (l limit) check() error {
	if l.N <= 0 || l.Per < 0 || l.Per > 0 && l.Per < time.Millisecond || len(l.Key) > maxNameLen {
		return fmt.Errorf("%w: a limit needs a positive number and a key of at most %d bytes", ErrInvalid, maxNameLen)
	}
	return nil
}

// limiter keeps the limits of jobs: places and tokens.
type limiter struct{ c *Client }

// acquire takes what the job's limits ask for, or tells how long to wait. Then it
// has given back what it took, or jobs that wait would keep others waiting.
func (m limiter) acquire(ctx context.Context, x *execution) (wait time.Duration, err error) {
	var tokens []limit
	for _, rate := range []bool{false, true} {
		for _, l := range x.opts.Limits {
			switch {
			case l.Per > 0 != rate:
				continue
			case rate:
				wait, err = m.takeToken(ctx, x, l)
			default:
				wait, err = m.takePlace(ctx, x, l)
			}
			if err != nil || wait > 0 {
				m.refund(ctx, x, tokens)
				m.release(ctx, x)
				return wait + rand.N(wait/4+1), err //nolint:gosec // jitter needs no secrecy
			}
			if rate {
				tokens = append(tokens, l)
			}
		}
	}
	return 0, nil
}

func (m limiter) takeToken(ctx context.Context, x *execution, l limit) (time.Duration, error) {
	n, err := m.c.run(ctx, "rate", waited(m.c.rate(x.kind, l.Key)), ms(time.Now()), l.N, msOf(l.Per), x.id, msOf(turnMax)).Int64()
	if err != nil {
		return 0, fmt.Errorf("jobs: rate limit %q: %w", l.Key, err)
	}
	return time.Duration(n) * time.Millisecond, nil
}

// refund gives tokens back; what fails is lost to the period.
func (m limiter) refund(ctx context.Context, x *execution, tokens []limit) {
	for _, l := range tokens {
		key := []string{m.c.rate(x.kind, l.Key)}
		if err := m.c.run(ctx, "refund", key, ms(time.Now()), l.N, msOf(l.Per)).Err(); err != nil {
			m.c.log.WarnContext(ctx, "token not given back", "id", x.id, "error", err)
		}
	}
}

func (m limiter) takePlace(ctx context.Context, x *execution, l limit) (time.Duration, error) {
	now := time.Now()
	n, err := m.c.run(ctx, "acquire", waited(m.c.places(x.kind, l.Key)),
		ms(now), x.member(), ms(now.Add(placeLease)), l.N, msOf(placeLease), x.id,
		msOf(placeWait), msOf(placeMax), msOf(placeShare)).Int64()
	if err != nil {
		return 0, fmt.Errorf("jobs: concurrency limit %q: %w", l.Key, err)
	}
	return time.Duration(n) * time.Millisecond, nil
}

// waited returns a limit's key and that of those who wait for it.
func waited(key string) []string { return []string{key, key + ":w"} }

// renew keeps the job's places.
func (m limiter) renew(ctx context.Context, x *execution) {
	for _, l := range x.opts.Limits {
		if l.Per > 0 {
			continue
		}
		if _, err := m.takePlace(ctx, x, l); err != nil {
			m.c.log.WarnContext(ctx, "place not renewed", "id", x.id, "error", err)
		}
	}
}

// release gives the job's places back; what fails expires.
func (m limiter) release(ctx context.Context, x *execution) {
	for _, l := range x.opts.Limits {
		if l.Per > 0 {
			continue
		}
		if err := m.c.rdb.ZRem(ctx, m.c.places(x.kind, l.Key), x.member()).Err(); err != nil {
			m.c.log.WarnContext(ctx, "place not released", "id", x.id, "error", err)
		}
	}
}

func (x *execution) member() string { return fmt.Sprintf("%s:%d", x.id, x.run) }
