package lastmile

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"lastmile/internal/readiness"
	"lastmile/internal/service"
	"lastmile/jobs"
	"lastmile/live"
	"lastmile/push"
	"lastmile/push/redisstream"
	"lastmile/push/stream/redisstore"
)

// App is an application's process: all parts, and the handler of its requests.
type App struct {
	cfg        Config
	log        *slog.Logger
	client     redis.UniversalClient
	closeRedis func()
	transport  *redisstream.Transport
	publisher  *push.Publisher
	node       *push.Node
	hub        *live.Hub
	pool       *jobs.Pool
	health     *readiness.Health
	streams    *redisstore.Store
	mux        *http.ServeMux
	front      []service.Task // besides the hub
	background []service.Task
	started    atomic.Bool
}

// Redis returns the client that all parts use.
func (a *App) Redis() redis.UniversalClient { return a.client }

// Store returns the store of pushes: its dead letters, states and topics.
func (a *App) Store() *redisstream.Transport { return a.transport }

// Publisher returns what publishes pushes into sessions.
func (a *App) Publisher() *push.Publisher { return a.publisher }

// Hub returns what makes the pages live; see [Page].
func (a *App) Hub() *live.Hub { return a.hub }

// Jobs returns what enqueues jobs, in every role: Kind.With takes it.
func (a *App) Jobs() *jobs.Client { return a.pool.Client() }

// Pool returns what works on jobs: Kind.Handle takes it. With the role [Web] handlers
// may be registered too, and are not called.
func (a *App) Pool() *jobs.Pool { return a.pool }

// Streams returns the store of growing texts and lists, for stream.New and
// stream.Follow. What handlers write by jobs.Stream is in it too, unless
// Config.Jobs.Streams names another one.
func (a *App) Streams() *redisstore.Store { return a.streams }

// Page makes a view, as live.NewView does, and serves it at the pattern, which
// is also its name. All processes that serve the page must register it.
func Page[S any](a *App, pattern string, controller any, initial S, page *template.Template, cfg live.ViewConfig) error {
	view, err := live.NewView(a.hub, pattern, controller, initial, page, cfg)
	if err != nil {
		return err
	}
	a.Handle(pattern, view)
	return nil
}

// Handle serves requests that match the pattern, as http.ServeMux does. GET /healthz
// and GET /readyz are taken: the first is for restarts, the second for a
// proxy's rotation. With the role [Worker] nothing else is served.
func (a *App) Handle(pattern string, h http.Handler) {
	if a.cfg.Role != Worker {
		a.mux.Handle(pattern, h)
	}
}

// Background has run run beside everything else, in every role: it begins with
// Run, and its context ends first, while pages are served and pushes delivered.
// The application stops when it returns before. name is for errors.
func (a *App) Background(name string, run func(ctx context.Context) error) {
	a.background = append(a.background, service.Task{Name: name, Run: run})
}

// ServeHTTP serves the pages and whatever else is registered.
func (a *App) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	service.Bodies(a.mux).ServeHTTP(w, r)
}

// Run does the process's work until ctx ends. Then jobs finish or are given back,
// pages move to other nodes, and what pushes travel through ends last. It returns
// nil after such a stop, and otherwise what failed. Run an App once.
func (a *App) Run(ctx context.Context) (err error) {
	if a.started.Swap(true) {
		return errors.New("lastmile: Run was called before")
	}
	defer a.closeRedis()
	base, front, work := a.tasks()
	if a.cfg.Addr != "" {
		server, err := a.server(ctx)
		if err != nil {
			return err
		}
		front = append(front, server)
	}
	a.log.InfoContext(ctx, "running", "role", string(a.cfg.Role), "prefix", a.cfg.Prefix, "jobs", a.works())
	defer func() { a.log.InfoContext(ctx, "stopped", "error", err) }()
	laterCtx, done := a.delayed(ctx)
	defer done()
	return service.Run(laterCtx, base, front, work)
}

// tasks returns what has to run in this role, in layers: each stands on the one
// before it.
func (a *App) tasks() (base, front, work []service.Task) {
	// What guarantees rest on: the housekeeping of mailboxes, and the publisher,
	// which publishes again what a failover has lost.
	base = []service.Task{{Name: "mailboxes", Run: a.transport.Run}, {Name: "publisher", Run: a.publisher.Run}, {Name: "streams", Run: a.streams.Run}}
	if a.cfg.Role != Worker {
		base = append(base, service.Task{Name: "node", Run: a.node.Run})
		front = append(front, service.Task{Name: "hub", Run: a.hub.Run})
		front = append(front, a.front...)
	}
	if a.works() {
		work = append(work, service.Task{Name: "worker pool", Run: a.pool.Run}) // it is a watchdog too
	} else {
		base = append(base, service.Task{Name: "job watchdog", Run: a.Jobs().Watch})
	}
	return base, front, append(work, a.background...)
}

// works tells whether this process works on jobs. A process for both that has no
// kind of job is one of pages; one that is for jobs alone then fails in Run.
func (a *App) works() bool {
	return a.cfg.Role == Worker || a.cfg.Role == Both && !a.pool.Empty()
}

// server begins to listen.
func (a *App) server(ctx context.Context) (service.Task, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", a.cfg.Addr)
	if err != nil {
		return service.Task{}, fmt.Errorf("lastmile: Config: Addr: %w", err)
	}
	a.log.InfoContext(ctx, "listening", "url", "http://"+listener.Addr().String())
	server := &http.Server{
		Addr: a.cfg.Addr, Handler: a, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelWarn),
	}
	return service.Task{Name: "web server", Run: func(ctx context.Context) error {
		return service.Serve(ctx, server, func() error { return server.Serve(listener) }, a.cfg.DrainTimeout)
	}}, nil
}

// delayed returns a context that ends some time after ctx; in between /readyz
// fails and everything else goes on. done frees what it holds.
func (a *App) delayed(ctx context.Context) (laterCtx context.Context, done func()) {
	laterCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	forget := context.AfterFunc(ctx, func() {
		defer cancel()
		a.health.Drain()
		select {
		case <-time.After(a.cfg.DrainDelay):
		case <-laterCtx.Done():
		}
	})
	return laterCtx, func() { forget(); cancel() }
}
