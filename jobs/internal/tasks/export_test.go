package tasks

import (
	"context"
	"reflect"
	"slices"
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

// LeavingCalls lets Asynq's broker do all that it can do to one task. It returns
// how many script calls had to do with the active tasks, and which methods make
// some that could not be guarded.
func LeavingCalls() (n int, unguarded []string, err error) {
	r := newRecorder()
	defer func() { _ = r.offline.Close() }()
	var k Known
	client := asynq.NewClientFromRedisClient(r)
	message, err := k.probeEnqueue(r, client)
	if err != nil {
		return 0, nil, err
	}
	if err := k.probeBroker(r, client, message); err != nil {
		return 0, nil, err
	}
	b, err := brokerOf(client)
	if err != nil {
		return 0, nil, err
	}
	r.answer = string(message)
	task := b.call("Dequeue", reflect.ValueOf(probeQueue))[0]
	r.answer = "OK"
	for i := range b.v.NumMethod() {
		m, name := b.v.Method(i), b.v.Type().Method(i).Name
		if m.Type().IsVariadic() || m.Type().NumIn() < 2 || m.Type().In(1) != task.Type() {
			continue
		}
		args := []reflect.Value{reflect.ValueOf(context.Background()), task}
		for j := 2; j < m.Type().NumIn(); j++ {
			args = append(args, reflect.Zero(m.Type().In(j)))
		}
		for _, c := range r.during(func() { m.Call(args) }) {
			if !slices.Contains(c.keys, k.Names.active.of(probeQueue)) {
				continue
			}
			n++
			if id, _ := k.leaver(c.keys, c.args); id != probeTask {
				unguarded = append(unguarded, name)
			}
		}
	}
	return n, unguarded, nil
}
