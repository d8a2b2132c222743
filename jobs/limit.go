package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"lastmile/jobs/internal/tasks"
)

const (
	// placeLease is how long a place under a concurrency limit outlives its
	// last heartbeat, or the moment when it was handed to a job that waits.
	placeLease = 30 * time.Second
	// lookLeast is when a parked job looks for itself, in case nobody hands it
	// anything, lookEach the more for each that waits, so that together they look
	// 50 times a second at most, and lookMost the limit of that.
	lookLeast = time.Minute
	lookEach  = 20 * time.Millisecond
	lookMost  = 10 * time.Minute
	// Where a job cannot be parked by the script that refuses it, a hand-over may
	// come before it is: it looks earlier.
	lookLeastApart = time.Second
	lookEachApart  = 50 * time.Millisecond
	lookMostApart  = 30 * time.Second
	// handoverEvery is how often what ran out is handed on.
	handoverEvery = 5 * time.Second
	// handoverTogether is of how many limits one script does so.
	handoverTogether = 20
	// maxLimits bounds the limits of one job, which one script takes together.
	maxLimits = 16
)

// limit is a bound on how many jobs of a kind and key run at a time, or start
// in a period.
type limit struct {
	Key string        `json:"k,omitempty"`
	N   int           `json:"n"`
	Per time.Duration `json:"p,omitempty"` // zero: at a time
}

// Concurrency bounds how many jobs of the kind with the same key run at a time,
// over all workers and queues. Jobs beyond wait, in the order in which they were
// enqueued, without holding a worker or using an attempt; a job that ends hands
// its place to the first of them. After a crash that nobody makes up for, a place
// is free again within 40 seconds. The key may be empty: then the bound is for
// the kind. A job may have 16 limits; it starts when all of them let it.
func Concurrency(key string, n int) Option {
	return Option{func(s *settings) { s.limits = append(slices.Clip(s.limits), limit{key, n, 0}) }}
}

// RateLimit bounds how many jobs of the kind with the same key start in a
// period, over all workers and queues; n may start at once. Jobs beyond wait for
// their turn, in the order in which they were enqueued, without holding a worker
// or using an attempt. The key may be empty: then the bound is for the kind.
func RateLimit(key string, n int, per time.Duration) Option {
	return Option{func(s *settings) { s.limits = append(slices.Clip(s.limits), limit{key, n, per}) }}
}

func (l limit) check() error {
	if l.N <= 0 || l.Per < 0 || l.Per > 0 && l.Per < time.Millisecond || len(l.Key) > maxNameLen {
		return fmt.Errorf("%w: a limit needs a positive number and a key of at most %d bytes", ErrInvalid, maxNameLen)
	}
	return nil
}

// name is what a job that waits shows.
func (l limit) name() string {
	if l.Per > 0 {
		return strings.TrimSpace(fmt.Sprintf("rate %d/%s %s", l.N, l.Per, l.Key))
	}
	return strings.TrimSpace(fmt.Sprintf("concurrency %d %s", l.N, l.Key))
}

// limiter keeps the limits of jobs: places and tokens.
type limiter struct{ c *Client }

// acquired is what came of asking for places and tokens.
type acquired struct {
	acquiring
	wait time.Duration // until a look, if it waits
}

// acquiring is the script's verdict.
type acquiring int

const (
	acquireRun    acquiring = iota // it has all of them
	acquireWait                    // it waits for one
	acquireCancel                  // a cancellation is asked for
	acquireStale                   // the run is not the job's any more
)

// together tells whether one script can take all limits and park the task.
func (m limiter) together(x *execution) bool {
	return m.c.single() && m.c.known.Dequeue && m.base(x.queue) != ""
}

// base begins the keys of a queue in Asynq.
func (m limiter) base(queue string) string {
	return strings.TrimSuffix(m.c.tasks.Key(m.c.inAsynq(queue), ""), "t:")
}

// member is how a task is named among those who wait for a limit: see hand.lua.
func (m limiter) member(queue, task string) string {
	base := m.base(queue)
	return strconv.Itoa(len(base)) + ":" + base + task
}

// counter is the key of the counter that numbers jobs with limits, or nothing
// where keys are on several servers.
func (m limiter) counter() string {
	if !m.c.single() {
		return ""
	}
	return m.c.counter()
}

// coming are the arguments by which create.lua notes a job with limits.
func (m limiter) coming(t *task) []any {
	var keys []string
	if m.c.single() && m.c.known.Dequeue && m.base(t.queue) != "" {
		for _, l := range t.opts.Limits {
			keys = append(keys, m.key(t.kind, l))
		}
	}
	return []any{"came", m.counter(), m.member(t.queue, tasks.IDOf(t.id, t.gen)), strings.Join(keys, "\n")}
}

// again has reopen.lua give a job with limits another place in the order of all.
func (m limiter) again(t *task) []any {
	if len(t.opts.Limits) == 0 {
		return nil
	}
	return []any{"came", m.counter()}
}

func (m limiter) key(kind string, l limit) string {
	if l.Per > 0 {
		return m.c.rate(kind, l.Key)
	}
	return m.c.places(kind, l.Key)
}

// keysOf are those of limits, and their numbers.
func (m limiter) keysOf(x *execution, limits []limit) (keys []string, numbers []any) {
	for _, l := range limits {
		key := m.key(x.kind, l)
		keys = append(keys, key, key+":w", key+":h")
		numbers = append(numbers, l.N, msOf(l.Per), l.name())
	}
	return keys, numbers
}

// acquire takes what the job's limits ask for, all or nothing.
func (m limiter) acquire(ctx context.Context, x *execution) (acquired, error) {
	if len(x.opts.Limits) == 0 {
		return acquired{}, nil
	}
	if m.together(x) {
		base := m.base(x.queue)
		first := append(m.c.job(x.id), base+"active", base+"lease", base+"scheduled", base+"t:"+x.task(), m.c.limitsInUse(), m.c.own(base+"pending"))
		return m.ask(ctx, x, x.opts.Limits, first, 1, lookLeast, lookEach, lookMost)
	}
	for i, l := range x.opts.Limits {
		got, err := m.ask(ctx, x, []limit{l}, nil, 0, lookLeastApart, lookEachApart, lookMostApart)
		if err != nil || got.acquiring != acquireRun {
			m.giveBack(ctx, x, x.opts.Limits[:i])
			return got, err
		}
	}
	return acquired{}, nil
}

func (m limiter) ask(ctx context.Context, x *execution, limits []limit, first []string, move int, least, each, most time.Duration) (got acquired, err error) {
	keys, numbers := m.keysOf(x, limits)
	args := append([]any{
		move, x.id, x.gen, x.run, m.member(x.queue, x.task()), x.task(), x.came, msOf(placeLease), msOf(least), msOf(each), msOf(most), msOf(firstCheck),
		m.c.wakeChannel(), m.c.idleWorkers(), x.pool.prefetch.Token(x.task()),
	}, numbers...)
	v, err := m.c.run(ctx, "acquire", slices.Concat(first, keys), args...).Slice()
	if err != nil {
		return got, fmt.Errorf("jobs: acquire limits of job %q: %w", x.id, err)
	}
	r := reply(v)
	got.acquiring, err = verdict("acquire.lua", r.str(0), map[string]acquiring{
		"run": acquireRun, "wait": acquireWait, "cancel": acquireCancel, "stale": acquireStale,
	})
	got.wait = time.Duration(r.num(1)) * time.Millisecond
	for i := 2; i < len(r); i++ {
		m.rouse(ctx, r.str(i))
	}
	return got, err
}

// rouse makes the task of a job pending that was handed a place where scripts
// cannot do so. One that is not parked yet finds the place when it looks.
func (m limiter) rouse(ctx context.Context, member string) {
	length, rest, _ := strings.Cut(member, ":")
	n, err := strconv.Atoi(length)
	if err != nil || n > len(rest) {
		return
	}
	_, queue, _ := strings.Cut(rest[:n], "{")
	queue = strings.TrimSuffix(queue, "}:")
	if err := m.c.inspect.RunTask(queue, rest[n:]); err != nil && !tasks.Gone(err) {
		m.c.log.DebugContext(ctx, "task that was handed a place not found waiting", "task", rest[n:], "error", err)
	}
}

// renew keeps the job's places.
func (m limiter) renew(ctx context.Context, x *execution) {
	for part := range m.parts(x) {
		keys, numbers := m.keysOf(x, part)
		if err := m.c.run(ctx, "renew", keys, append([]any{m.member(x.queue, x.task()), x.run, msOf(placeLease)}, numbers...)...).Err(); err != nil {
			m.c.log.WarnContext(ctx, "place not renewed", "id", x.id, "error", err)
		}
	}
}

// parts are the limits that one script may be about.
func (m limiter) parts(x *execution) func(func([]limit) bool) {
	each := 1
	if m.together(x) {
		each = maxLimits
	}
	return slices.Chunk(x.opts.Limits, each)
}

// release gives the job's places back; what fails expires.
func (m limiter) release(ctx context.Context, x *execution) {
	for part := range m.parts(x) {
		m.releaseSome(ctx, x, part)
	}
}

// giveBack gives back what was taken before another limit refused.
func (m limiter) giveBack(ctx context.Context, x *execution, limits []limit) {
	for _, l := range limits {
		m.releaseSome(ctx, x, []limit{l})
	}
}

func (m limiter) releaseSome(ctx context.Context, x *execution, limits []limit) {
	keys, numbers := m.keysOf(x, limits)
	move := 0
	if m.together(x) {
		move = 1
	}
	args := append([]any{move, m.member(x.queue, x.task()), x.run, msOf(placeLease), m.c.wakeChannel(), m.c.idleWorkers()}, numbers...)
	v, err := m.c.run(ctx, "release", keys, args...).StringSlice()
	if err != nil {
		m.c.log.WarnContext(ctx, "place not released", "id", x.id, "error", err)
	}
	for _, member := range v {
		m.rouse(ctx, member)
	}
}

// keep hands on what ran out, until ctx ends.
func (m limiter) keep(ctx context.Context) {
	if !m.c.single() {
		return // who waits there looks by himself
	}
	tick := time.NewTicker(handoverEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := m.handOver(ctx)
		if err != nil && ctx.Err() == nil {
			m.c.log.WarnContext(ctx, "places of the dead not handed on", "error", err)
		}
	}
}

// handOver hands on what ran out, some limits at a time: each may have a hundred
// jobs go on.
func (m limiter) handOver(ctx context.Context) error {
	for {
		n, err := m.c.run(ctx, "handover", []string{m.c.limitsInUse()}, msOf(placeLease), m.c.wakeChannel(), m.c.idleWorkers(), handoverTogether).Int()
		if err != nil || n < handoverTogether {
			return err
		}
	}
}

// limited takes the job's limits. settled tells that it has to wait instead, or
// has no say; err is the verdict for Asynq then.
func (p *Pool) limited(ctx context.Context, x *execution) (settled bool, err error) {
	got, err := p.client.limits.acquire(ctx, x)
	if err != nil {
		return true, p.again(ctx, x, StateScheduled, unsettledDelay, true, fmt.Errorf("limit: %w", err))
	}
	switch got.acquiring {
	case acquireRun:
		return false, nil
	case acquireCancel:
		return true, p.conclude(ctx, x, StateCancelled, nil, codeCancelled, "cancelled", ErrCancelled)
	case acquireStale:
		return true, p.superseded(ctx, x)
	default:
	}
	if !p.client.limits.together(x) {
		return true, p.again(ctx, x, StateScheduled, got.wait, true, errors.New("limit reached"))
	}
	p.parked.Put(x.task(), struct{}{})
	p.client.metrics.attempts.WithLabelValues(x.metricKind(), string(StateScheduled)).Inc()
	return true, &retryError{err: errors.New("limit reached"), delay: got.wait}
}
