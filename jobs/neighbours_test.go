package jobs_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"lastmile/internal/patience"
	"lastmile/jobs"
	"lastmile/push"
)

// A test binary that finds one of these in its environment is a worker process of
// ours, or a server of plain Asynq.
const (
	neighbourOurs   = "JOBS_TEST_NEIGHBOUR_OURS"
	neighbourTheirs = "JOBS_TEST_NEIGHBOUR_THEIRS"
)

var (
	neighbourJobs  = flag.Int("jobs.neighbours", 150, "jobs, and as many tasks of plain Asynq, of TestNeighboursDie")
	neighbourKills = flag.Int("jobs.neighbours.kills", 1, "how many times TestNeighboursDie kills a worker of a side")
)

// The handlers of both sides tell of their starts in these lists.
const (
	ourStarts   = "starts:ours"
	theirStarts = "starts:theirs"
	handTakes   = 50 * time.Millisecond
	handsEach   = 10 // of each process
)

func tell(ctx context.Context, rdb *redis.Client, list, id string) error {
	if err := rdb.RPush(ctx, list, id).Err(); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(handTakes):
		return nil
	}
}

func neighbourWorker(rdb *redis.Client, pub *push.Publisher) (*jobs.Pool, error) {
	pool, err := jobs.NewPool(rdb, pub, jobs.PoolConfig{
		Concurrency:  handsEach,
		ClientConfig: jobs.ClientConfig{Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))},
	})
	if err != nil {
		return nil, err
	}
	define().Handle(pool, func(ctx context.Context, j *jobs.Job[args]) (result, error) {
		return result{len(j.Args.Name)}, tell(ctx, rdb, ourStarts, j.ID)
	})
	return pool, nil
}

// stockProcess is a server of plain Asynq until its parent ends.
func stockProcess(addr string) int {
	rdb := redis.NewClient(&redis.Options{Addr: addr})
	server := asynq.NewServerFromRedisClient(rdb, asynq.Config{
		Concurrency: handsEach, Queues: map[string]int{"default": 2, "critical": 1}, LogLevel: asynq.FatalLevel,
		RetryDelayFunc: func(int, error, *asynq.Task) time.Duration { return time.Second },
	})
	err := server.Start(asynq.HandlerFunc(func(ctx context.Context, _ *asynq.Task) error {
		id, _ := asynq.GetTaskID(ctx)
		return tell(ctx, rdb, theirStarts, id)
	}))
	if err != nil {
		return 2
	}
	_, _ = io.Copy(io.Discard, os.Stdin) // until the parent ends
	return 0
}

// street is a Redis with workers of both sides.
type street struct {
	processWorld
	t     *testing.T
	n     int
	hands map[string][]*exec.Cmd // processes of a side
}

// TestNeighboursDie: jobs of ours and tasks of plain Asynq share a Redis, and
// workers of one side or of both are killed while they run. Nobody's task is lost,
// and none pays for a death on the other side; tasks of theirs that lie in our
// queue stay as they are.
func TestNeighboursDie(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name         string
		ours, theirs bool
	}{{"ours", true, false}, {"theirs", false, true}, {"both", true, true}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := &street{processWorld: newProcessWorld(t), t: t, n: *neighbourJobs, hands: map[string][]*exec.Cmd{}}
			ids, strays := s.fill(), foreignTasks(t, s.rdb, "lm.default", s.n/50)
			for range 2 {
				s.spawn(neighbourOurs)
				s.spawn(neighbourTheirs)
			}
			for kill := range *neighbourKills {
				done := int64((kill + 1) * s.n / (*neighbourKills + 2))
				if tt.ours {
					s.await(ourStarts, done)
					s.killOurs()
				}
				if tt.theirs {
					s.await(theirStarts, done)
					s.killTheirs()
				}
			}
			s.checkOurs(ids, tt.ours)
			s.checkTheirs(tt.theirs)
			for id, want := range strays {
				if got := s.rdb.HGet(t.Context(), "asynq:{lm.default}:t:"+id, "msg").Val(); got != want {
					t.Errorf("%s in our queue became %q", id, got)
				}
			}
		})
	}
}

// fill enqueues everything and returns the IDs of our jobs.
func (s *street) fill() []string {
	s.t.Helper()
	kind, theirs := define().With(s.client), asynq.NewClientFromRedisClient(s.rdb)
	ids := make([]string, s.n)
	for i := range s.n {
		h, err := kind.Enqueue(s.t.Context(), args{strconv.Itoa(i)}, jobs.MaxRetry(0),
			jobs.Notify(s.pub.Session(s.session(i)), jobs.OnDone("Done"), jobs.OnFailed("Failed")))
		if err != nil {
			s.t.Fatal(err)
		}
		ids[i] = h.ID
		queue := []string{"default", "critical"}[i%2]
		_, err = theirs.Enqueue(asynq.NewTask("mail:send", nil), asynq.Queue(queue), asynq.TaskID(theirID(i)), asynq.MaxRetry(25), asynq.Retention(time.Hour))
		if err != nil {
			s.t.Fatal(err)
		}
	}
	return ids
}

func theirID(i int) string { return "theirs-" + strconv.Itoa(i) }

// session keeps each mailbox under its bound.
func (s *street) session(i int) string { return fmt.Sprint("street-", i%max(1, s.n/100)) }

func (s *street) spawn(side string) {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), side+"="+s.addr)
	cmd.Stderr = s.t.Output()
	in, err := cmd.StdinPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	s.hands[side] = append(s.hands[side], cmd)
}

// await waits until so many of a side's tasks have started.
func (s *street) await(starts string, n int64) {
	s.t.Helper()
	patience.UntilSaid(s.t, fmt.Sprintf("%d %s", n, starts), func() (bool, string) {
		got := s.rdb.LLen(s.t.Context(), starts).Val()
		return got >= n, strconv.FormatInt(got, 10)
	})
}

// killOurs ends our oldest process and starts another.
func (s *street) killOurs() {
	s.t.Helper()
	s.kill(s.hands[neighbourOurs][0])
	s.hands[neighbourOurs] = s.hands[neighbourOurs][1:]
	s.spawn(neighbourOurs)
}

// killTheirs ends all processes of plain Asynq and starts others. Asynq gives a
// lost lease half a minute and looks each minute, and when it starts: the leases of
// the dead end here at once.
func (s *street) killTheirs() {
	s.t.Helper()
	for _, cmd := range s.hands[neighbourTheirs] {
		s.kill(cmd)
	}
	s.hands[neighbourTheirs] = nil
	for _, queue := range []string{"default", "critical"} {
		lease := "asynq:{" + queue + "}:lease"
		ids, err := s.rdb.ZRange(s.t.Context(), lease, 0, -1).Result()
		if err != nil {
			s.t.Fatal(err)
		}
		for _, id := range ids {
			s.rdb.ZAdd(s.t.Context(), lease, redis.Z{Member: id, Score: 1})
		}
	}
	for range 2 {
		s.spawn(neighbourTheirs)
	}
}

func (s *street) kill(cmd *exec.Cmd) {
	s.t.Helper()
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		s.t.Fatal(err)
	}
	_ = cmd.Wait() // its status says only that
}

// times counts the starts of each task, and how many beyond the first there were.
func (s *street) times(starts string) (times map[string]int, more int) {
	s.t.Helper()
	list, err := s.rdb.LRange(s.t.Context(), starts, 0, -1).Result()
	if err != nil {
		s.t.Fatal(err)
	}
	times = map[string]int{}
	for _, id := range list {
		if times[id]++; times[id] > 1 {
			more++
		}
	}
	return times, more
}

// checkOurs wants each job completed in its first attempt, with one end told.
func (s *street) checkOurs(ids []string, killed bool) {
	s.t.Helper()
	patience.UntilSaid(s.t, "our jobs have ended and that was told", func() (bool, string) {
		open := 0
		for shard := range 16 {
			members, err := s.client.OpenJobs(s.t.Context(), shard)
			if err != nil {
				return false, err.Error()
			}
			open += len(members)
		}
		return open == 0, strconv.Itoa(open) + " have not"
	})
	told := map[string]int{}
	for i := range max(1, s.n/100) {
		entries, err := s.store.Read(s.t.Context(), s.session(i), 0, 1000)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, e := range entries {
			ev, err := jobs.EventOf(pushData(e.Data))
			if err != nil || ev.State != jobs.StateCompleted {
				s.t.Errorf("entry %s: %+v, %v", e.ID, ev, err)
			}
			told[ev.ID]++
		}
	}
	times, more := s.times(ourStarts)
	for _, id := range ids {
		info, err := s.client.Get(s.t.Context(), id)
		if err != nil || info.State != jobs.StateCompleted || info.Attempt != 1 {
			s.t.Errorf("job %s is %s in attempt %d, %v", id, info.State, info.Attempt, err)
		}
		if told[id] != 1 || times[id] == 0 {
			s.t.Errorf("job %s started %d times, its end was told %d times", id, times[id], told[id])
		}
	}
	s.checkMore("our jobs", more, killed, 1)
}

// checkTheirs wants each of their tasks completed, and charged for nothing but the
// death of its own server, which plain Asynq charges as a try.
func (s *street) checkTheirs(killed bool) {
	s.t.Helper()
	inspect := asynq.NewInspectorFromRedisClient(s.rdb)
	charged := 0
	for i := range s.n {
		id, queue := theirID(i), []string{"default", "critical"}[i%2]
		var info *asynq.TaskInfo
		patience.UntilSaid(s.t, id+" has ended", func() (bool, string) {
			var err error
			if info, err = inspect.GetTaskInfo(queue, id); err != nil {
				return errors.Is(err, asynq.ErrTaskNotFound), err.Error()
			}
			return info.State == asynq.TaskStateCompleted || info.State == asynq.TaskStateArchived, info.State.String()
		})
		if info == nil || info.State != asynq.TaskStateCompleted || info.LastErr != "" && info.LastErr != asynq.ErrLeaseExpired.Error() {
			s.t.Errorf("%s: %+v", id, info)
			continue
		}
		charged += info.Retried
	}
	s.checkMore("their tasks: retries", charged, killed, 2)
	_, more := s.times(theirStarts)
	s.checkMore("their tasks", more, killed, 2)
}

// checkMore: what ran again was in the hands of the processes that died at each kill.
func (s *street) checkMore(who string, more int, killed bool, died int) {
	s.t.Helper()
	most := 0
	if killed {
		most = *neighbourKills * died * handsEach
	}
	if more > most {
		s.t.Errorf("%s: %d more than one each, want at most %d", who, more, most)
	}
	s.t.Logf("report: %d jobs beside %d tasks, %s: %d more than one each", s.n, s.n, who, more)
}
