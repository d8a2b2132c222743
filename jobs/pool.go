package jobs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace"

	"lastmile/jobs/internal/tasks"
	"lastmile/push/stream"
)

// PoolConfig tunes a Pool. The zero value is ready for production.
type PoolConfig struct {
	ClientConfig
	// Concurrency is how many jobs run at a time. Defaults to 10; at most 10,000.
	Concurrency int
	// Queues are the queues to work on with their weights: with
	// {"critical": 6, "default": 3} two of three jobs come from "critical"
	// while both have some. All of a cluster's load on one queue is on one
	// Redis node. Defaults to {"default": 1}, with a warning for each kind that has
	// another queue; at most 1,000.
	Queues map[string]int
	// Strict empties queues of a higher weight before it looks at others.
	Strict bool
	// CheckInterval is how often idle workers look for jobs when they cannot be
	// woken: because Redis forbids PUB/SUB, or Asynq is another one than this
	// package was written for. Each queue costs one Redis call per look. Defaults
	// to 20 milliseconds.
	CheckInterval time.Duration
	// DelayedInterval is how often jobs whose time has come are made ready, if
	// that is to be more often than by the second. Defaults to 1 second.
	DelayedInterval time.Duration
	// Lease is how long a worker may be silent before its jobs are given to others:
	// they run again up to a second after it. A pause that is longer, of the
	// process or its machine, means a second execution; the first has no say any
	// more. Defaults to 5 seconds.
	Lease time.Duration
	// Beat is how often a worker that has jobs renews its leases; a lease must be
	// three beats at least. Defaults to 3/10 of Lease.
	Beat time.Duration
	// DrainTimeout is how long a stopping pool waits for running handlers
	// before it ends their contexts and gives the jobs back. Defaults to 20
	// seconds.
	DrainTimeout time.Duration
	// Grace is how long a handler may keep running after its context ended
	// before the pool goes on without it. Defaults to 2 seconds.
	Grace time.Duration
	// VersionSkew is for how long a job that this worker's version cannot run (its
	// kind is not registered here, or its arguments cannot be read) is left to
	// another worker before it fails. That uses no attempt. The time is counted from
	// the first look of any worker. Defaults to 1 hour; at least a second.
	VersionSkew time.Duration
	// Work wraps every handler, the first one outermost.
	Work []Middleware[[]byte]
	// Streams keeps what handlers write with Stream. Defaults to none.
	Streams stream.Store
	// TracerProvider makes a span for each execution, a child of the span that
	// enqueued the job. Defaults to otel.GetTracerProvider().
	TracerProvider trace.TracerProvider
}

const (
	maxConcurrency = 10_000
	maxQueues      = 1000
)

func (c *PoolConfig) fill() error {
	if c.Concurrency < 0 || c.Lease < 0 || c.Beat < 0 || c.CheckInterval < 0 || c.DelayedInterval < 0 || c.DrainTimeout < 0 || c.Grace < 0 || c.VersionSkew < 0 {
		return errors.New("jobs: PoolConfig: no setting may be negative")
	}
	if c.DelayedInterval != 0 && c.DelayedInterval < 10*time.Millisecond {
		return errors.New("jobs: PoolConfig: DelayedInterval must be at least 10 milliseconds")
	}
	if c.VersionSkew != 0 && c.VersionSkew < time.Second {
		return errors.New("jobs: PoolConfig: VersionSkew must be at least a second")
	}
	if c.Concurrency > maxConcurrency {
		return fmt.Errorf("jobs: PoolConfig: Concurrency is %d, at most %d are allowed", c.Concurrency, maxConcurrency)
	}
	if len(c.Queues) > maxQueues {
		return fmt.Errorf("jobs: PoolConfig: Queues has %d queues, at most %d are allowed", len(c.Queues), maxQueues)
	}
	c.Lease = cmp.Or(c.Lease, 5*time.Second)
	c.Beat = cmp.Or(c.Beat, c.Lease*3/10)
	if c.Beat < 10*time.Millisecond || c.Lease < 3*c.Beat {
		return fmt.Errorf("jobs: PoolConfig: Beat %v must be at least 10 milliseconds and at most a third of Lease %v", c.Beat, c.Lease)
	}
	for q, w := range c.Queues {
		if strings.TrimSpace(q) == "" || w <= 0 {
			return fmt.Errorf("jobs: PoolConfig: queue %q needs a name and a positive weight, not %d", q, w)
		}
	}
	c.Concurrency = cmp.Or(c.Concurrency, 10)
	c.CheckInterval = cmp.Or(c.CheckInterval, 20*time.Millisecond)
	c.DelayedInterval = cmp.Or(c.DelayedInterval, time.Second)
	c.DrainTimeout = cmp.Or(c.DrainTimeout, 20*time.Second)
	c.Grace = cmp.Or(c.Grace, 2*time.Second)
	c.VersionSkew = cmp.Or(c.VersionSkew, time.Hour)
	if c.TracerProvider == nil {
		c.TracerProvider = otel.GetTracerProvider()
	}
	if len(c.Queues) == 0 {
		c.Queues = map[string]int{"default": 1}
	}
	return nil
}

type handlerFunc func(ctx context.Context, x *execution) ([]byte, error)

// handling is what is registered for a kind.
type handling struct {
	// read reads the arguments before the run.
	read func(x *execution) *misfitError
	run  handlerFunc
}

// Pool works on jobs. It also watches over open jobs of all workers, so that a
// crashed one is noticed. Register handlers with [Kind.Handle], then call Run.
type Pool struct {
	client   *Client
	cfg      PoolConfig
	log      *slog.Logger
	handlers map[string]handling
	kinds    map[string]*definition
	setupErr error
	started  atomic.Bool

	draining chan struct{} // closed: finish what runs
	aborting chan struct{} // closed: give back what runs
	givingUp chan struct{} // closed: leave what cannot be stored to others

	mu       sync.Mutex
	running  map[string]map[*execution]struct{} // by job ID
	busy     int                                // executions
	idle     chan struct{}                      // closed when busy falls to zero; nil until the pool drains
	pending  tasks.Pending[*completion]
	parked   tasks.Pending[struct{}] // tasks that wait for a limit, until Asynq comes for them
	prefetch *tasks.Prefetch
	misfits  misfits
	alone    alone

	adoptions   []*adoption
	adoptedDown chan struct{} // closed: their servers have ended
	waker       *waker        // nil when the pool polls
	handOuts    atomic.Int64
	keeping     chan struct{}             // whoever renews late leases has its place
	kept        atomic.Pointer[time.Time] // when all leases were renewed
	named       bool                      // the configuration names queues
	mark        string                    // what all tasks of this application carry
	name        string                    // of this worker, for people
	tracer      trace.Tracer
}

// NewPool checks cfg and fills its defaults; pub is a *push.Publisher. It starts
// nothing and does not own rdb, from whose options it makes a client of its own while it runs.
func NewPool(rdb redis.UniversalClient, pub Publisher, cfg PoolConfig) (*Pool, error) {
	named := len(cfg.Queues) > 0
	if err := cfg.fill(); err != nil {
		return nil, err
	}
	c, err := NewClient(rdb, pub, cfg.ClientConfig)
	if err != nil {
		return nil, err
	}
	for q := range cfg.Queues {
		c.queues.Store(q, struct{}{})
	}
	p := &Pool{
		keeping: make(chan struct{}, 1),
		client:  c, cfg: cfg, log: c.log,
		handlers: make(map[string]handling), kinds: make(map[string]*definition),
		draining: make(chan struct{}), aborting: make(chan struct{}), givingUp: make(chan struct{}),
		running:     make(map[string]map[*execution]struct{}),
		named:       named,
		mark:        tasks.Mark(c.prefix),
		name:        workerName(),
		adoptedDown: make(chan struct{}),
		prefetch:    tasks.NewPrefetch(cfg.Concurrency, len(cfg.Queues) == 1),
		tracer:      cfg.TracerProvider.Tracer("lastmile/jobs"),
	}
	p.waker = newWaker(p)
	p.alone.p = p
	p.misfits.p, p.misfits.log, p.misfits.count = p, c.log, c.metrics.misfits
	return p, nil
}

// Client returns the pool's client, which its handlers' contexts carry.
func (p *Pool) Client() *Client { return p.client }

// Empty tells that nothing is registered: there is no work, and Run would fail.
func (p *Pool) Empty() bool { return p.setupErr == nil && len(p.handlers)+len(p.adoptions) == 0 }

func (p *Pool) register(d *definition, h handling) {
	switch {
	case p.started.Load():
		p.cfg.Logger.Error("kind registered after the pool's start: its jobs are not worked on here", "kind", d.name)
	case d.err != nil:
		p.setupErr = errors.Join(p.setupErr, d.err)
	case p.kinds[d.name] != nil:
		p.setupErr = errors.Join(p.setupErr, fmt.Errorf("%w: kind %q registered twice", ErrInvalid, d.name))
	default:
		p.kinds[d.name], p.handlers[d.name] = d, h
		if _, here := p.cfg.Queues[d.base.queue]; !here && !p.named {
			p.log.Warn("jobs of a kind wait for another pool: this one works on the queue \"default\" unless PoolConfig.Queues says otherwise", "kind", d.name,
				"queue", d.base.queue)
		}
	}
}

// Run works until ctx ends, whose values the handlers' contexts carry. Then it takes no more jobs, closes Job.Draining,
// waits DrainTimeout for the running handlers, ends the contexts of the rest
// and gives their jobs back without counting the attempt. It returns nil after
// such a stop, and an error when the pool is set up wrongly. Run a pool once.
func (p *Pool) Run(ctx context.Context) error {
	if p.setupErr != nil {
		return fmt.Errorf("jobs: run pool: %w", p.setupErr)
	}
	if p.Empty() {
		return fmt.Errorf("jobs: run pool: %w: no kind is registered", ErrInvalid)
	}
	if p.started.Swap(true) {
		return fmt.Errorf("jobs: run pool: %w: it has been run before", ErrInvalid)
	}
	rdb := tasks.Connect(p.client.rdb, p.cfg.Concurrency)
	if rdb == nil {
		return fmt.Errorf("jobs: run pool: %w: needs a *redis.Client or *redis.ClusterClient, not %T", ErrInvalid, p.client.rdb)
	}
	defer func() { _ = rdb.Close() }() // nothing is in flight by now
	hook := new(tasks.Hook)
	rdb.AddHook(hook)
	worker := asynq.NewServerFromRedisClient(p.server(rdb, hook), p.serverConfig(ctx))

	var wg sync.WaitGroup
	helpersCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer wg.Wait()
	defer stop()
	wg.Go(func() { p.client.watchdog.watch(helpersCtx) })
	wg.Go(func() { ear{p}.listen(helpersCtx) })
	wg.Go(func() { ear{p}.hearAsynq(helpersCtx) })
	if p.waker != nil {
		wg.Go(func() { p.waker.tend(helpersCtx) })
		wg.Go(func() { p.waker.passOn(helpersCtx) })
		wg.Go(func() { holder{p}.keepLeases(helpersCtx) })
	}
	wg.Go(func() { p.keepPending(helpersCtx) })
	wg.Go(func() { p.client.limits.keep(helpersCtx) })

	stopAdopted, err := p.startAdopted(ctx, rdb)
	if err != nil {
		return err
	}
	if len(p.handlers) > 0 {
		err = worker.Start(asynq.HandlerFunc(p.process))
	}
	if err == nil {
		p.client.metrics.slots.Add(float64(p.cfg.Concurrency))
		<-ctx.Done()
		p.client.metrics.slots.Sub(float64(p.cfg.Concurrency))
	}
	close(p.draining)
	if len(p.handlers) > 0 && err == nil {
		worker.Stop() // first: it asks again and again by now
	}
	stopAdopted()
	if len(p.handlers) > 0 && err == nil {
		if p.waker != nil {
			p.waker.leave(ctx)
		}
		holder{p}.giveBack(ctx, 0)
	}
	p.drain()
	worker.Shutdown()
	<-p.adoptedDown
	if err != nil {
		return fmt.Errorf("jobs: start server: %w", err)
	}
	p.storePending(ctx, 0)
	return nil
}

// server is the client of Asynq's server.
func (p *Pool) server(rdb redis.UniversalClient, hook *tasks.Hook) *tasks.Server {
	s := &tasks.Server{
		UniversalClient: rdb, Silent: p.client.channel("none"), Known: &p.client.known, Prefetch: p.prefetch, Pace: hook,
		Take: holder{p}.take, Finish: p.finishPending, Own: p.client.own,
		Call: func(ctx context.Context, sha string, keys []string, args []any) *redis.Cmd {
			return p.client.combine.do(ctx, call{sha: sha, keys: keys, args: args})
		},
	}
	if p.waker != nil {
		s.Wake, s.Requeued, s.Soon = p.waker.Wake, p.waker.rouse, p.waker.expect
		s.Guarded = holder{p}.guarded
	}
	return s
}

// drain waits for the executions, at first for all, then for those that give
// up.
func (p *Pool) drain() {
	idle := make(chan struct{})
	p.mu.Lock()
	if p.busy == 0 {
		close(idle)
	} else {
		p.idle = idle
	}
	p.mu.Unlock()
	timer := time.NewTimer(p.cfg.DrainTimeout)
	defer timer.Stop()
	select {
	case <-idle:
	case <-timer.C:
	}
	// Also for a task that Asynq had taken and that enters only now.
	close(p.aborting)
	// What they came to may still have to be stored.
	last := time.AfterFunc(settleTimeout, func() { close(p.givingUp) })
	<-idle
	if last.Stop() {
		close(p.givingUp)
	}
}

func (p *Pool) serverConfig(ctx context.Context) asynq.Config {
	baseCtx := withClient(context.WithoutCancel(ctx), p.client)
	queues := make(map[string]int, len(p.cfg.Queues))
	for q, weight := range p.cfg.Queues {
		queues[p.client.inAsynq(q)] = weight
	}
	check := p.cfg.CheckInterval
	if p.waker != nil {
		check = 1 // it waits where it is woken
	}
	return asynq.Config{
		Concurrency: p.cfg.Concurrency, Queues: queues, StrictPriority: p.cfg.Strict,
		TaskCheckInterval: check, DelayedTaskCheckInterval: p.cfg.DelayedInterval,
		JanitorInterval: max(janitorEvery, time.Duration(len(queues))*janitorEach),
		BaseContext:     func() context.Context { return baseCtx },
		IsFailure: func(err error) bool {
			r, ok := errors.AsType[*retryError](err)
			return !ok || r.failure
		},
		RetryDelayFunc: retryDelay(p.prefetch, &p.client.clock),
		Logger:         asynqLogger{p.log}, LogLevel: asynq.DebugLevel,
		ShutdownTimeout: p.cfg.Grace + settleTimeout,
	}
}

const (
	// janitorEvery is how often Asynq removes expired completed tasks, and
	// janitorEach the least for each queue: it costs a call for each.
	janitorEvery = 8 * time.Second
	janitorEach  = 2 * time.Second
)
