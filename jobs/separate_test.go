package jobs_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/redis/go-redis/v9"

	"lastmile/internal/patience"
	"lastmile/internal/redistest"
	"lastmile/jobs"
	"lastmile/push"
	"lastmile/push/redisstream"
)

// app is an application that shares a Redis with others.
type app struct {
	t      *testing.T
	client *jobs.Client
	pool   *jobs.Pool
	kind   *jobs.Kind[args, result]
	store  *redisstream.Transport
	pub    *push.Publisher
	log    *syncBuffer
	seen   *prometheus.Registry

	mu  sync.Mutex
	ran []string // names of the arguments
}

// syncBuffer is a log that goroutines write.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) count(text string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Count(s.b.String(), text)
}

// newApp makes the application of a prefix; its worker runs jobs by h.
func newApp(t *testing.T, rdb redis.UniversalClient, prefix, queue string, h handler) *app {
	t.Helper()
	a := &app{t: t, log: new(syncBuffer), seen: prometheus.NewRegistry()}
	log := slog.New(slog.NewTextHandler(a.log, nil))
	var err error
	if a.store, err = redisstream.New(rdb, redisstream.Config{Prefix: prefix, Logger: log}); err != nil {
		t.Fatal(err)
	}
	if a.pub, err = push.NewPublisher(a.store, push.PublisherConfig{Logger: log}); err != nil {
		t.Fatal(err)
	}
	a.pool, err = jobs.NewPool(rdb, a.pub, jobs.PoolConfig{
		ClientConfig: jobs.ClientConfig{Prefix: prefix, Logger: log, Registerer: a.seen}, Queues: map[string]int{queue: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	a.client = a.pool.Client()
	a.kind = define(jobs.Queue(queue)).With(a.client)
	a.kind.Handle(a.pool, func(ctx context.Context, j *jobs.Job[args]) (result, error) {
		a.mu.Lock()
		a.ran = append(a.ran, j.Args.Name)
		a.mu.Unlock()
		return h(ctx, j)
	})
	return a
}

// work runs the application's worker until the test ends.
func (a *app) work() {
	ctx, cancel := context.WithCancel(a.t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := a.pool.Run(ctx); err != nil {
			a.t.Errorf("Run: %v", err)
		}
	})
	a.t.Cleanup(func() { cancel(); wg.Wait() })
}

func (a *app) enqueue(name string, opts ...jobs.Option) string {
	a.t.Helper()
	h, err := a.kind.Enqueue(a.t.Context(), args{name}, opts...)
	if err != nil {
		a.t.Fatalf("Enqueue: %v", err)
	}
	return h.ID
}

func (a *app) state(id string) jobs.State {
	info, err := a.client.Get(a.t.Context(), id)
	if err != nil {
		return ""
	}
	return info.State
}

func (a *app) wait(id string, want jobs.State) {
	a.t.Helper()
	patience.UntilSaid(a.t, "job "+id+" is "+string(want), func() (bool, string) { s := a.state(id); return s == want, string(s) })
}

func (a *app) names() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return strings.Join(a.ran, " ")
}

// TestApplicationsOnOneRedis: two applications use the same queue, kind and IDs,
// and each sees its own jobs alone, also while one of them has no worker. A dot
// or a per cent sign in a prefix makes no two queues one.
func TestApplicationsOnOneRedis(t *testing.T) {
	t.Parallel()
	for _, tt := range [][4]string{
		{"shop", "default", "crm", "default"},
		{"a", "b.c", "a.b", "c"},
		{"a.b", "c", "a%2Eb", "c"},
		{"a", "jobs", "a:t", "jobs"},
	} {
		t.Run(strings.Join(tt[:], " "), func(t *testing.T) {
			t.Parallel()
			rdb := redistest.Start(t, redistest.Config{}).Client(t)
			home := newApp(t, rdb, tt[0], tt[1], quick)
			other := newApp(t, rdb, tt[2], tt[3], quick)
			other.work()
			waits := []string{
				home.enqueue("plain"),
				home.enqueue("same", jobs.ID("same")),
				home.enqueue("told", jobs.Notify(home.pub.Session("s"), jobs.OnDone("Done"), jobs.OnFailed("Failed"))),
				home.enqueue("limited", jobs.Concurrency("k", 1)),
				home.enqueue("later", jobs.ProcessIn(time.Millisecond)),
			}
			for i := range 20 {
				other.wait(other.enqueue(fmt.Sprint("other", i)), jobs.StateCompleted)
			}
			other.wait(other.enqueue("theirs", jobs.ID("same")), jobs.StateCompleted)
			for _, id := range waits {
				if s := home.state(id); s != jobs.StateQueued && s != jobs.StateScheduled {
					t.Errorf("job %q is %q while its application has no worker", id, s)
				}
			}
			home.work()
			for _, id := range waits {
				home.wait(id, jobs.StateCompleted)
			}
			if got := other.names(); strings.Contains(got, "same") || strings.Contains(got, "plain") || !strings.Contains(got, "theirs") {
				t.Errorf("the other application ran %q", got)
			}
			if got := home.names(); strings.Contains(got, "other") || strings.Contains(got, "theirs") {
				t.Errorf("this application ran %q", got)
			}
			if info, err := home.client.Get(t.Context(), waits[0]); err != nil || info.Queue != tt[1] {
				t.Errorf("queue is shown as %q, %v; want %q", info.Queue, err, tt[1])
			}
			if queue, ours := home.client.QueueOf(other.client.AsynqQueue(tt[3])); ours {
				t.Errorf("the other's queue counts as ours: %q", queue)
			}
		})
	}
}

// TestChannelsOfOneServer: channels are heard in all databases, so what is said in
// one, or of another prefix, must not be taken as said here. Asynq's own tools
// name a task by its ID alone: they reach a job only by an ID that nobody else
// can have.
func TestChannelsOfOneServer(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Config{})
	database := func(n int) *redis.Client {
		c := redis.NewClient(&redis.Options{Addr: server.Addr(), DB: n})
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	release := make(chan struct{})
	hold := func(ctx context.Context, _ *jobs.Job[args]) (result, error) {
		select {
		case <-release:
			return result{1}, nil
		case <-ctx.Done():
			return result{}, ctx.Err()
		}
	}
	home := newApp(t, database(0), "p", "default", hold)
	others := []*app{newApp(t, database(1), "p", "default", hold), newApp(t, database(0), "q", "default", hold)}
	ids := []string{home.enqueue("same", jobs.ID("same")), home.enqueue("random")}
	for _, a := range others {
		a.enqueue("same", jobs.ID("same"))
	}
	for _, a := range append(others, home) {
		a.work()
		a.wait("same", jobs.StateRunning)
	}
	home.wait(ids[1], jobs.StateRunning)
	for _, a := range others {
		if err := a.client.Cancel(t.Context(), "same"); err != nil {
			t.Fatal(err)
		}
		a.wait("same", jobs.StateCancelled)
	}
	inspect := asynq.NewInspectorFromRedisClient(database(0))
	for _, id := range ids {
		if err := inspect.CancelProcessing(id); err != nil {
			t.Fatal(err)
		}
	}
	home.wait(ids[1], jobs.StateCancelled)
	close(release)
	home.wait("same", jobs.StateCompleted)
}

// foreignTasks enqueues tasks that an application without this package has
// written, into our queue, and returns their messages.
func foreignTasks(t *testing.T, rdb redis.UniversalClient, queue string, n int) map[string]string {
	t.Helper()
	c := asynq.NewClientFromRedisClient(rdb)
	messages := make(map[string]string, n)
	for i := range n {
		id := fmt.Sprintf("foreign-%d", i)
		opts := []asynq.Option{asynq.Queue(queue), asynq.TaskID(id), asynq.MaxRetry(i % 3)}
		switch i % 4 {
		case 1:
			opts = append(opts, asynq.Deadline(time.Now().Add(-time.Hour)))
		case 2:
			opts = append(opts, asynq.ProcessIn(time.Second))
		case 3:
			opts = append(opts, asynq.Unique(time.Hour), asynq.Retention(time.Hour))
		}
		headers := map[string]string{"lm-app": "other", "lm-id": id, "traceparent": "x"}
		payload := []byte("\x0a\x06lm-app\x12\x01p, which is what a header of ours looks like")
		if _, err := c.Enqueue(asynq.NewTaskWithHeaders(fmt.Sprint("mail:", i%2), fmt.Appendf(payload, "%d", i), headers), opts...); err != nil {
			t.Fatal(err)
		}
		messages[id] = rdb.HGet(t.Context(), "asynq:{"+queue+"}:t:"+id, "msg").Val()
	}
	return messages
}

// TestForeignTasksAreLeftAlone: tasks of another application in our queue stay
// as they were, whatever their limits say, while ours run.
func TestForeignTasksAreLeftAlone(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t, redistest.Config{}).Client(t)
	a := newApp(t, rdb, "p", "default", quick)
	const n = 700
	messages := foreignTasks(t, rdb, "p.default", n)
	a.work()
	for i := range 30 {
		a.wait(a.enqueue(strconv.Itoa(i), jobs.ProcessIn(time.Duration(i%2)*time.Millisecond)), jobs.StateCompleted)
	}
	patience.Until(t, "each has been met twice", func() bool {
		c, err := testutil.GatherAndCount(a.seen, "jobs_foreign_tasks_total")
		return err == nil && c == 1 && metric(t, a.seen, "jobs_foreign_tasks_total") > 2*n && rdb.LLen(t.Context(), "asynq:{p.default}:pending").Val() == 0
	})
	inspect := asynq.NewInspectorFromRedisClient(rdb)
	for id, want := range messages {
		if got := rdb.HGet(t.Context(), "asynq:{p.default}:t:"+id, "msg").Val(); got != want {
			t.Fatalf("message of %s is %q, want %q", id, got, want)
		}
		info, err := inspect.GetTaskInfo("p.default", id)
		if err != nil || info.State != asynq.TaskStateScheduled && info.State != asynq.TaskStatePending {
			t.Fatalf("%s: %+v, %v", id, info, err)
		}
	}
	for _, list := range []string{"archived", "retry", "lease", "active", "completed"} {
		if typ := rdb.Type(t.Context(), "asynq:{p.default}:"+list).Val(); typ != "none" {
			t.Errorf("%s is not empty", list)
		}
	}
	if got := a.log.count("level=WARN"); got != 2 {
		t.Errorf("%d warnings, want one for each of two types", got)
	}
}

// TestStockServerBeside: an Asynq server and a pool of ours work on one queue.
// Each task runs where it belongs, and none is charged or archived.
func TestStockServerBeside(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t, redistest.Config{}).Client(t)
	a := newApp(t, rdb, "p", "default", quick)
	const n = 200
	var mu sync.Mutex
	retried, ran := 0, map[string]int{}
	stock := asynq.NewServerFromRedisClient(rdb, asynq.Config{
		Queues: map[string]int{"p.default": 1}, TaskCheckInterval: 20 * time.Millisecond, DelayedTaskCheckInterval: time.Second, LogLevel: asynq.FatalLevel,
		IsFailure: func(error) bool { return false }, RetryDelayFunc: func(int, error, *asynq.Task) time.Duration { return time.Second },
	})
	err := stock.Start(asynq.HandlerFunc(func(ctx context.Context, task *asynq.Task) error {
		if !strings.HasPrefix(task.Type(), "mail:") {
			return fmt.Errorf("%s is not mine", task.Type()) // ours: what stock servers do to them is Asynq's affair
		}
		count, _ := asynq.GetRetryCount(ctx)
		id, _ := asynq.GetTaskID(ctx)
		mu.Lock()
		defer mu.Unlock()
		retried += count
		ran[id]++
		return nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stock.Shutdown)
	a.work()
	c := asynq.NewClientFromRedisClient(rdb)
	for i := range n {
		if _, err := c.Enqueue(asynq.NewTask("mail:send", nil), asynq.Queue("p.default"), asynq.TaskID(fmt.Sprint("f", i)), asynq.MaxRetry(i%2)); err != nil {
			t.Fatal(err)
		}
	}
	id := a.enqueue("ours")
	patience.UntilSaid(t, "all tasks run at their owner's", func() (bool, string) {
		mu.Lock()
		defer mu.Unlock()
		return len(ran) == n, strconv.Itoa(len(ran))
	})
	a.wait(id, jobs.StateCompleted)
	mu.Lock()
	defer mu.Unlock()
	for id, times := range ran {
		if times != 1 {
			t.Errorf("%s ran %d times", id, times)
		}
	}
	if archived := rdb.ZCard(t.Context(), "asynq:{p.default}:archived").Val(); archived != 0 || retried != 0 {
		t.Errorf("%d archived, %d times charged", archived, retried)
	}
}

// metric returns the only value of a metric.
func metric(t *testing.T, g prometheus.Gatherer, name string) float64 {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return sum
}

func TestPrefixesThatDoNotSeparate(t *testing.T) {
	t.Parallel()
	rdb := redistest.Start(t, redistest.Config{}).Client(t)
	a := newApp(t, rdb, "p", "default", quick)
	for _, prefix := range []string{"{p}", "p}", "p:jobs:s", "p:jobs"} {
		if _, err := jobs.NewClient(rdb, a.pub, jobs.ClientConfig{Prefix: prefix}); err == nil {
			t.Errorf("prefix %q is taken", prefix)
		}
	}
}

func newRedis(t *testing.T, o *redis.Options) *redis.Client {
	t.Helper()
	c := redis.NewClient(o)
	t.Cleanup(func() { _ = c.Close() })
	return c
}
