package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"golang.org/x/sync/errgroup"

	"lastmile/devredis"
	"lastmile/push/stream"
	"lastmile/push/stream/redisstore"
)

// store is a kind of Redis that the suite runs on.
type store struct {
	name string
	open func(ctx context.Context, dir string) (redis.UniversalClient, func(), error)
}

func memory(context.Context, string) (redis.UniversalClient, func(), error) { return devredis.Open() }

func real(ctx context.Context, dir string) (redis.UniversalClient, func(), error) {
	s, err := newServer(ctx, dir)
	if err != nil {
		return nil, nil, err
	}
	return s.client, s.end, nil
}

// server is a redis-server with an append-only file.
type server struct {
	client *redis.Client
	args   []string
	cmd    *exec.Cmd
}

func newServer(ctx context.Context, dir string) (*server, error) {
	free, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	addr := free.Addr().String()
	_, port, err := net.SplitHostPort(addr)
	if err = errors.Join(err, free.Close()); err != nil {
		return nil, err
	}
	s := &server{
		client: redis.NewClient(&redis.Options{
			Addr: addr, MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		}),
		args: []string{"--port", port, "--bind", "127.0.0.1", "--dir", dir, "--save", "", "--appendonly", "yes", "--appendfsync", "always"},
	}
	return s, s.start(ctx)
}

// start starts the process and waits until it answers.
func (s *server) start(ctx context.Context) error {
	s.cmd = exec.CommandContext(ctx, "redis-server", s.args...) //nolint:gosec // arguments of ours
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("start redis-server: %w", err)
	}
	var err error
	for range 100 {
		if err = s.client.Ping(ctx).Err(); err == nil {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("redis-server does not answer: %w", err)
}

func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait() // it says that it was killed
}

func (s *server) restart(ctx context.Context) error {
	s.kill()
	return s.start(ctx)
}

func (s *server) end() {
	_ = s.client.Close()
	s.kill()
}

// suite runs the suite on a store.
func suite(ctx context.Context, s store, root, modules, only string) (r report, err error) {
	dir, err := os.MkdirTemp("", "streamsuite")
	if err != nil {
		return r, err
	}
	defer os.RemoveAll(dir)
	client, closeAll, err := s.open(ctx, dir)
	if err != nil {
		return r, fmt.Errorf("streamsuite: %s: %w", s.name, err)
	}
	defer closeAll()
	err = serve(ctx, client, func(ctx context.Context, _ stream.Store, url string) error {
		r, err = vitest(ctx, root, modules, dir, only, "SUITE_URL="+url, "SUITE_WAIT_MS="+strconv.FormatInt(wait.Milliseconds(), 10))
		return err
	})
	if err != nil {
		return r, fmt.Errorf("streamsuite: %s: %w", s.name, err)
	}
	return r, nil
}

// serve has the handler serve until do is done.
func serve(ctx context.Context, client redis.UniversalClient, do func(ctx context.Context, store stream.Store, url string) error) error {
	streams, err := redisstore.New(client, redisstore.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	handler, err := stream.New(stream.Deps{Store: streams}, stream.Config{
		Authorize: func(*http.Request, stream.Access) error { return nil }, AllowedOrigins: []string{"*"}, MaxWait: wait,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	web := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	runCtx, stop := context.WithCancel(ctx)
	var group errgroup.Group
	group.Go(func() error { return streams.Run(runCtx) })
	group.Go(func() error { return handler.Run(runCtx) })
	group.Go(func() error {
		if err := web.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	err = do(ctx, streams, "http://"+listener.Addr().String())
	stop()
	_ = web.Close()
	return errors.Join(err, group.Wait())
}
