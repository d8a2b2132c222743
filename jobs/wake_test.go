package jobs_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"lastmile/internal/patience"
	"lastmile/internal/redistest"
	"lastmile/jobs"
	"lastmile/jobs/jobstest"
)

// TestIdleWorkerWakes: in fake time nothing but a wake can start a job at once:
// every look by the clock would show as time that has passed.
func TestIdleWorkerWakes(t *testing.T) {
	t.Parallel()
	for _, queues := range []int{1, 20} {
		t.Run(fmt.Sprint(queues, " queues"), func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, k *jobstest.Kit) {
				t.Helper()
				kind := define()
				cfg := jobs.PoolConfig{CheckInterval: time.Hour, Queues: map[string]int{}}
				for i := range queues {
					cfg.Queues["q"+strconv.Itoa(i)] = i + 1
				}
				started := make(chan time.Time, 1)
				k.Start(cfg, func(p *jobs.Pool) {
					kind.Handle(p, func(context.Context, *jobs.Job[args]) (result, error) {
						started <- time.Now()
						return result{1}, nil
					})
				})
				time.Sleep(1300 * time.Millisecond) // between two sweeps
				for i := range 3 * queues {
					opts := []jobs.Option{jobs.Queue("q" + strconv.Itoa(i%queues))}
					if i%2 == 0 {
						opts = append(opts, notify(k))
					}
					at := time.Now()
					if _, err := kind.With(k.Client).Enqueue(t.Context(), args{"a"}, opts...); err != nil {
						t.Fatal(err)
					}
					if took := (<-started).Sub(at); took > 100*time.Millisecond { // what a wake passed on takes
						t.Fatalf("job %d started after %v of fake time", i, took)
					}
				}
				k.Drain()
			})
		})
	}
}

// TestLostWakes: work that nobody was told of starts by the next sweep: of a
// stock client, after the store was emptied, in a queue that was paused.
func TestLostWakes(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(t *testing.T, k *jobstest.Kit, enqueue func()){
		"the store forgot who waits": func(t *testing.T, k *jobstest.Kit, enqueue func()) {
			t.Helper()
			k.Redis.FlushAll(t.Context())
			enqueue()
		},
		"the worker's channel is gone": func(t *testing.T, k *jobstest.Kit, enqueue func()) {
			t.Helper()
			k.Redis.Del(t.Context(), "lm:jobs:idle:asynq:{lm.default}:pending")
			enqueue()
		},
		"the queue was paused": func(t *testing.T, k *jobstest.Kit, enqueue func()) {
			t.Helper()
			if err := k.Inspector().PauseQueue("lm.default"); err != nil {
				t.Fatal(err)
			}
			enqueue()
			time.Sleep(10 * time.Second)
			if err := k.Inspector().UnpauseQueue("lm.default"); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, k *jobstest.Kit) {
				t.Helper()
				kind := define()
				started := make(chan time.Time, 1)
				k.Start(jobs.PoolConfig{CheckInterval: time.Hour}, func(p *jobs.Pool) {
					kind.Handle(p, func(context.Context, *jobs.Job[args]) (result, error) {
						started <- time.Now()
						return result{1}, nil
					})
				})
				time.Sleep(1300 * time.Millisecond)
				lose(t, k, func() { enqueue(t, k, kind) })
				at := time.Now()
				if took := (<-started).Sub(at); took > 1100*time.Millisecond {
					t.Errorf("started after %v of fake time", took)
				}
				k.Drain()
			})
		})
	}
}

// TestIdleWorkerAsksLittle counts what a worker without work asks of Redis; what
// scripts do inside does not count.
func TestIdleWorkerAsksLittle(t *testing.T) {
	t.Parallel()
	for _, queues := range []int{1, 500} {
		t.Run(fmt.Sprint(queues, " queues"), func(t *testing.T) {
			t.Parallel()
			counted := new(traffic)
			options := *redistest.Start(t, redistest.Config{}).Client(t).Options()
			options.Dialer = counted.dial
			rdb := newRedis(t, &options)
			a := newApp(t, rdb, "p", "default", quick)
			weights := map[string]int{}
			for i := range queues {
				weights["q"+strconv.Itoa(i)] = 1
			}
			pool, err := jobs.NewPool(rdb, a.pub, jobs.PoolConfig{ClientConfig: jobs.ClientConfig{Prefix: "p"}, Queues: weights})
			if err != nil {
				t.Fatal(err)
			}
			a.kind.Handle(pool, quick)
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			wg.Go(func() { _ = pool.Run(ctx) })
			defer wg.Wait()
			defer cancel()
			if _, err := a.kind.With(pool.Client()).Enqueue(t.Context(), args{"a"}, jobs.ID("first"), jobs.Queue("q0")); err != nil {
				t.Fatal(err)
			}
			patience.Until(t, "it works", func() bool {
				i, err := pool.Client().Get(t.Context(), "first")
				return err == nil && i.State == jobs.StateCompleted
			})
			tick := time.NewTicker(time.Second)
			defer tick.Stop()
			// At its start it looks once into each queue, however long a busy machine
			// takes for that.
			for calm, last, waited := 0, counted.n.Load(), 0; calm < 3 && waited < 300; waited++ {
				<-tick.C
				n := counted.n.Load()
				if calm++; n-last > 10 {
					calm = 0
				}
				last = n
			}
			before, at := counted.n.Load(), time.Now()
			for range 40 {
				<-tick.C
			}
			n, took := counted.n.Load()-before, time.Since(at).Seconds()
			t.Logf("%d commands in %.1f s", n, took)
			if float64(n) > 5*took {
				t.Errorf("%d commands in %.1f s, at most 5 a second are allowed", n, took)
			}
		})
	}
}

// traffic counts the commands that clients send.
type traffic struct{ n atomic.Int64 }

func (c *traffic) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	return &countedConn{Conn: conn, c: c}, err
}

// countedConn parses what is written: "*<n>" and then n times "$<length>" and as
// many bytes.
type countedConn struct {
	net.Conn
	c   *traffic
	buf []byte
}

func (c *countedConn) Write(p []byte) (int, error) {
	c.buf = append(c.buf, p...)
	for {
		line, rest, whole := bytes.Cut(c.buf, []byte("\r\n"))
		if !whole {
			break
		}
		n, err := strconv.Atoi(string(line[1:]))
		if err != nil {
			return 0, err
		}
		if line[0] == '*' {
			c.c.n.Add(1)
		}
		if line[0] != '*' {
			if len(rest) < n+2 {
				break
			}
			rest = rest[n+2:]
		}
		c.buf = rest
	}
	return c.Conn.Write(p)
}

// TestWorkersWithoutPubSub: Redis lets the user neither publish nor subscribe.
// Jobs are enqueued and run all the same, and it is said once.
func TestWorkersWithoutPubSub(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Config{Args: []string{"--acl-pubsub-default", "resetchannels"}})
	admin := server.Client(t)
	if err := admin.Do(t.Context(), "ACL", "SETUSER", "app", "on", "nopass", "~*", "+@all", "resetchannels").Err(); err != nil {
		t.Fatal(err)
	}
	options := *admin.Options()
	options.Username, options.Password = "app", "any"
	rdb := newRedis(t, &options)
	a := newApp(t, rdb, "p", "default", quick)
	a.work()
	for i := range 20 {
		a.wait(a.enqueue(strconv.Itoa(i)), jobs.StateCompleted)
		a.wait(a.enqueue(strconv.Itoa(i), jobs.Unique(time.Hour)), jobs.StateCompleted)
	}
	if metric(t, a.seen, "jobs_polling") != 1 {
		t.Error("the worker does not say that it polls")
	}
	second, err := jobs.NewPool(rdb, a.pub, jobs.PoolConfig{ClientConfig: jobs.ClientConfig{Prefix: "p", Logger: slog.New(slog.DiscardHandler), Registerer: a.seen}})
	if err != nil {
		t.Fatal(err)
	}
	a.kind.Handle(second, quick)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- second.Run(ctx) }()
	patience.Until(t, "both pools say that they poll", func() bool { return metric(t, a.seen, "jobs_polling") == 2 })
	stop()
	if err := <-done; err != nil || metric(t, a.seen, "jobs_polling") != 1 {
		t.Errorf("one has gone (%v): %v poll, want 1", err, metric(t, a.seen, "jobs_polling"))
	}
	if n := a.log.count("not let this user publish or subscribe"); n != 1 {
		t.Errorf("it is said %d times", n)
	}
}

// TestStockClient: tasks that Asynq's own client makes pending, in our form, wait
// for the sweep at most.
func TestStockClient(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define()
		var mu sync.Mutex
		var late []time.Duration
		k.Start(jobs.PoolConfig{CheckInterval: time.Hour}, func(p *jobs.Pool) {
			kind.Handle(p, func(_ context.Context, j *jobs.Job[args]) (result, error) {
				at, err := time.Parse(time.RFC3339Nano, j.Args.Name)
				mu.Lock()
				defer mu.Unlock()
				late = append(late, time.Since(at))
				return result{}, err
			})
		})
		stock := asynq.NewClientFromRedisClient(k.Redis)
		for i := range 10 {
			time.Sleep(1370 * time.Millisecond)
			id := "stock" + strconv.Itoa(i)
			headers := map[string]string{"lm-app": "lm", "lm-id": id, "lm-codec": "json", "lm-plain": strconv.FormatInt(time.Now().UnixMilli(), 10) + ` {"t":60000000000,"n":3}`}
			payload := fmt.Appendf(nil, `{"name":%q}`, time.Now().Format(time.RFC3339Nano))
			if _, err := stock.Enqueue(asynq.NewTaskWithHeaders("test.work", payload, headers), asynq.Queue("lm.default"), asynq.TaskID(id)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(3 * time.Second)
		mu.Lock()
		defer mu.Unlock()
		if len(late) != 10 || slices.Max(late) > 1100*time.Millisecond {
			t.Errorf("%d started, after %v", len(late), late)
		}
	})
}

// TestLeaseBeginsWithTheTask: a worker that has waited for longer than Asynq's
// lease lasts is given a whole one with the job that it waited for.
func TestLeaseBeginsWithTheTask(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define()
		start(k, kind, func(ctx context.Context, j *jobs.Job[args]) (result, error) {
			select {
			case <-ctx.Done():
				return result{}, ctx.Err()
			case <-time.After(time.Minute):
				return result{j.Attempt}, nil
			}
		})
		time.Sleep(5 * time.Minute)
		if end := wantEnd(t, k, enqueue(t, k, kind), jobs.StateCompleted); end.Event.Attempt != 1 {
			t.Errorf("attempt = %d, want 1", end.Event.Attempt)
		}
	})
}
