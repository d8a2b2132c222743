package jobs_test

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"lastmile/internal/patience"
	"lastmile/jobs"
	"lastmile/push"
)

// A test binary that finds these in its environment is a worker process with a
// name. Its handler tells of its start, waits until Redis has a key of that name,
// and ends in one of the ways that there are.
const (
	pausedRedis = "JOBS_TEST_PAUSED_REDIS"
	pausedName  = "JOBS_TEST_PAUSED_NAME"
	pausedEnd   = "JOBS_TEST_PAUSED_END"
)

func pausedWorker(rdb *redis.Client, pub *push.Publisher) (*jobs.Pool, error) {
	name, end := os.Getenv(pausedName), os.Getenv(pausedEnd) //nolint:forbidigo // this is a worker process
	cfg := jobs.PoolConfig{
		ClientConfig: jobs.ClientConfig{Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))},
		DrainTimeout: 100 * time.Millisecond, Grace: 100 * time.Millisecond,
	}
	if end == "complete" {
		cfg.KeepTasks = time.Hour
	}
	pool, err := jobs.NewPool(rdb, pub, cfg)
	if err != nil {
		return nil, err
	}
	define().Handle(pool, func(ctx context.Context, j *jobs.Job[args]) (result, error) {
		bg := context.WithoutCancel(ctx) // deaf: it goes on whatever is asked of it
		rdb.SAdd(bg, "log", name)        // a set: a call that a pause interrupts is repeated
		for rdb.Exists(bg, "go:"+name).Val() == 0 {
			<-time.After(5 * time.Millisecond)
		}
		rdb.SAdd(bg, "log", "end "+name)
		switch end {
		case "retry":
			return result{}, errors.New("as asked")
		case "archive":
			return result{}, jobs.Discard(errors.New("as asked"))
		case "snooze":
			return result{}, jobs.Snooze(time.Millisecond)
		}
		return result{j.Attempt}, nil
	})
	return pool, nil
}

// spawnPaused starts a worker process.
func spawnPaused(t *testing.T, addr, name, end string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), pausedRedis+"="+addr, pausedName+"="+name, pausedEnd+"="+end)
	cmd.Stderr = t.Output()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

// taskState is everything that Redis has of a task.
func taskState(t *testing.T, rdb *redis.Client, id string) map[string]string {
	t.Helper()
	ctx, base := t.Context(), "asynq:{lm.default}:"
	state, err := rdb.HGetAll(ctx, base+"t:"+id).Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range []string{"active", "pending"} {
		ids, err := rdb.LRange(ctx, base+list, 0, -1).Result()
		if err != nil {
			t.Fatal(err)
		}
		state["in "+list] = strings.Join(ids, " ")
	}
	for _, set := range []string{"lease", "scheduled", "retry", "archived", "completed"} {
		ids, err := rdb.ZRange(ctx, base+set, 0, -1).Result()
		if err != nil {
			t.Fatal(err)
		}
		state["in "+set] = strings.Join(ids, " ")
	}
	own, err := rdb.ZRange(ctx, "lm:jobs:own:"+base+"pending", 0, -1).Result()
	if err != nil {
		t.Fatal(err)
	}
	state["in own leases"] = strings.Join(own, " ")
	return state
}

// TestPausedWorkerIsFenced: a worker stands still for longer than its lease, and
// goes on while its successor runs. Whatever it does then changes nothing of the
// successor's task, and the successor's end is the job's.
func TestPausedWorkerIsFenced(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"done", "complete", "retry", "snooze", "archive", "requeue"} {
		for _, how := range []string{"session", "plain"} {
			t.Run(end+" "+how, func(t *testing.T) {
				t.Parallel()
				pauseAndFence(t, end, how == "plain")
			})
		}
	}
}

func pauseAndFence(t *testing.T, end string, plain bool) {
	t.Helper()
	w := newProcessWorld(t)
	rdb, pub, client := w.rdb, w.pub, w.client
	logged := func(want ...string) {
		t.Helper()
		patience.Until(t, strings.Join(want, ", "), func() bool {
			got, err := rdb.SMembers(t.Context(), "log").Result()
			slices.Sort(got)
			return err == nil && slices.Equal(got, want)
		})
	}
	first := spawnPaused(t, w.addr, "a", end)
	opts := []jobs.Option{jobs.MaxRetry(5)}
	if !plain {
		opts = append(opts, jobs.Notify(pub.Session("s"), jobs.OnDone("Done"), jobs.OnFailed("Failed")))
	}
	h, err := define().With(client).Enqueue(t.Context(), args{"x"}, opts...)
	if err != nil {
		t.Fatal(err)
	}
	logged("a")
	if err := first.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	second := spawnPaused(t, w.addr, "b", "done")
	logged("a", "b")
	if end == "requeue" {
		_ = first.Process.Signal(syscall.SIGTERM)
	} else {
		rdb.Set(t.Context(), "go:a", 1, 0)
	}
	before := taskState(t, rdb, h.ID)
	if before["in active"] != h.ID || before["in own leases"] != h.ID || before["lmh"] == "" {
		t.Fatalf("the successor's task: %v", before)
	}
	_ = first.Process.Signal(syscall.SIGCONT)
	if end != "requeue" {
		logged("a", "b", "end a")
		_ = first.Process.Signal(syscall.SIGTERM)
	}
	if err := first.Wait(); err != nil { // all that it had to say is said
		t.Errorf("the paused worker: %v", err)
	}
	if after := taskState(t, rdb, h.ID); !maps.Equal(before, after) {
		t.Errorf("the successor's task was\n%v\nand is\n%v", before, after)
	}
	rdb.Set(t.Context(), "go:b", 1, 0)
	patience.Until(t, "the job ends", func() bool {
		i, err := client.Get(t.Context(), h.ID)
		return err == nil && i.State == jobs.StateCompleted && i.Attempt == 1
	})
	_ = second.Process.Signal(syscall.SIGTERM)
	if err := second.Wait(); err != nil {
		t.Errorf("the successor: %v", err)
	}
	rest := taskState(t, rdb, h.ID)
	if rest["in active"]+rest["in own leases"]+rest["in lease"]+rest["in pending"]+rest["in retry"] != "" {
		t.Errorf("left: %v", rest)
	}
}
