package jobs_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"lastmile/internal/redistest"
	"lastmile/jobs"
	"lastmile/push"
)

// These compare with raw Asynq on the same redis-server in the same run:
//
//	go test -run '^$' -bench . -benchtime 10000x ./jobs/

const benchPayload = 200

type benchArgs struct {
	Pad string `json:"pad"`
	At  int64  `json:"at"`
}

type bench struct {
	server *redistest.Server
	rdb    *redis.Client
	pub    *push.Publisher
	client *jobs.Client
	log    *slog.Logger
	kind   *jobs.Kind[benchArgs, struct{}]
	args   benchArgs
}

func newBench(b *testing.B) *bench {
	b.Helper()
	server := redistest.Start(b, redistest.Config{})
	rdb, _, pub, err := soakPublisher(server.Addr())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = rdb.Close() })
	log := slog.New(slog.DiscardHandler)
	c, err := jobs.NewClient(rdb, pub, jobs.ClientConfig{Logger: log})
	if err != nil {
		b.Fatal(err)
	}
	return &bench{
		server: server, rdb: rdb, pub: pub, client: c, log: log,
		kind: jobs.Define[benchArgs, struct{}]("bench").With(c), args: benchArgs{Pad: strings.Repeat("x", benchPayload)},
	}
}

func (e *bench) raw(b *testing.B, c *asynq.Client) {
	b.Helper()
	payload, err := json.Marshal(benchArgs{e.args.Pad, time.Now().UnixNano()})
	if err != nil {
		b.Error(err)
	}
	if _, err := c.Enqueue(asynq.NewTask("bench", payload)); err != nil {
		b.Error(err)
	}
}

func (e *bench) ours(b *testing.B, opts ...jobs.Option) {
	b.Helper()
	args := e.args
	args.At = time.Now().UnixNano()
	if _, err := e.kind.Enqueue(b.Context(), args, opts...); err != nil {
		b.Error(err)
	}
}

// notify asks for the job's end in a session: each job's own, or one of 1,000.
func (e *bench) notify(i int, how string) jobs.Option {
	if how == "notify-1000" {
		i %= 1000
	}
	return jobs.Notify(e.pub.Session("bench-"+strconv.Itoa(i)), jobs.OnDone("Done"), jobs.OnFailed("Failed"))
}

// meter measures processor time, which a busy machine does not distort.
func (e *bench) meter(b *testing.B) (report func()) {
	b.Helper()
	self := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	us, redis := self(), e.server.CPU(b)
	return func() {
		b.ReportMetric(float64((self()-us).Nanoseconds())/1000/float64(b.N), "cpu-µs/job")
		b.ReportMetric(float64((e.server.CPU(b)-redis).Nanoseconds())/1000/float64(b.N), "redis-cpu-µs/job")
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
	}
}

// spread calls f n times from 50 goroutines.
func spread(n int, f func(i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				f(int(i))
			}
		})
	}
	wg.Wait()
}

func BenchmarkEnqueue(b *testing.B) {
	for _, how := range []string{"raw", "jobs", "notify", "notify-1000"} {
		b.Run(how, func(b *testing.B) {
			e := newBench(b)
			c := asynq.NewClientFromRedisClient(e.rdb)
			b.ReportAllocs()
			b.ResetTimer()
			report := e.meter(b)
			spread(b.N, func(i int) {
				switch how {
				case "raw":
					e.raw(b, c)
				case "jobs":
					e.ours(b)
				default:
					e.ours(b, e.notify(i, how))
				}
			})
			report()
			b.StopTimer()
			e.reportMemory(b)
		})
	}
}

// reportMemory tells what an open job costs in Redis.
func (e *bench) reportMemory(b *testing.B) {
	b.Helper()
	n, err := e.rdb.Info(b.Context(), "memory").Result()
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.SplitSeq(n, "\r\n") {
		if v, ok := strings.CutPrefix(line, "used_memory_dataset:"); ok {
			used, _ := strconv.ParseFloat(v, 64)
			b.ReportMetric(used/float64(b.N), "redisB/job")
		}
	}
}

// work runs n prepared jobs, raw or ours, with 10 at a time.
func (e *bench) work(b *testing.B, raw bool, started func(benchArgs)) (wait func(n int), stop func()) {
	b.Helper()
	var done atomic.Int64
	handle := func(a benchArgs) {
		if started != nil {
			started(a)
		}
		done.Add(1)
	}
	if raw {
		s := asynq.NewServerFromRedisClient(e.rdb, asynq.Config{
			Concurrency: 10, TaskCheckInterval: 20 * time.Millisecond, LogLevel: asynq.FatalLevel,
		})
		err := s.Start(asynq.HandlerFunc(func(_ context.Context, t *asynq.Task) error {
			var a benchArgs
			err := json.Unmarshal(t.Payload(), &a)
			handle(a)
			return err
		}))
		if err != nil {
			b.Fatal(err)
		}
		stop = s.Shutdown
	} else {
		p, err := jobs.NewPool(e.rdb, e.pub, jobs.PoolConfig{ClientConfig: jobs.ClientConfig{Logger: e.log}})
		if err != nil {
			b.Fatal(err)
		}
		e.kind.Handle(p, func(_ context.Context, j *jobs.Job[benchArgs]) (struct{}, error) {
			handle(j.Args)
			return struct{}{}, nil
		})
		ctx, cancel := context.WithCancel(b.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := p.Run(ctx); err != nil {
				b.Error(err)
			}
		})
		stop = func() { cancel(); wg.Wait() }
	}
	return func(n int) {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for done.Load() < int64(n) {
			<-tick.C
		}
	}, stop
}

func BenchmarkWork(b *testing.B) {
	for _, how := range []string{"raw", "jobs", "notify", "notify-1000"} {
		b.Run(how, func(b *testing.B) {
			e := newBench(b)
			c := asynq.NewClientFromRedisClient(e.rdb)
			spread(b.N, func(i int) {
				switch how {
				case "raw":
					e.raw(b, c)
				case "jobs":
					e.ours(b)
				default:
					e.ours(b, e.notify(i, how))
				}
			})
			b.ResetTimer()
			report := e.meter(b)
			wait, stop := e.work(b, how == "raw", nil)
			wait(b.N)
			report()
			b.StopTimer()
			stop()
		})
	}
}

// BenchmarkStart measures from enqueue to the handler's start on an idle queue.
func BenchmarkStart(b *testing.B) {
	for _, how := range []string{"raw", "jobs"} {
		b.Run(how, func(b *testing.B) {
			e := newBench(b)
			c := asynq.NewClientFromRedisClient(e.rdb)
			takes := &scriptCount{sha: e.client.TakeSHA()}
			e.rdb.AddHook(takes)
			var mu sync.Mutex
			var took []time.Duration
			wait, stop := e.work(b, how == "raw", func(a benchArgs) {
				mu.Lock()
				defer mu.Unlock()
				took = append(took, time.Duration(time.Now().UnixNano()-a.At))
			})
			n := min(b.N, 300)
			<-time.After(time.Second) // each queue has been looked at once
			before := takes.n.Load()
			for i := range n {
				<-time.After(time.Duration(10+i%20) * time.Millisecond)
				if how == "raw" {
					e.raw(b, c)
				} else {
					e.ours(b)
				}
				wait(i + 1)
			}
			if how == "jobs" {
				b.ReportMetric(float64(takes.n.Load()-before)/float64(n), "takes/job")
			}
			stop()
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// scriptCount counts the calls of a script.
type scriptCount struct {
	sha string
	n   atomic.Int64
}

func (*scriptCount) DialHook(next redis.DialHook) redis.DialHook { return next }

func (c *scriptCount) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		c.note(cmd)
		return next(ctx, cmd)
	}
}

func (c *scriptCount) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		for _, cmd := range cmds {
			c.note(cmd)
		}
		return next(ctx, cmds)
	}
}

func (c *scriptCount) note(cmd redis.Cmder) {
	if args := cmd.Args(); len(args) > 1 && args[1] == c.sha {
		c.n.Add(1)
	}
}

// BenchmarkIdle counts what a worker without work asks of Redis in 10 seconds.
func BenchmarkIdle(b *testing.B) {
	for _, how := range []string{"raw", "jobs"} {
		b.Run(how, func(b *testing.B) {
			e := newBench(b)
			_, stop := e.work(b, how == "raw", nil)
			<-time.After(2 * time.Second) // started
			commands, cpu, begun := e.commands(b), e.server.CPU(b), time.Now()
			<-time.After(10 * time.Second)
			took := time.Since(begun).Seconds()
			b.ReportMetric((e.commands(b)-commands)/took, "redis-ops/s")
			b.ReportMetric((e.server.CPU(b)-cpu).Seconds()/took*100, "redis-cpu-%")
			b.ReportMetric(0, "ns/op")
			stop()
		})
	}
}

// commands returns how many calls Redis has had, not counting those of scripts.
func (e *bench) commands(b *testing.B) float64 {
	b.Helper()
	n, err := e.rdb.Info(b.Context(), "commandstats").Result()
	if err != nil {
		b.Fatal(err)
	}
	sum := 0.0
	for line := range strings.SplitSeq(n, "\r\n") {
		name, stats, _ := strings.Cut(line, ":calls=")
		calls, _, _ := strings.Cut(stats, ",")
		v, err := strconv.ParseFloat(calls, 64)
		switch strings.TrimPrefix(name, "cmdstat_") {
		case "exists", "rpoplpush", "zrangebyscore": // idle workers call these in scripts only
			continue
		}
		if err == nil {
			sum += v
		}
	}
	return sum
}
