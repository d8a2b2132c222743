package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"

	"lastmile/cmd/internal/config"
	"lastmile/cmd/internal/filestore"
	"lastmile/cmd/internal/journey"
	"lastmile/cmd/internal/obs"
	"lastmile/cmd/internal/profilejob"
	"lastmile/internal/service"
	"lastmile/jobs"
)

// runCommand is "worker run".
type runCommand struct {
	Concurrency  int            `name:"concurrency" env:"LASTMILE_CONCURRENCY" default:"10" help:"Jobs that run at a time."`
	Queues       map[string]int `name:"queues" env:"LASTMILE_QUEUES" default:"default=1" mapsep:"," placeholder:"NAME=WEIGHT,..." help:"Queues to work on, with their weights. default=1 when not given."`
	Kinds        []string       `name:"kinds" env:"LASTMILE_KINDS" placeholder:"KIND" help:"Kinds of jobs to run, all when not given. Kinds left out need queues that this worker does not work on: it fails the jobs that it does not know."`
	Strict       bool           `name:"strict" env:"LASTMILE_STRICT" help:"Empty queues of a higher weight before looking at others."`
	DrainTimeout time.Duration  `name:"shutdown-timeout" env:"LASTMILE_SHUTDOWN_TIMEOUT" default:"20s" help:"Time that running jobs get at a stop before they are given back."`
	Addr         string         `name:"worker-addr" env:"LASTMILE_WORKER_ADDR" placeholder:"HOST:PORT" help:"Address of /healthz, /readyz and /metrics. None when empty."`
	Process      string         `name:"process" env:"LASTMILE_PROCESS" hidden:"" help:"What the first page calls this process."`
	Probe        bool           `name:"probe" help:"Ask the worker that listens on --worker-addr whether it is ready, and exit with 0 or 1."`
}

// check is no Check: the flags of commands that are not given have no defaults.
func (c *runCommand) check() error {
	if err := config.Range("concurrency", c.Concurrency, 1, 1000); err != nil {
		return err
	}
	if err := config.Range("shutdown-timeout", c.DrainTimeout, time.Second, time.Hour); err != nil {
		return err
	}
	if c.Probe && c.Addr == "" {
		return fmt.Errorf("%w: --worker-addr=: must be given with --probe, as the worker has it", config.ErrUsage)
	}
	for _, name := range c.Kinds {
		if kinds := []string{profilejob.Kind.Name(), journey.Kind.Name()}; !slices.Contains(kinds, name) {
			return fmt.Errorf("%w: --kinds=%s: must be of %s", config.ErrUsage, name, strings.Join(kinds, ", "))
		}
	}
	for name, weight := range c.Queues {
		if err := config.Range("queues "+name, weight, 1, 1000); err != nil {
			return err
		}
	}
	return nil
}

// Run works until ctx ends.
func (c *runCommand) Run(ctx context.Context, t *tools) error {
	if err := c.check(); err != nil {
		return err
	}
	if c.Probe {
		return service.Probe(ctx, c.Addr)
	}
	tracer, flush, err := obs.TracerProvider(ctx, t.cli.Endpoint, "lastmile-worker", config.Version())
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if err := flush(ctx); err != nil {
			t.log.WarnContext(ctx, "traces not sent", "error", err)
		}
	}()
	otel.SetTracerProvider(tracer)
	pool, err := c.pool(t)
	if err != nil {
		return err
	}
	var health []service.Task // which outlives the pool's drain
	var draining atomic.Bool
	defer context.AfterFunc(ctx, func() { draining.Store(true) })()
	if c.Addr != "" {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", c.Addr)
		if err != nil {
			return fmt.Errorf("%w: --worker-addr=%s: %w", config.ErrUsage, c.Addr, err)
		}
		c.Addr = listener.Addr().String()
		health = append(health, t.server(listener, &draining, pool.Client()))
	}
	for _, w := range t.transport.Warnings(ctx) {
		t.log.WarnContext(ctx, "redis set-up", "warning", w)
	}
	t.log.InfoContext(ctx, "working", "redis", t.cli.Redacted(), "prefix", t.cli.Prefix, "queues", c.Queues, "concurrency", c.Concurrency,
		"addr", c.Addr, "version", config.Version())
	defer t.log.InfoContext(ctx, "stopped")
	defer context.AfterFunc(ctx, func() {
		t.log.InfoContext(ctx, "stopping", "shutdown_timeout", c.DrainTimeout.String(), "hint", "another signal ends the process at once")
	})()
	return service.Run(ctx, []service.Task{{Name: "mailboxes", Run: t.transport.Run}, {Name: "publisher", Run: t.publisher.Run}}, health,
		[]service.Task{{Name: "worker pool", Run: pool.Run}})
}

func (c *runCommand) pool(t *tools) (*jobs.Pool, error) {
	if err := obs.RegisterRedisPool(t.reg, "main", t.client); err != nil {
		return nil, err
	}
	files, err := filestore.New(t.client, filestore.Config{Prefix: t.cli.Prefix})
	if err != nil {
		return nil, err
	}
	pool, err := jobs.NewPool(t.client, t.publisher, jobs.PoolConfig{
		ClientConfig: t.clientConfig(), Concurrency: c.Concurrency, Queues: c.Queues, Strict: c.Strict, DrainTimeout: c.DrainTimeout,
	})
	if err != nil {
		return nil, err
	}
	if name := profilejob.Kind.Name(); len(c.Kinds) == 0 || slices.Contains(c.Kinds, name) {
		if err := profilejob.Handle(pool, files); err != nil {
			return nil, err
		}
	}
	if name := journey.Kind.Name(); len(c.Kinds) == 0 || slices.Contains(c.Kinds, name) {
		journey.Handle(pool, c.Process)
	}
	return pool, nil
}

// server answers an orchestrator and a metrics collector.
func (t *tools) server(listener net.Listener, draining *atomic.Bool, client *jobs.Client) service.Task {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", obs.MetricsHandler(t.reg, t.log))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
		defer cancel()
		err := t.store.Ping(ctx)
		switch {
		case draining.Load():
			err = errors.New("draining")
		case err != nil:
			err = fmt.Errorf("redis cannot be used: %w", err)
		default:
			err = service.CheckSkew(jobs.ClockSkew(client))
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ok\n")
	})
	server := &http.Server{
		Addr: listener.Addr().String(), Handler: mux, ReadHeaderTimeout: 10 * time.Second,
		ErrorLog: slog.NewLogLogger(t.log.Handler(), slog.LevelWarn),
	}
	return service.Task{Name: "health server", Run: func(ctx context.Context) error {
		return service.Serve(ctx, server, func() error { return server.Serve(listener) }, 5*time.Second)
	}}
}
