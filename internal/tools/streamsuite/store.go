package main

import (
	"context"
	"errors"
	"fmt"
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

// server starts a redis-server of its own.
func server(ctx context.Context, dir string) (redis.UniversalClient, func(), error) {
	free, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	addr := free.Addr().String()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, nil, err
	}
	if err := free.Close(); err != nil {
		return nil, nil, err
	}
	cmd := exec.CommandContext(ctx, "redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", dir, "--save", "", "--appendonly", "yes")
	if err := cmd.Start(); err != nil {
		return nil, nil, fmt.Errorf("start redis-server: %w", err)
	}
	client := redis.NewClient(&redis.Options{
		Addr: addr, MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	end := func() {
		_ = client.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it says that it was killed
	}
	for range 100 {
		if err = client.Ping(ctx).Err(); err == nil {
			return client, end, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	end()
	return nil, nil, fmt.Errorf("redis-server does not answer: %w", err)
}

// suite runs the suite on a store.
func suite(ctx context.Context, s store, root, modules, only string) (report, error) {
	dir, err := os.MkdirTemp("", "streamsuite")
	if err != nil {
		return report{}, err
	}
	defer os.RemoveAll(dir)
	client, closeAll, err := s.open(ctx, dir)
	if err != nil {
		return report{}, fmt.Errorf("streamsuite: %s: %w", s.name, err)
	}
	defer closeAll()
	streams, err := redisstore.New(client, redisstore.Config{})
	if err != nil {
		return report{}, err
	}
	handler, err := stream.New(stream.Deps{Store: streams}, stream.Config{
		Authorize: func(*http.Request, stream.Access) error { return nil }, AllowedOrigins: []string{"*"}, MaxWait: wait,
	})
	if err != nil {
		return report{}, err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return report{}, err
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
	r, err := vitest(ctx, root, modules, dir, only,
		"SUITE_URL=http://"+listener.Addr().String(), "SUITE_WAIT_MS="+strconv.FormatInt(wait.Milliseconds(), 10))
	stop()
	_ = web.Close()
	if ended := group.Wait(); err == nil {
		err = ended
	}
	if err != nil {
		return r, fmt.Errorf("streamsuite: %s: %w", s.name, err)
	}
	return r, nil
}
