package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel"

	"lastmile/cmd/internal/config"
	"lastmile/cmd/internal/obs"
	"lastmile/devredis"
	"lastmile/internal/service"
)

// run is the program without the process: it returns the exit code.
func run(ctx context.Context, args []string, out, errs io.Writer) int {
	var s settings
	_, code, done := config.Parse(&s, "web", "Serves the Lastmile reference application.", args, out, errs)
	if done {
		return code
	}
	if s.Probe {
		return config.Exit(errs, "web", false, service.Probe(ctx, s.Addr))
	}
	log := obs.NewLogger(errs, s.Format, s.Level)
	redis.SetLogger(obs.RedisLogger(log))
	if err := serve(ctx, &s, log); err != nil {
		log.ErrorContext(ctx, "stopped with an error", "error", err)
		return config.ExitFailed
	}
	log.InfoContext(ctx, "stopped")
	return config.ExitOK
}

// serve runs the program until ctx ends.
func serve(ctx context.Context, s *settings, log *slog.Logger) error {
	client, closeRedis, err := connect(s)
	if err != nil {
		return err
	}
	defer closeRedis()
	reg := obs.NewRegistry(config.Version())
	if err := obs.RegisterRedisPool(reg, "main", client); err != nil {
		return err
	}
	tracer, flush, err := obs.TracerProvider(ctx, s.Endpoint, "lastmile-web", config.Version())
	if err != nil {
		return err
	}
	otel.SetTracerProvider(tracer)
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if err := flush(ctx); err != nil {
			log.WarnContext(ctx, "traces not sent", "error", err)
		}
	}()
	// Listening comes first: a taken port is told before anything else begins.
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", s.Addr)
	if err != nil {
		return fmt.Errorf("listen on %s (--addr): %w", s.Addr, err)
	}
	a, err := newApp(ctx, s, client, reg, log, listener.Addr().String())
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	server := &http.Server{
		Addr: s.Addr, Handler: service.Bodies(obs.Trace(tracer, a.handler)), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	announce(ctx, s, log, listener.Addr(), a.operators)
	web := service.Task{Name: "web server", Run: func(ctx context.Context) error {
		return service.Serve(ctx, server, func() error { return server.Serve(listener) }, s.ShutdownTimeout)
	}}
	return service.Run(a.delayed(ctx, s.DrainDelay, log), a.base, append(a.front, web), a.work)
}

func announce(ctx context.Context, s *settings, log *slog.Logger, addr net.Addr, operators string) {
	mode := "redis"
	if s.embedded() {
		mode = "embedded"
		log.WarnContext(ctx, "redis is embedded: all data dies with this process; use --redis-url to keep it")
	}
	log.InfoContext(ctx, "listening", "url", "http://"+addr.String(), "mode", mode, "version", config.Version(), "config", s)
	if operators != "" {
		log.InfoContext(ctx, "operator's pages open with this link", "url", operators)
	}
}

// delayed returns a context that ends some time after ctx; in between /readyz
// fails and everything else goes on.
func (a *app) delayed(ctx context.Context, delay time.Duration, log *slog.Logger) context.Context {
	laterCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() {
		defer cancel()
		a.health.Drain()
		log.InfoContext(ctx, "stopping", "drain_delay", delay)
		<-time.After(delay)
	})
	return laterCtx
}

// connect returns a client of the Redis that is configured, or of an embedded
// one that only this process can use.
func connect(s *settings) (redis.UniversalClient, func(), error) {
	if !s.embedded() {
		client, err := s.Client()
		if err != nil {
			return nil, nil, err
		}
		return client, func() { _ = client.Close() }, nil // the process ends
	}
	return devredis.Open()
}
