package redisstream

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"lastmile/push"
)

const (
	// leaseTTL is how long a partition's housekeeping stays with one process.
	leaseTTL = 30 * time.Second
	// expireBatch bounds the sessions, and the entries of one session, that
	// one step of the expiry handles.
	expireBatch = 100
)

// Run moves what has waited longer than Config.MaxAge to the dead letters,
// until ctx ends; then it returns nil. Any number of processes may run it: for
// each partition one of them does the work. The reason is push.ReasonExpired,
// or push.ReasonUnknownAction for what was skipped by all that were there.
func (t *Transport) Run(ctx context.Context) error {
	h := housekeeper{t}
	every := min(max(t.cfg.MaxAge/10, 100*time.Millisecond), leaseTTL)
	for failures := 0; ctx.Err() == nil; {
		err := h.tidy(ctx)
		pause := every*4/5 + rand.N(every*2/5) //nolint:gosec // jitter
		if err != nil && ctx.Err() == nil {
			if failures == 0 {
				t.log.WarnContext(ctx, "push housekeeping failed", "class", classOf(err), "error", err)
			}
			pause = push.Backoff(failures, backoffBase, every) + backoffBase
			failures++
		} else {
			failures = 0
		}
		wait(ctx, pause)
	}
	return nil
}

// housekeeper moves what a store has kept too long: one partition after the
// other, those whose lease it holds.
type housekeeper struct{ t *Transport }

// tidy goes once through the partitions that this process leads. What fails in
// one holds up no other: of a cluster one server may be down.
func (h housekeeper) tidy(ctx context.Context) error {
	if err := h.t.layout.verify(ctx); err != nil {
		return err
	}
	var failed error
	for p := range h.t.cfg.Partitions {
		leads, err := h.lead(ctx, p)
		if err == nil && leads {
			err = h.expire(ctx, p)
		}
		failed = cmp.Or(failed, err)
		if ctx.Err() != nil {
			break
		}
	}
	return failed
}

// lead takes or renews the lease of a partition. Two leaders at once, after a
// failover say, do no harm: expiring is one atomic step for each session.
func (h housekeeper) lead(ctx context.Context, p int) (bool, error) {
	key := h.t.keys.lease(p)
	err := h.t.client.SetArgs(ctx, key, h.t.id, redis.SetArgs{Mode: "NX", TTL: leaseTTL}).Err()
	if err == nil {
		return true, nil
	}
	if !errors.Is(err, redis.Nil) {
		return false, h.t.metrics.fail("lease", "", err)
	}
	holder, err := h.t.client.Get(ctx, key).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return false, h.t.metrics.fail("lease", "", err)
	}
	if holder != h.t.id {
		return false, nil
	}
	if err := h.t.client.PExpire(ctx, key, leaseTTL).Err(); err != nil {
		return false, h.t.metrics.fail("lease", "", err)
	}
	return true, nil
}

// expire handles the sessions of a partition whose oldest unapplied push is
// too old.
func (h housekeeper) expire(ctx context.Context, p int) error {
	now, err := h.now(ctx, p)
	if err != nil {
		return err
	}
	keep := max(0, now.Add(-h.t.cfg.MaxAge).UnixMicro())
	var failed error
	damaged := int64(0)
	for ctx.Err() == nil {
		sessions, err := h.t.client.ZRangeArgs(ctx, redis.ZRangeArgs{
			Key: h.t.keys.unacked(p), ByScore: true, Start: "-inf", Stop: "(" + strconv.FormatInt(keep, 10),
			Offset: damaged, Count: expireBatch,
		}).Result()
		if err != nil {
			return h.t.metrics.fail("list overdue sessions", "", err)
		}
		for _, s := range sessions {
			err := h.expireSession(ctx, s, keep)
			if err != nil && classOf(err) != "other" { // it is not about this session
				return err
			}
			if err != nil { // its keys are damaged, and it stays where it is
				damaged++
				failed = cmp.Or(failed, err)
			}
		}
		if len(sessions) < expireBatch {
			break
		}
	}
	return failed
}

func (h housekeeper) expireSession(ctx context.Context, session string, keep int64) error {
	b := h.t.keys.box(session)
	reply, err := h.t.run(ctx, call{
		script: h.t.scripts.expire,
		keys:   []string{b.meta, b.mailbox, b.parked, b.unacked, b.starts, b.dead},
		args:   []any{session, strconv.FormatInt(keep, 10), expireBatch, h.t.cfg.DeadLetterLen},
	})
	if err != nil {
		return h.t.metrics.fail("expire", session, err)
	}
	all, _ := reply[0].(int64)
	unknown, _ := reply[1].(int64)
	if all > 0 {
		h.t.log.WarnContext(ctx, "pushes expired", "session", push.Redact(session), "count", all, "unknown_action", unknown)
	}
	h.t.metrics.expired.WithLabelValues(string(push.ReasonExpired)).Add(float64(all - unknown))
	h.t.metrics.expired.WithLabelValues(string(push.ReasonUnknownAction)).Add(float64(unknown))
	return nil
}

// now returns the clock of the server that holds a partition: the one that its
// Seqs come from.
func (h housekeeper) now(ctx context.Context, p int) (time.Time, error) {
	server, err := h.t.server(ctx, h.t.keys.unacked(p))
	if err != nil {
		return time.Time{}, h.t.metrics.fail("time", "", err)
	}
	now, err := server.Time(ctx).Result()
	if err != nil {
		return time.Time{}, h.t.metrics.fail("time", "", err)
	}
	return now, nil
}
