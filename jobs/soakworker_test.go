package jobs_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"lastmile/internal/redistest"
	"lastmile/jobs"
	"lastmile/push"
	"lastmile/push/redisstream"
)

// A test binary that finds this in its environment is a worker process.
const (
	soakRedis = "JOBS_TEST_SOAK_REDIS"
	soakCrash = "JOBS_TEST_SOAK_CRASH" // percent of ends at which it dies
)

func TestMain(m *testing.M) {
	if addr := os.Getenv(soakRedis); addr != "" { //nolint:forbidigo // this is a worker process
		os.Exit(workerProcess(addr, soakWorker)) //nolint:forbidigo // this is a worker process
	}
	if addr := os.Getenv(pausedRedis); addr != "" { //nolint:forbidigo // likewise
		os.Exit(workerProcess(addr, pausedWorker)) //nolint:forbidigo // likewise
	}
	if addr := os.Getenv(takenRedis); addr != "" { //nolint:forbidigo // likewise
		os.Exit(workerProcess(addr, takenWorker)) //nolint:forbidigo // likewise
	}
	if addr := os.Getenv(deadlyRedis); addr != "" { //nolint:forbidigo // likewise
		os.Exit(workerProcess(addr, deadlyWorker)) //nolint:forbidigo // likewise
	}
	if addr := os.Getenv(neighbourOurs); addr != "" { //nolint:forbidigo // likewise
		os.Exit(workerProcess(addr, neighbourWorker)) //nolint:forbidigo // likewise
	}
	if addr := os.Getenv(neighbourTheirs); addr != "" { //nolint:forbidigo // this is another's worker process
		os.Exit(stockProcess(addr)) //nolint:forbidigo // likewise
	}
	// A Redis in the process makes a Lua state for each call of a script. To collect
	// these less often costs memory only.
	debug.SetGCPercent(400)
	// A closed client goes on looking for a server that died for some seconds.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}

type soakArgs struct {
	N    int    `json:"n"`
	Fate string `json:"fate"`
}

func soakKind() *jobs.Kind[soakArgs, result] {
	return jobs.Define[soakArgs, result]("soak.work", jobs.Timeout(3*time.Second), jobs.RetryBackoff(time.Second, 2*time.Second))
}

// processWorld is a Redis that worker processes share with the test.
type processWorld struct {
	addr   string
	rdb    *redis.Client
	store  *redisstream.Transport
	pub    *push.Publisher
	client *jobs.Client
}

func newProcessWorld(t *testing.T) processWorld {
	t.Helper()
	w := processWorld{addr: redistest.Start(t, redistest.Config{}).Addr()}
	var err error
	if w.rdb, w.store, w.pub, err = soakPublisher(w.addr); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.rdb.Close() })
	if w.client, err = jobs.NewClient(w.rdb, w.pub, jobs.ClientConfig{Logger: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	return w
}

// soakPublisher opens the way into the mailboxes.
func soakPublisher(addr string) (*redis.Client, *redisstream.Transport, *push.Publisher, error) {
	rdb := redis.NewClient(&redis.Options{Addr: addr})
	log := slog.New(slog.DiscardHandler)
	tr, err := redisstream.New(rdb, redisstream.Config{Logger: log})
	if err != nil {
		return nil, nil, nil, err
	}
	pub, err := push.NewPublisher(tr, push.PublisherConfig{Logger: log})
	return rdb, tr, pub, err
}

// dying is a publisher whose process dies around terminal pushes.
type dying struct {
	*push.Publisher
	percent int
}

func (d dying) Publish(ctx context.Context, m push.Message) (push.Receipt, error) {
	if m.Final && rand.IntN(100) < d.percent {
		if rand.IntN(2) == 0 { // between push and settling
			_, _ = d.Publisher.Publish(ctx, m)
		} // else between decision and push
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	}
	return d.Publisher.Publish(ctx, m)
}

// PublishVia dies before the end is stored, or before anybody hears of it.
func (d dying) PublishVia(ctx context.Context, m push.Message, store func(context.Context, push.Appender, push.Message) (push.Receipt, error)) (push.Receipt, error) {
	dies := rand.IntN(100) < d.percent
	return d.Publisher.PublishVia(ctx, m, func(ctx context.Context, a push.Appender, m push.Message) (push.Receipt, error) {
		if dies && rand.IntN(2) == 0 {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
		r, err := store(ctx, a, m)
		if dies {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
		return r, err
	})
}

// workerProcess runs a pool until its parent ends or sends SIGTERM, and returns
// the exit code.
func workerProcess(addr string, build func(rdb *redis.Client, pub *push.Publisher) (*jobs.Pool, error)) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go func() { // the parent's end closes our input
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(1) //nolint:forbidigo // this is a worker process
	}()
	rdb, _, pub, err := soakPublisher(addr)
	if err != nil {
		return 2
	}
	pool, err := build(rdb, pub)
	if err != nil {
		return 2
	}
	if err := pool.Run(ctx); err != nil {
		return 3
	}
	return 0
}

func soakWorker(rdb *redis.Client, pub *push.Publisher) (*jobs.Pool, error) {
	percent, _ := strconv.Atoi(os.Getenv(soakCrash)) //nolint:forbidigo // this is a worker process
	pool, err := jobs.NewPool(rdb, dying{pub, percent}, jobs.PoolConfig{
		ClientConfig: jobs.ClientConfig{Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))},
		DrainTimeout: 2 * time.Second, Grace: time.Second,
	})
	if err != nil {
		return nil, err
	}
	soakKind().Handle(pool, soakHandler)
	return pool, nil
}

func soakHandler(ctx context.Context, j *jobs.Job[soakArgs]) (result, error) {
	work := time.Duration(50+rand.IntN(1500)) * time.Millisecond
	for done := range 10 {
		if j.Args.N%2 == 0 {
			j.Progress(float64(done)/10, "working")
		}
		select {
		case <-ctx.Done():
			return result{}, context.Cause(ctx)
		case <-time.After(work / 10):
		}
	}
	switch j.Args.Fate {
	case "fail":
		return result{}, errors.New("as asked")
	case "discard":
		return result{}, jobs.Discard(jobs.UserError("asked", "as asked"))
	case "panic":
		panic("as asked")
	case "flaky":
		if rand.IntN(2) == 0 {
			return result{}, errors.New("flaky")
		}
	case "snooze":
		if rand.IntN(2) == 0 {
			return result{}, jobs.Snooze(time.Second)
		}
	case "deaf":
		<-time.After(8 * time.Second)
	}
	return result{j.Args.N}, nil
}
