package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/hibiken/asynq"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"lastmile/cmd/internal/control"
	"lastmile/cmd/internal/filestore"
	"lastmile/cmd/internal/journey"
	"lastmile/cmd/internal/obs"
	"lastmile/cmd/internal/profilejob"
	"lastmile/cmd/web/guide"
	"lastmile/cmd/web/home"
	"lastmile/cmd/web/jobspage"
	"lastmile/cmd/web/ops"
	"lastmile/cmd/web/pages"
	"lastmile/cmd/web/plain"
	"lastmile/cmd/web/reports"
	"lastmile/cmd/web/ui"
	"lastmile/docs"
	"lastmile/internal/readiness"
	"lastmile/internal/service"
	"lastmile/jobs"
	"lastmile/jobs/dashboard"
	"lastmile/live"
	"lastmile/push"
	"lastmile/push/pushhttp"
	"lastmile/push/redisstream"
)

// app is the program, wired: what runs below the pages, what runs beside them,
// and the handler of all requests.
type app struct {
	base, front []service.Task
	work        []service.Task // which stops first, while pages are served
	handler     http.Handler
	health      *readiness.Health
	operators   string // a link that opens the operator's pages, when its token is our own
}

// parts are what the pages are made with.
type parts struct {
	settings  *settings
	log       *slog.Logger
	reg       *prometheus.Registry
	client    redis.UniversalClient
	transport *redisstream.Transport
	store     *readiness.Store
	publisher *push.Publisher
	node      *push.Node
	hub       *live.Hub
	readers   *pushhttp.Handler
	jobs      *jobs.Client
	files     *filestore.Store
	ui        *ui.UI
	secret    []byte
	addr      string
}

// newApp wires the program. addr is what it listens on.
func newApp(ctx context.Context, s *settings, client redis.UniversalClient, reg *prometheus.Registry, log *slog.Logger, addr string) (*app, error) {
	p := &parts{settings: s, log: log, reg: reg, client: client, addr: addr}
	if err := p.delivery(ctx); err != nil {
		return nil, err
	}
	var err error
	if p.jobs, err = jobs.NewClient(client, p.publisher, jobs.ClientConfig{Prefix: s.Prefix, Logger: log, Registerer: reg}); err != nil {
		return nil, err
	}
	p.files, err = filestore.New(client, filestore.Config{
		Prefix: s.Prefix, MaxBytes: int64(s.MaxUpload), MaxTotalBytes: int64(s.MaxStored), TTL: s.UploadTTL,
	})
	if err != nil {
		return nil, err
	}
	if p.ui, err = ui.New(log); err != nil {
		return nil, err
	}
	a := &app{health: &readiness.Health{Ping: p.store.Ping, Node: p.node.Healthy, Skew: func() time.Duration { return jobs.ClockSkew(p.jobs) }}}
	a.base = []service.Task{{Name: "mailboxes", Run: p.transport.Run}, {Name: "publisher", Run: p.publisher.Run}, {Name: "node", Run: p.node.Run}}
	a.front = []service.Task{{Name: "hub", Run: p.hub.Run}, {Name: "readers of pushes", Run: p.readers.Run}}
	if s.Worker || s.embedded() {
		pool, err := p.pool()
		if err != nil {
			return nil, err
		}
		a.health.Skew = func() time.Duration { return jobs.ClockSkew(pool.Client()) } // a pool watches by itself
		a.work = []service.Task{{Name: "worker pool", Run: pool.Run}}
	} else {
		a.base = append(a.base, service.Task{Name: "job watchdog", Run: p.jobs.Watch})
	}
	return a, p.routes(a)
}

// delivery makes what pushes travel through.
func (p *parts) delivery(ctx context.Context) error {
	s := p.settings
	var err error
	if p.transport, err = s.Transport(p.client, s.Prefix, p.log, p.reg); err != nil {
		return err
	}
	p.store = readiness.NewStore(p.transport, p.client, p.log)
	if err = readiness.Await(ctx, p.store, 10*time.Second, p.log); err != nil {
		return err
	}
	for _, w := range p.transport.Warnings(ctx) {
		if !s.embedded() {
			p.log.WarnContext(ctx, "redis set-up", "warning", w)
		}
	}
	if p.secret, err = p.transport.Secret(ctx); err != nil {
		return err
	}
	if p.publisher, err = push.NewPublisher(p.transport, push.PublisherConfig{Broker: p.transport.Topics(), Logger: p.log, Registerer: p.reg}); err != nil {
		return err
	}
	if p.node, err = push.NewNode(p.transport, push.NodeConfig{Logger: p.log, Registerer: p.reg}); err != nil {
		return err
	}
	p.hub, err = live.New(live.Deps{Node: p.node, Publisher: p.publisher, States: p.transport.States(), Broker: p.transport.Topics()}, live.Config{
		Secret: p.secret, AllowedOrigins: s.AllowedOrigins, Topics: topics, MaxConns: s.MaxConns, ResumeTTL: s.ResumeTTL,
		DrainTimeout: s.ShutdownTimeout, Dev: s.Dev, Logger: p.log, Registerer: p.reg,
	})
	if err != nil {
		return err
	}
	// The sessions have live pages too: a reader names its actions.
	keys := make([]pushhttp.PublishKey, len(s.PublishKeys))
	for i, key := range s.PublishKeys {
		keys[i].Key = key
	}
	p.readers, err = pushhttp.New(pushhttp.Deps{Node: p.node, Publisher: p.publisher}, pushhttp.Config{
		PublishKeys: keys,
		Secrets:     [][]byte{p.secret}, RequireActions: true, Render: plain.Render(), AllowedOrigins: s.AllowedOrigins,
		DrainTimeout: s.ShutdownTimeout, Logger: p.log, Registerer: p.reg,
	})
	return err
}

// topics allows what the pages subscribe to. Browsers cannot subscribe to
// anything by themselves, so the operator's topic needs no further check.
func topics(who live.Identity, topic string) error {
	if topic == ops.Topic || topic == home.Topic {
		return nil
	}
	return pages.Topics(who, topic)
}

// pool makes the workers of this process. It has a registry of its own: the
// client of the same process counts under the same names.
func (p *parts) pool() (*jobs.Pool, error) {
	pool, err := jobs.NewPool(p.client, p.publisher, jobs.PoolConfig{
		ClientConfig: jobs.ClientConfig{Prefix: p.settings.Prefix, Logger: p.log, Registerer: p.reg},
		Concurrency:  p.settings.Concurrency, DrainTimeout: p.settings.ShutdownTimeout,
	})
	if err != nil {
		return nil, err
	}
	journey.Handle(pool, p.settings.Process)
	return pool, profilejob.Handle(pool, p.files)
}

// routes makes the handler.
func (p *parts) routes(a *app) error {
	s, mux := p.settings, http.NewServeMux()
	public, err := s.publicURL(p.addr)
	if err != nil {
		return err
	}
	guard := newAdmin(s.AdminToken, p.secret)
	if s.AdminToken == "" { // one that is configured is known, and stays out of the log
		a.operators = guard.link(public)
	}
	group := pages.NewGroup()
	err = pages.Register(mux, pages.Deps{
		Hub: p.hub, Publisher: p.publisher, UI: p.ui, Group: group, Secret: p.secret, PublicURL: public, Log: p.log,
	})
	if err != nil {
		return err
	}
	mux.Handle("/push/", p.readers)
	if err := plain.Register(mux, plain.Deps{Readers: p.readers, Publisher: p.publisher, UI: p.ui}); err != nil {
		return err
	}
	if err := reports.Register(mux, reports.Deps{Hub: p.hub, Jobs: p.jobs, Files: p.files, UI: p.ui, Log: p.log, Demo: s.Demo}); err != nil {
		return err
	}
	if err := guide.Register(mux, guide.Deps{Docs: docs.Files, UI: p.ui, Log: p.log}); err != nil {
		return err
	}
	follow, err := p.home(mux)
	if err != nil {
		return err
	}
	operations, view, err := ops.New(ops.Deps{Hub: p.hub, Store: p.transport, Dead: p.transport.DeadLetters(), Queues: p.queues, UI: p.ui, Embedded: s.embedded(), Node: p.node.ID(), Log: p.log})
	if err != nil {
		return err
	}
	mux.Handle("/ops", guard.guard(view))
	list, err := jobspage.New(jobspage.Deps{Hub: p.hub, Jobs: p.jobs, UI: p.ui, Topic: ops.Topic})
	if err != nil {
		return err
	}
	mux.Handle("/ops/jobs", guard.guard(list))
	console, err := dashboard.New(p.client, p.jobs, dashboard.Config{Authorize: func(*http.Request) dashboard.Role {
		return dashboard.Operator // whom the guard lets through
	}})
	if err != nil {
		return err
	}
	mux.Handle("/admin/asynq/", guard.guard(console))
	mux.Handle("/admin/asynq", http.RedirectHandler("/admin/asynq/", http.StatusMovedPermanently))
	a.front = append(a.front, service.Task{Name: "background of pages", Run: group.Run}, service.Task{Name: "operations page", Run: operations.Run},
		service.Task{Name: "first page", Run: follow})
	for _, path := range []string{"GET /admin", "GET /admin/{$}"} {
		mux.Handle(path, http.RedirectHandler("/ops", http.StatusFound))
	}
	mux.HandleFunc("GET /healthz", a.health.Live)
	mux.HandleFunc("GET /readyz", a.health.Ready)
	mux.Handle("GET /metrics", guard.guard(obs.MetricsHandler(p.reg, p.log)))
	guard.registerProfiles(mux)
	p.ui.Register(mux)
	mux.HandleFunc("/", p.ui.NotFound)
	a.handler, err = p.protect(mux)
	return err
}

// home makes the first page.
func (p *parts) home(mux *http.ServeMux) (follow func(context.Context) error, err error) {
	d := home.Deps{Hub: p.hub, Jobs: p.jobs, UI: p.ui, Process: p.settings.Process, Log: p.log}
	if p.settings.Control != "" {
		if d.Control, err = control.New(p.settings.Control); err != nil {
			return nil, err
		}
	}
	return home.Register(mux, d)
}

// protect refuses requests of other sites and tells browsers what pages may do.
func (p *parts) protect(next http.Handler) (http.Handler, error) {
	origins := http.NewCrossOriginProtection()
	for _, o := range p.settings.AllowedOrigins {
		if err := origins.AddTrustedOrigin(o); err != nil {
			return nil, fmt.Errorf("allowed origin: %w", err)
		}
	}
	origins.AddInsecureBypassPattern("POST /hooks/{token}") // its address is the permission
	next = origins.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'self'; frame-ancestors 'none'; img-src 'self' data:")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		next.ServeHTTP(w, r)
	}), nil
}

// queues lists the job queues for the operations page.
func (p *parts) queues(context.Context) ([]ops.Queue, error) {
	inspect := asynq.NewInspectorFromRedisClient(p.client)
	names, err := inspect.Queues()
	if err != nil {
		return nil, fmt.Errorf("list queues: %w", err)
	}
	var queues []ops.Queue
	for _, inAsynq := range names {
		name, ours := p.jobs.QueueOf(inAsynq)
		if !ours {
			continue
		}
		i, err := inspect.GetQueueInfo(inAsynq)
		if err != nil {
			// Known fault: an entry without its task makes the whole queue fail.
			p.log.Warn("queue cannot be inspected", "queue", name, "error", err)
			continue
		}
		queues = append(queues, ops.Queue{
			Name: name, Pending: i.Pending, Active: i.Active, Scheduled: i.Scheduled, Retry: i.Retry, Archived: i.Archived,
			Paused: i.Paused, Latency: i.Latency.Round(time.Millisecond),
		})
	}
	return queues, nil
}
