package bench_test

import (
	"context"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"lastmile/internal/redistest"
	"lastmile/jobs"
	"lastmile/push"
	"lastmile/push/redisstream"
)

const (
	// batch is how many jobs one round works off.
	batch = 3000
	// workers is the concurrency of both sides.
	workers = 10
)

// BenchmarkJobs compares jobs/s of one worker process with raw Asynq's, with a
// handler that does nothing, round by round on the same Redis.
func BenchmarkJobs(b *testing.B) {
	server := redistest.Start(b, redistest.Config{AOF: "everysec"})
	client := func() *redis.Client {
		c := redis.NewClient(&redis.Options{Addr: server.Addr(), Protocol: 2})
		b.Cleanup(func() { _ = c.Close() })
		return c
	}
	shared := client() // by pushes and jobs, as in the programs
	transport := must(redisstream.New(shared, redisstream.Config{Logger: quiet()}))(b)
	publisher := must(push.NewPublisher(transport, push.PublisherConfig{Logger: quiet()}))(b)
	var ours, raw, silent time.Duration
	for range b.N {
		raw += rawRound(b, client())
		silent += ourRound(b, shared, publisher, false)
		ours += ourRound(b, shared, publisher, true)
	}
	rate := func(d time.Duration) float64 { return float64(batch*b.N) / d.Seconds() }
	b.ReportMetric(rate(raw), "asynq-jobs/s")
	b.ReportMetric(rate(silent), "jobs/s")
	b.ReportMetric(rate(ours), "notified-jobs/s")
	b.ReportMetric(rate(silent)/rate(raw), "ratio")
	b.ReportMetric(0, "ns/op")
}

// rawRound works off a batch by Asynq alone.
func rawRound(b *testing.B, rdb *redis.Client) time.Duration {
	b.Helper()
	tasks := asynq.NewClientFromRedisClient(rdb)
	for range batch {
		if _, err := tasks.EnqueueContext(b.Context(), asynq.NewTask("raw", []byte(`{"value":"x"}`)), asynq.Queue("raw")); err != nil {
			b.Fatal(err)
		}
	}
	done := newCountdown(batch)
	server := asynq.NewServerFromRedisClient(rdb, asynq.Config{
		Concurrency: workers, Queues: map[string]int{"raw": 1}, TaskCheckInterval: 20 * time.Millisecond, LogLevel: asynq.FatalLevel,
	})
	start := time.Now()
	if err := server.Start(asynq.HandlerFunc(func(context.Context, *asynq.Task) error {
		done.tick()
		return nil
	})); err != nil {
		b.Fatal(err)
	}
	<-done.zero
	took := time.Since(start)
	server.Shutdown()
	return took
}

// ourRound works off a batch through the jobs package, with or without a
// session that is told of each end.
func ourRound(b *testing.B, rdb *redis.Client, publisher *push.Publisher, notify bool) time.Duration {
	b.Helper()
	kind := jobs.Define[echoArgs, echoResult]("bench.noop")
	pool := must(jobs.NewPool(rdb, publisher, jobs.PoolConfig{ClientConfig: jobs.ClientConfig{Logger: quiet()}, Concurrency: workers}))(b)
	done := newCountdown(batch)
	kind.Handle(pool, func(context.Context, *jobs.Job[echoArgs]) (echoResult, error) {
		done.tick()
		return echoResult{}, nil
	})
	bound := kind.With(pool.Client())
	for i := range batch {
		var opts []jobs.Option
		if notify {
			opts = append(opts, jobs.Notify(oneOf(publisher, i), jobs.OnDone("Show")))
		}
		if _, err := bound.Enqueue(b.Context(), echoArgs{Value: "x"}, opts...); err != nil {
			b.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(b.Context())
	var running sync.WaitGroup
	start := time.Now()
	running.Go(func() {
		if err := pool.Run(ctx); err != nil {
			b.Errorf("pool: %v", err)
		}
	})
	<-done.zero
	took := time.Since(start)
	cancel()
	running.Wait()
	return took
}

// oneOf spreads over many sessions: a mailbox holds 1,000.
func oneOf(p *push.Publisher, n int) push.Session {
	return p.Session(sessionName(n))
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// countdown closes zero at the n-th tick.
type countdown struct {
	left atomic.Int64
	zero chan struct{}
}

func newCountdown(n int64) *countdown {
	c := &countdown{zero: make(chan struct{})}
	c.left.Store(n)
	return c
}

func (c *countdown) tick() {
	if c.left.Add(-1) == 0 {
		close(c.zero)
	}
}

func sessionName(n int) string { return "bench-" + strconv.Itoa(n%pushSessions) }
