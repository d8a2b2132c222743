package tasks

import (
	"context"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// What tests need that package jobs does not.
const (
	EnqueueSHA = enqueueSHA
	DequeueSHA = dequeueSHA
	DoneSHA    = doneSHA
	ForwardSHA = forwardSHA
	Refused    = refusedBase
	LeftToIt   = heldMax
)

// ProbeWith probes an Asynq whose calls pass through vary first.
func ProbeWith(vary func(redis.UniversalClient) redis.UniversalClient) Known {
	return probe(func(c redis.UniversalClient) *asynq.Client { return asynq.NewClientFromRedisClient(vary(c)) })
}

// Names returns the keys of a task, as they were learned.
func (k *Known) Keys(queue, id string) []string {
	n := &k.Names
	return []string{n.queues, n.task.of(queue) + id, n.active.of(queue), n.lease.of(queue), n.archived.of(queue), n.delayed[0].of(queue), n.delayed[1].of(queue)}
}

// Forget has no key known.
func (k *Known) Forget() { k.Names = Names{} }

// Next asks for a task as a Server does.
func (p *Prefetch) Next(queue string) (string, int) { return p.next(queue, time.Now()) }

// Keep notes tasks as a Server does.
func (p *Prefetch) Keep(q Queue, taken ...Task) (string, bool) { return p.keep(q, taken, time.Now()) }

// Settled notes the end of tasks as a Server does.
func (p *Prefetch) Settled(ids ...string) { p.settled(ids) }

// Wait slows down after an error.
func (h *Hook) Wait(ctx context.Context, err error) { h.pace(ctx, err) }

// Troubled tells an error of Redis from an answer.
func Troubled(err error) bool { return troubled(err) }
