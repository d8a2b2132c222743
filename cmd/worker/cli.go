package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"lastmile/cmd/internal/config"
	"lastmile/cmd/internal/obs"
	"lastmile/jobs"
	"lastmile/push"
	"lastmile/push/redisstream"
)

// cli is the command line.
type cli struct {
	config.Redis
	config.Push
	config.Log
	config.Trace

	JSON bool `name:"json" env:"LASTMILE_JSON" help:"Print JSON instead of text."`

	Run     runCommand     `cmd:"" help:"Run jobs until a signal comes."`
	Enqueue enqueueCommand `cmd:"" help:"Enqueue a job."`
	Jobs    struct {
		List   jobsList   `cmd:"" help:"List jobs, newest first: all, or those that are asked for."`
		Show   jobsShow   `cmd:"" help:"Show a job."`
		Cancel jobsCancel `cmd:"" help:"Cancel a job, for good."`
		Retry  jobsRetry  `cmd:"" help:"Run a job that has ended once more."`
	} `cmd:"" help:"Look after jobs."`
	Cron struct {
		List   cronList   `cmd:"" help:"List the cron entries, with their last and next times."`
		Run    cronRun    `cmd:"" help:"Enqueue the job of an entry at once."`
		Pause  cronPause  `cmd:"" help:"Have the times of an entry pass without a job."`
		Resume cronResume `cmd:"" help:"End a pause; what has passed is not made up for."`
	} `cmd:"" help:"Look after jobs that run at set times."`
	Dead struct {
		List   deadList   `cmd:"" help:"List dead letters, oldest first."`
		Show   deadShow   `cmd:"" help:"Show a dead letter with its data."`
		Replay deadReplay `cmd:"" help:"Send a dead letter to its session again."`
		Purge  deadPurge  `cmd:"" help:"Remove dead letters for good."`
	} `cmd:"" help:"Look after pushes that were given up."`
}

// Check asks for a Redis: a worker without one would have nothing to do.
func (c *cli) Check() error {
	if c.URL == "" {
		return fmt.Errorf("%w: --redis-url= (REDIS_URL): must name a Redis, such as redis://127.0.0.1:6379/0", config.ErrUsage)
	}
	return nil
}

// run is the program without the process: it returns the exit code.
func run(ctx context.Context, args []string, out, errs io.Writer) int {
	var c cli
	kctx, code, done := config.Parse(&c, "worker", "Runs Lastmile's background jobs and looks after jobs and dead letters.", args, out, errs)
	if done {
		return code
	}
	t, err := open(ctx, &c, out, errs)
	if err == nil {
		kctx.BindTo(ctx, (*context.Context)(nil))
		err = errors.Join(kctx.Run(t), t.client.Close())
	}
	return config.Exit(errs, "worker", err)
}

// tools are what the commands work with.
type tools struct {
	cli       *cli
	log       *slog.Logger
	reg       *prometheus.Registry
	client    redis.UniversalClient
	transport *redisstream.Transport
	store     *config.Store
	publisher *push.Publisher
	out       printer
}

// open connects to Redis.
func open(ctx context.Context, c *cli, out, errs io.Writer) (*tools, error) {
	log := obs.NewLogger(errs, c.Format, c.Level)
	redis.SetLogger(obs.RedisLogger(log))
	t := &tools{cli: c, log: log, reg: obs.NewRegistry(config.Version()), out: printer{out, c.JSON}}
	var err error
	if t.client, err = c.Client(); err != nil {
		return nil, err
	}
	if err := t.connect(ctx); err != nil {
		return nil, errors.Join(err, t.client.Close())
	}
	return t, nil
}

func (t *tools) connect(ctx context.Context) error {
	var err error
	if t.transport, err = t.cli.Transport(t.client, t.cli.Prefix, t.log, t.reg); err != nil {
		return err
	}
	t.store = config.NewStore(t.transport, t.client, t.log)
	if err = config.Await(ctx, t.store, 10*time.Second, t.log); err != nil {
		return err
	}
	t.publisher, err = push.NewPublisher(t.transport, push.PublisherConfig{Logger: t.log, Registerer: t.reg})
	return err
}

// clientConfig is shared by everything that touches jobs.
func (t *tools) clientConfig() jobs.ClientConfig {
	return jobs.ClientConfig{Prefix: t.cli.Prefix, Logger: t.log, Registerer: t.reg}
}

func (t *tools) jobs() (*jobs.Client, error) {
	return jobs.NewClient(t.client, t.publisher, t.clientConfig())
}
