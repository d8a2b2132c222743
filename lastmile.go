// Package lastmile makes an application of the parts: pages (package live), jobs
// (package jobs) and what joins them (package push), on one Redis.
//
//	err := lastmile.Run(ctx, lastmile.Config{RedisURL: url, Addr: ":8080", Setup: func(app *lastmile.App) error {
//		Count.Handle(app.Pool(), count)
//		return lastmile.Page(app, "/", &Page{Count.With(app.Jobs())}, State{}, page, live.ViewConfig{})
//	}})
//
// It holds no mechanism of its own: whoever needs another arrangement wires the
// parts, each of which can be used alone.
package lastmile

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"lastmile/internal/readiness"
	"lastmile/internal/redisconn"
	"lastmile/jobs"
	"lastmile/live"
	"lastmile/push"
	"lastmile/push/redisstream"
	"lastmile/push/stream/redisstore"
)

// Role is what a process does for the application.
type Role string

// The roles. All processes may be of the same program.
const (
	// Both serves pages and works on jobs. It is the default.
	Both Role = "both"
	// Web serves pages; the jobs are worked on elsewhere.
	Web Role = "web"
	// Worker works on jobs; the pages are served elsewhere.
	Worker Role = "worker"
)

// Config tunes an App. It needs a Redis; everything else has a default that is
// ready for production.
type Config struct {
	// RedisURL names the Redis: redis://, rediss:// (TLS), unix://,
	// redis+cluster:// (more nodes as ?addr=) or redis+sentinel://
	// (?master_name=).
	RedisURL string
	// Redis is a client to use in place of a URL. It stays the caller's.
	Redis redis.UniversalClient
	// Development opens a Redis for a process that is told of none, such as
	// devredis.Open. What is in it dies with the process, as the log says. Without it
	// New fails where neither RedisURL nor Redis is set.
	Development func() (client redis.UniversalClient, closeAll func(), err error)
	// Prefix begins every key, and so separates applications that share a
	// Redis. All processes of an application need the same. Defaults to
	// push.DefaultPrefix.
	Prefix string

	// Role is what this process does. Defaults to Both.
	Role Role
	// Setup registers pages and jobs; it is called at the end of New. They can
	// be registered between New and Run just as well.
	Setup func(app *App) error
	// Addr is the address that Run serves on, host:port. Defaults to none: then an
	// App of pages is an http.Handler for a server of the caller's, which
	// should stop before Run's context ends.
	Addr string

	// StartTimeout is how long New waits for a Redis that does not answer yet.
	// Defaults to 10 seconds.
	StartTimeout time.Duration
	// DrainDelay is the time between the failing of /readyz and the stop, for a
	// proxy to notice. Defaults to none.
	DrainDelay time.Duration
	// DrainTimeout is how long requests, pages and jobs under way get at a
	// stop. Defaults to 20 seconds.
	DrainTimeout time.Duration
	// Logger defaults to slog.Default().
	Logger *slog.Logger
	// Registerer receives the metrics of all parts. Defaults to none.
	Registerer prometheus.Registerer

	// Store, Publisher, Node, Live and Jobs tune the parts. A logger, a registerer
	// and a timeout for draining that they do not name are those above. The
	// prefix is always the one above. Live.Secret defaults to one that the
	// application's processes share by their Redis.
	Store     redisstream.Config
	Publisher push.PublisherConfig
	Node      push.NodeConfig
	Live      live.Config
	Jobs      jobs.PoolConfig
}

// fill checks the configuration and sets the parts' defaults.
func (c *Config) fill() error {
	c.Role = cmp.Or(c.Role, Both)
	switch {
	case c.Role != Both && c.Role != Web && c.Role != Worker:
		return fmt.Errorf("lastmile: Config: Role is %q, not %q, %q or %q", c.Role, Both, Web, Worker)
	case c.RedisURL != "" && c.Redis != nil:
		return errors.New("lastmile: Config: RedisURL and Redis are both set")
	case c.RedisURL == "" && c.Redis == nil && c.Development == nil:
		return errors.New("lastmile: Config: there is no Redis: set RedisURL or Redis, or in development Development to devredis.Open")
	case c.embedded() && c.Role != Both:
		return fmt.Errorf("lastmile: Config: a process with the role %q needs a Redis that others reach too: set RedisURL or Redis", c.Role)
	case c.Store.Prefix != "" || c.Jobs.Prefix != "":
		return errors.New("lastmile: Config: a part's own Prefix is set: set Config.Prefix, for all of them")
	case c.StartTimeout < 0 || c.DrainDelay < 0 || c.DrainTimeout < 0:
		return errors.New("lastmile: Config: no time may be negative")
	}
	c.Prefix = cmp.Or(c.Prefix, push.DefaultPrefix)
	c.Store.Prefix, c.Jobs.Prefix = c.Prefix, c.Prefix
	c.StartTimeout = cmp.Or(c.StartTimeout, 10*time.Second)
	c.DrainTimeout = cmp.Or(c.DrainTimeout, 20*time.Second)
	c.Live.DrainTimeout = cmp.Or(c.Live.DrainTimeout, c.DrainTimeout)
	c.Jobs.DrainTimeout = cmp.Or(c.Jobs.DrainTimeout, c.DrainTimeout)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	for _, log := range []**slog.Logger{&c.Store.Logger, &c.Publisher.Logger, &c.Node.Logger, &c.Live.Logger, &c.Jobs.Logger} {
		*log = cmp.Or(*log, c.Logger)
	}
	for _, reg := range []*prometheus.Registerer{&c.Store.Registerer, &c.Publisher.Registerer, &c.Node.Registerer, &c.Live.Registerer, &c.Jobs.Registerer} {
		if *reg == nil {
			*reg = c.Registerer
		}
	}
	return nil
}

// embedded tells that the process brings its own Redis.
func (c *Config) embedded() bool { return c.RedisURL == "" && c.Redis == nil }

// New connects to Redis, waits until it answers and wires the parts. It starts
// nothing that Run does not end, but only Run ends it: call Run unless New fails.
func New(ctx context.Context, cfg Config) (*App, error) {
	if err := cfg.fill(); err != nil {
		return nil, err
	}
	a := &App{cfg: cfg, log: cfg.Logger, mux: http.NewServeMux(), closeRedis: func() {}}
	if err := a.connect(); err != nil {
		return nil, err
	}
	err := a.wire(ctx)
	if err == nil && cfg.Setup != nil {
		err = cfg.Setup(a)
	}
	if err != nil {
		a.closeRedis()
		return nil, err
	}
	return a, nil
}

// Run is New and [App.Run] in one, for a program that has a Setup. It serves pages
// on 127.0.0.1:8080 unless Addr says otherwise.
func Run(ctx context.Context, cfg Config) error {
	if cfg.Role != Worker {
		cfg.Addr = cmp.Or(cfg.Addr, "127.0.0.1:8080")
	}
	app, err := New(ctx, cfg)
	if err != nil {
		return err
	}
	return app.Run(ctx)
}

// connect makes the client, unless it is the caller's.
func (a *App) connect() (err error) {
	switch {
	case a.cfg.Redis != nil:
		a.client = a.cfg.Redis
	case a.cfg.RedisURL != "":
		if a.client, err = redisconn.Open(a.cfg.RedisURL); err != nil {
			return fmt.Errorf("lastmile: Config: RedisURL: %w", err)
		}
		a.closeRedis = func() { _ = a.client.Close() } // nothing is in flight by now
	default:
		if a.client, a.closeRedis, err = a.cfg.Development(); err != nil {
			return fmt.Errorf("lastmile: open a Redis for development: %w", err)
		}
	}
	return nil
}

// wire makes the parts.
func (a *App) wire(ctx context.Context) error {
	cfg := &a.cfg
	if cfg.embedded() {
		a.log.WarnContext(ctx, "redis is embedded, for development: all data dies with this process, and no other process can share it")
	}
	transport, err := redisstream.New(a.client, cfg.Store)
	if err != nil {
		return err
	}
	a.transport = transport
	store := readiness.NewStore(transport, a.client, a.log)
	if err := readiness.Await(ctx, store, cfg.StartTimeout, a.log); err != nil {
		return fmt.Errorf("lastmile: %w", err)
	}
	if !cfg.embedded() {
		for _, w := range transport.Warnings(ctx) {
			a.log.WarnContext(ctx, "redis set-up", "warning", w)
		}
	}
	if len(cfg.Live.Secret) == 0 {
		if cfg.Live.Secret, err = transport.Secret(ctx); err != nil {
			return fmt.Errorf("lastmile: the secret of the application's processes: %w", err)
		}
	}
	if cfg.Publisher.Broker == nil {
		cfg.Publisher.Broker = transport.Topics()
	}
	if a.publisher, err = push.NewPublisher(transport, cfg.Publisher); err != nil {
		return err
	}
	if a.node, err = push.NewNode(transport, cfg.Node); err != nil {
		return err
	}
	a.hub, err = live.New(live.Deps{Node: a.node, Publisher: a.publisher, States: transport.States(), Broker: transport.Topics()}, cfg.Live)
	if err != nil {
		return err
	}
	if a.streams, err = redisstore.New(a.client, redisstore.Config{Prefix: cfg.Prefix + ":stream", Logger: a.log, Registerer: cfg.Store.Registerer}); err != nil {
		return err
	}
	if cfg.Jobs.Streams == nil {
		cfg.Jobs.Streams = a.streams
	}
	if a.pool, err = jobs.NewPool(a.client, a.publisher, cfg.Jobs); err != nil {
		return err
	}
	a.health = &readiness.Health{Ping: store.Ping, Skew: func() time.Duration { return jobs.ClockSkew(a.pool.Client()) }}
	if cfg.Role != Worker {
		a.health.Node = a.node.Healthy
	}
	a.mux.HandleFunc("GET /healthz", a.health.Live)
	a.mux.HandleFunc("GET /readyz", a.health.Ready)
	return nil
}
