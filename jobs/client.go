package jobs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"lastmile/jobs/internal/tasks"
	"lastmile/push"
)

// Publisher stores pushes; *push.Publisher is one.
type Publisher interface {
	// Publish stores a push: once for each ID.
	Publish(ctx context.Context, m push.Message) (push.Receipt, error)
}

// joiner is a publisher whose pushes can be stored within other scripts, as
// those of a *push.Publisher can be.
type joiner interface {
	PublishVia(ctx context.Context, m push.Message, store func(context.Context, push.Appender, push.Message) (push.Receipt, error)) (push.Receipt, error)
}

// ClientConfig tunes a Client. The zero value is ready for production.
type ClientConfig struct {
	// Prefix begins every Redis key, channel and queue of the package, and so
	// separates applications that share a Redis. All clients and pools of an
	// application need the same. It must hold neither braces nor ":jobs:".
	// Defaults to push.DefaultPrefix.
	Prefix string
	// KeepTasks is how long Asynq shows completed tasks in its dashboard. It
	// costs a quarter of the throughput; the job's own record is kept by
	// Retention anyway. Defaults to 0, which keeps none.
	KeepTasks time.Duration
	// Sharded says that keys lie on several servers though the client is one
	// for a single server: behind a proxy, say. Then a job costs more calls,
	// each of which stays in one slot. Defaults to whether the client is
	// anything but a *redis.Client.
	Sharded bool
	// Timeout bounds one Enqueue. Defaults to 10 seconds.
	Timeout time.Duration
	// Middleware wraps the storing of every job, the first one outermost; also
	// of steps, which are stored when the job before them has ended. A step
	// refused with ErrInvalid is dropped, with another error tried again.
	Middleware []Middleware[Handle]
	// Logger defaults to slog.Default().
	Logger *slog.Logger
	// Registerer receives the jobs_* metrics. Defaults to none.
	Registerer prometheus.Registerer
}

func (c *ClientConfig) fill() error {
	if c.KeepTasks < 0 || c.Timeout < 0 {
		return errors.New("jobs: ClientConfig: no setting may be negative")
	}
	c.Prefix = cmp.Or(c.Prefix, push.DefaultPrefix)
	c.Timeout = cmp.Or(c.Timeout, 10*time.Second)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	return nil
}

// Client enqueues jobs and looks after them. It is safe for concurrent use.
type Client struct {
	*store
	pub     Publisher
	asynq   *asynq.Client
	inspect *asynq.Inspector
	cfg     ClientConfig
	log     *slog.Logger
	metrics metrics
	known   tasks.Known
	tasks   *tasks.Queues

	limits   limiter
	notify   notifier
	watchdog watchdog

	actions sync.Map // context of an action -> *atomic.Int64
	queues  sync.Map // queue name -> struct{}
	foreign foreigners
	denied  denial
	options optionCache
	clock   clock
	dests   destCache
}

// NewClient checks cfg and fills its defaults; pub is a *push.Publisher. It
// starts nothing and does not own rdb. rdb may be a single server, a cluster or a
// Sentinel client. Jobs with a session cost less when the publisher's transport
// was made with the very same one.
func NewClient(rdb redis.UniversalClient, pub Publisher, cfg ClientConfig) (*Client, error) {
	if rdb == nil || pub == nil {
		return nil, errors.New("jobs: NewClient: needs a Redis client and a publisher")
	}
	if err := cfg.fill(); err != nil {
		return nil, err
	}
	s, err := newStore(rdb, cfg.Prefix, cfg.Sharded)
	if err != nil {
		return nil, fmt.Errorf("jobs: NewClient: %w", err)
	}
	m, err := newMetrics(cfg.Registerer)
	if err != nil {
		return nil, fmt.Errorf("jobs: register metrics: %w", err)
	}
	c := &Client{
		store: s, pub: pub, cfg: cfg, log: cfg.Logger, metrics: m, known: tasks.Probe(),
		inspect: asynq.NewInspectorFromRedisClient(rdb),
	}
	c.tasks = &tasks.Queues{Redis: rdb, Inspect: c.inspect, Names: &c.known.Names}
	c.clock = clock{rdb: rdb, log: cfg.Logger, gauge: m.skew, asking: make(chan struct{}, 1)}
	c.denied.log, c.denied.channels = cfg.Logger, cfg.Prefix+":jobs:*"
	c.foreign = foreigners{log: cfg.Logger, count: m.foreign}
	c.limits, c.notify, c.watchdog = limiter{c}, notifier{c}, watchdog{c}
	c.asynq = asynq.NewClientFromRedisClient(enqueuer{sharing{rdb, s.combine}, c})
	m.unknown.Set(float64(len(c.known.Unknown())))
	if unknown := c.known.Unknown(); len(unknown) > 0 {
		c.log.Warn("this Asynq is another one than jobs was written for: jobs cost more calls", "unknown", unknown)
	}
	return c, nil
}

// AsynqQueue returns the name under which Asynq, its inspector and its console
// know a queue of this application: "lm.default" for "default".
func (c *Client) AsynqQueue(queue string) string { return c.inAsynq(queue) }

// QueueOf returns the queue of this application that Asynq knows under a name;
// ours is false for a queue of another.
func (c *Client) QueueOf(asynqQueue string) (queue string, ours bool) { return c.fromAsynq(asynqQueue) }

type clientKey struct{}

// withClient returns a context whose Enqueue calls use the client.
func withClient(ctx context.Context, c *Client) context.Context {
	return context.WithValue(ctx, clientKey{}, c)
}

func clientOf(ctx context.Context) *Client {
	c, _ := ctx.Value(clientKey{}).(*Client)
	return c
}

// Crontab is for package cron: where it lists the entries of the application.
func (c *Client) Crontab() (rdb redis.UniversalClient, key string) { return c.rdb, c.crontab() }

// Get returns what is known of a job, or ErrNotFound.
//
// A plain job (no session, no ID, uniqueness, limits or steps asked for) that
// has neither ended nor run for some seconds nor reported anything is known
// only to Asynq: Started is zero then, and Attempt counts what Asynq counted.
func (c *Client) Get(ctx context.Context, id string) (Info, error) {
	r, err := c.load(ctx, id)
	if errors.Is(err, ErrNotFound) {
		var i Info
		if i, err = plainInfo(c, id); !errors.Is(err, ErrNotFound) {
			return i, err
		}
		r, err = c.load(ctx, id) // it may have ended meanwhile
	}
	if err != nil {
		return Info{}, err
	}
	return r.Info, nil
}

// ForSession returns the session's jobs, newest first: those that are open, and
// those that ended within their retention. The list holds the newest 200.
func ForSession(ctx context.Context, c *Client, s push.Session) ([]Info, error) {
	return c.list(ctx, s.ID(), maxListed)
}

// Cancel ends a job in every state, for good: when it returns nil the job is
// cancelled, or a worker has it and will end it as cancelled, whatever its
// handler returns. The handler's context ends with the cause ErrCancelled, at
// once, or within five seconds when the message is lost. It returns ErrEnded
// when the job was over before, and ErrNotFound when there is none. Repeating
// it is safe.
func (c *Client) Cancel(ctx context.Context, id string) error {
	found, err := c.askCancel(ctx, id)
	if err == nil && found.cancelling == cancelGone {
		if err := c.adoptFound(ctx, id); err != nil {
			return err
		}
		found, err = c.askCancel(ctx, id)
	}
	if err != nil {
		return err
	}
	switch found.cancelling {
	case cancelGone:
		return fmt.Errorf("%w: %q", ErrNotFound, id)
	case cancelUndelivered:
		if err := c.notify.deliver(ctx, id); err != nil {
			return err
		}
		fallthrough
	case cancelOver:
		if found.state != StateCancelled {
			return fmt.Errorf("%w: %q is %s", ErrEnded, id, found.state)
		}
		return nil
	case cancelSignal:
		c.signal(ctx, id)
		return nil
	default:
		return c.cancelIdle(ctx, id, found.gen, found.run)
	}
}

func (c *Client) askCancel(ctx context.Context, id string) (cancelled, error) {
	r, err := c.reply(ctx, "cancel", id, ms(c.clock.now(ctx)))
	if err != nil {
		return cancelled{}, err
	}
	return parseCancelled(r)
}

// signal tells workers to look whether the job was cancelled. The heartbeat
// finds it too, so a lost message costs seconds.
func (c *Client) signal(ctx context.Context, id string) {
	if err := c.rdb.Publish(ctx, c.cancel(), id).Err(); err != nil {
		c.log.WarnContext(ctx, "cancel message not sent", "id", id, "error", err)
	}
}

// cancelIdle ends a job that no worker has.
func (c *Client) cancelIdle(ctx context.Context, id string, gen int, run int64) error {
	rec, err := c.load(ctx, id)
	if err != nil {
		return err
	}
	rec.Gen, rec.run = gen, run // as they were when the cancellation was asked for
	err = c.end(ctx, rec, ending{state: StateCancelled, code: codeCancelled, err: "cancelled"})
	if err != nil {
		return err
	}
	err = c.inspect.DeleteTask(c.taskOf(rec))
	if err != nil && !tasks.Gone(err) {
		// A worker that gets it finds it ended and drops it; one that has a
		// plain job has to be told.
		c.signal(ctx, id)
		c.log.DebugContext(ctx, "cancelled task stays queued", "id", id, "error", err)
	}
	return nil
}

// Retry opens a job that is over again, as its next generation, with all its
// attempts and the same arguments. It returns ErrOpen when the job is not over
// and ErrNotFound when there is none. The generation ends with its own event.
func (c *Client) Retry(ctx context.Context, id string) error {
	rec, err := c.load(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return retryPlain(c, id)
	}
	if err != nil {
		return err
	}
	return retryRecord(ctx, c, rec)
}

// retryRecord opens the next generation of the very one that rec is of.
func retryRecord(ctx context.Context, c *Client, rec *record) error {
	if rec.awaitsTask() { // Redis refused it when the generation was opened
		return enqueueAwaited(ctx, c, rec)
	}
	if !rec.over() {
		return fmt.Errorf("%w: %q is %s", ErrOpen, rec.ID, rec.State)
	}
	if rec.raw != "" {
		return retryAdopted(c, rec)
	}
	if rec.outbox {
		if err := c.notify.deliver(ctx, rec.ID); err != nil {
			return err
		}
	}
	gen, err := c.reopen(ctx, rec, nil, nil, "")
	if err != nil {
		return err
	}
	if gen <= 0 {
		return fmt.Errorf("%w: %q was opened by somebody else", ErrOpen, rec.ID)
	}
	return nil
}
