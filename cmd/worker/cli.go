package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/alecthomas/kong"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"lastmile/cmd/internal/config"
	"lastmile/cmd/internal/journey"
	"lastmile/cmd/internal/obs"
	"lastmile/cmd/internal/profilejob"
	"lastmile/internal/readiness"
	"lastmile/internal/terminal"
	"lastmile/jobs"
	"lastmile/jobs/jobscmd"
	"lastmile/push"
	"lastmile/push/redisstream"
)

// cli is the command line.
type cli struct {
	config.Redis `group:"Redis:"`
	config.Push  `group:"Pushes:"`
	config.Log   `group:"Log and traces:"`
	config.Trace `group:"Log and traces:"`
	config.About

	JSON bool `name:"json" env:"LASTMILE_JSON" help:"Print JSON instead of text."`

	Run runCommand `cmd:"" help:"Run jobs until a signal comes."`
	jobscmd.Commands
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

// about is the head of the help.
const about = `Runs Lastmile's background jobs, and looks after jobs and dead letters.

Every command needs a Redis (--redis-url or REDIS_URL). Examples:

    worker run
    worker jobs list --state=failed --created-since=24h
    worker jobs retry --state=failed --kind=profile
    worker dead list --reason=expired

It exits with 0, with 1 when the work has failed, and with 2 when the command is wrong.`

// run is the program without the process: it returns the exit code.
func run(ctx context.Context, args []string, out, errs io.Writer) int {
	var c cli
	kctx, code, done := config.Parse(&c, "worker", about, args, out, errs)
	if done {
		return code
	}
	t, err := open(ctx, &c, out, errs)
	if err == nil {
		kctx.BindTo(ctx, (*context.Context)(nil))
		err = errors.Join(t.run(kctx), t.client.Close())
	}
	return config.Exit(errs, "worker", c.JSON, err)
}

// tools are what the commands work with.
type tools struct {
	cli       *cli
	log       *slog.Logger
	reg       *prometheus.Registry
	client    redis.UniversalClient
	transport *redisstream.Transport
	store     *readiness.Store
	publisher *push.Publisher
	out       terminal.Printer
}

// open connects to Redis.
func open(ctx context.Context, c *cli, out, errs io.Writer) (*tools, error) {
	log := obs.NewLogger(errs, c.Format, c.Level)
	redis.SetLogger(obs.RedisLogger(log))
	t := &tools{cli: c, log: log, reg: obs.NewRegistry(config.Version()), out: terminal.New(out, c.JSON)}
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
	t.store = readiness.NewStore(t.transport, t.client, t.log)
	if err = readiness.Await(ctx, t.store, 10*time.Second, t.log); err != nil {
		return err
	}
	t.publisher, err = push.NewPublisher(t.transport, push.PublisherConfig{Logger: t.log, Registerer: t.reg})
	return err
}

func (t *tools) clientConfig() jobs.ClientConfig {
	return jobs.ClientConfig{Prefix: t.cli.Prefix, Logger: t.log, Registerer: t.reg}
}

// known are the kinds of jobs that this program runs and enqueues.
func known() []jobscmd.Kind {
	return []jobscmd.Kind{jobscmd.Of(profilejob.Kind, profilejob.Bindings()...), jobscmd.Of(journey.Kind, journey.Bindings()...)}
}

// run runs the command.
func (t *tools) run(kctx *kong.Context) error {
	client, err := jobs.NewClient(t.client, t.publisher, t.clientConfig())
	if err != nil {
		return err
	}
	kctx.Bind(&jobscmd.Config{Client: client, Session: t.publisher.Session, Kinds: known(), Out: t.out.W, JSON: t.out.JSON})
	if err = kctx.Run(t); errors.Is(err, jobscmd.ErrUsage) {
		err = fmt.Errorf("%w: %w", config.ErrUsage, err)
	}
	return err
}
