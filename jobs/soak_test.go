package jobs_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"lastmile/internal/patience"
	"lastmile/internal/redistest"
	"lastmile/jobs"
	"lastmile/push"
	"lastmile/push/redisstream"
)

// soak is a Redis with worker processes that keep dying.
type soak struct {
	t       *testing.T
	server  *redistest.Server
	client  *jobs.Client
	pub     *push.Publisher
	store   *redisstream.Transport
	inspect *asynq.Inspector
	workers []*exec.Cmd
	logs    string
	jobs    map[string]string // job ID -> session
	plain   []string          // jobs that nobody waits for
	counts  map[string]int
}

var soakJobs = flag.Int("jobs.soak", 220, "number of jobs of TestSoak; from 1,000 on Redis also goes away for 8 and for 45 seconds")

// soakSessions keeps each mailbox under its bound.
func soakSessions() int { return max(11, *soakJobs/20) }

// TestSoak checks, over worker SIGKILLs, crashes around the terminal push,
// SIGTERMs and two Redis SIGKILLs, that every job gets exactly one terminal
// event and that it agrees with the job's state; and that plain jobs beside them,
// which have no events, all end. Asynq needs one to two minutes to bring back
// what a dead worker had.
func TestSoak(t *testing.T) {
	t.Parallel()
	s := newSoak(t)
	for range 3 {
		s.spawn(8)
	}
	faults := time.NewTicker(3 * time.Second)
	defer faults.Stop()
	jobTick := time.NewTicker(150 * time.Millisecond)
	defer jobTick.Stop()
	for n, fault := 0, 0; n < *soakJobs; {
		select {
		case <-jobTick.C:
			if s.enqueue(n); n%5 == 0 {
				s.enqueuePlain(n)
			}
			n++
		case <-faults.C:
			s.fault(fault)
			fault++
		}
	}
	for i := range s.workers { // from here on nobody dies
		s.kill(i, syscall.SIGKILL)
		s.workers[i] = s.command(0)
	}
	s.settle()
	s.check()
	s.counts["attempts"] = s.attempts()
	t.Logf("report: soak %d jobs and %d plain ones: %v", len(s.jobs), len(s.plain), s.counts)
}

func newSoak(t *testing.T) *soak {
	t.Helper()
	server := redistest.Start(t, redistest.Config{AOF: "always"})
	rdb, tr, pub, err := soakPublisher(server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	client, err := jobs.NewClient(rdb, pub, jobs.ClientConfig{Timeout: 30 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	s := &soak{
		t: t, server: server, client: client, pub: pub, store: tr, inspect: asynq.NewInspectorFromRedisClient(rdb),
		jobs: make(map[string]string), counts: make(map[string]int), logs: t.TempDir(),
	}
	t.Cleanup(func() {
		for i := range s.workers {
			s.kill(i, syscall.SIGKILL)
		}
		_ = rdb.Close()
	})
	return s
}

func (s *soak) spawn(crash int) { s.workers = append(s.workers, s.command(crash)) }

func (s *soak) command(crash int) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), soakRedis+"="+s.server.Addr(), soakCrash+"="+strconv.Itoa(crash))
	if _, err := cmd.StdinPipe(); err != nil {
		s.t.Fatal(err)
	}
	log, err := os.OpenFile(filepath.Join(s.logs, "worker.log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	cmd.Stderr, cmd.Stdout = log, io.Discard
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	return cmd
}

// kill signals a worker and waits for its end.
func (s *soak) kill(i int, sig syscall.Signal) {
	cmd := s.workers[i]
	if cmd.ProcessState != nil {
		return
	}
	_ = cmd.Process.Signal(sig) // it may be dead by its own hand
	_ = cmd.Wait()              // its status says only that
}

func (s *soak) fault(n int) {
	i := rand.IntN(len(s.workers))
	switch {
	case *soakJobs >= 1000 && (n == 10 || n == 20):
		s.outage(map[int]time.Duration{10: 8 * time.Second, 20: 45 * time.Second}[n])
		return
	case n%8 == 3 || n == 7:
		s.server.Kill()
		s.server.Restart()
		s.counts["redis killed"]++
		return
	case n%4 == 1:
		s.counts["workers stopped"]++
		s.kill(i, syscall.SIGTERM)
	default:
		s.counts["workers killed"]++
		s.kill(i, syscall.SIGKILL)
	}
	s.workers[i] = s.command(8)
}

// outage takes Redis away while handlers start, run and end.
func (s *soak) outage(d time.Duration) {
	s.counts["redis away "+d.String()]++
	s.server.Kill()
	<-time.After(d)
	s.server.Restart()
}

// enqueue insists until the job is in: the ID makes repeating safe.
func (s *soak) enqueue(n int) {
	fates := []string{"ok", "ok", "ok", "ok", "fail", "discard", "panic", "flaky", "snooze", "deaf", "cancel"}
	fate := fates[n%len(fates)]
	session := fmt.Sprintf("soak-session-%d", n%soakSessions())
	id := fmt.Sprintf("soak-%d", n)
	kind := soakKind().With(s.client)
	bindings := []jobs.Binding{jobs.OnDone("Done"), jobs.OnFailed("Failed"), jobs.OnProgress("Progress")}
	if n%2 == 0 { // the others can end without their records knowing that they began
		bindings = append(bindings, jobs.On("Other", jobs.StateCancelled, jobs.StateLost, jobs.StateRetrying, jobs.StateStalled))
	}
	s.insist(func(ctx context.Context) error {
		_, err := kind.Enqueue(ctx, soakArgs{n, fate}, jobs.ID(id), jobs.MaxRetry(n%4), jobs.Notify(s.pub.Session(session), bindings...))
		return err
	})
	s.jobs[id] = session
	if fate == "cancel" {
		s.insist(func(ctx context.Context) error {
			if err := s.client.Cancel(ctx, id); !errors.Is(err, jobs.ErrEnded) {
				return err
			}
			return nil
		})
	}
}

// enqueuePlain repeats without an ID, so a repetition may be one more job.
func (s *soak) enqueuePlain(n int) {
	fates := []string{"ok", "ok", "ok", "fail", "discard", "panic", "flaky", "snooze", "deaf"}
	kind := soakKind().With(s.client)
	s.insist(func(ctx context.Context) error {
		h, err := kind.Enqueue(ctx, soakArgs{n, fates[n/5%len(fates)]}, jobs.MaxRetry(n/5%4))
		if err == nil {
			s.plain = append(s.plain, h.ID)
		}
		return err
	})
}

func (s *soak) insist(f func(context.Context) error) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	var err error
	for deadline := time.Now().Add(patience.Limit); time.Now().Before(deadline); <-tick.C {
		if err = f(s.t.Context()); err == nil {
			return
		}
	}
	s.t.Fatalf("given up: %v", err)
}

// settle waits until every job has ended, its event is delivered, and Asynq has
// nothing left to bring back.
func (s *soak) settle() {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(patience.Limit)
	for ; time.Now().Before(deadline); <-tick.C {
		if len(s.owing()) == 0 && s.waiting() == 0 {
			return
		}
	}
	s.t.Errorf("jobs are still open: %v", s.owing())
}

// waiting counts the tasks that Asynq will run.
func (s *soak) waiting() (n int) {
	for _, list := range []func(string, ...asynq.ListOption) ([]*asynq.TaskInfo, error){
		s.inspect.ListPendingTasks, s.inspect.ListActiveTasks, s.inspect.ListScheduledTasks, s.inspect.ListRetryTasks,
	} {
		tasks, err := list("lm.default")
		if err != nil {
			s.t.Fatal(err)
		}
		n += len(tasks)
	}
	return n
}

// attempts sums up what the jobs needed.
func (s *soak) attempts() int {
	n := 0
	for id := range s.jobs {
		info, err := s.client.Get(s.t.Context(), id)
		if err != nil {
			s.t.Errorf("job %s: %v", id, err)
		}
		n += info.Attempt
	}
	return n
}

func (s *soak) owing() []string {
	var ids []string
	for n := range 16 {
		members, err := s.client.OpenJobs(s.t.Context(), n)
		if err != nil {
			s.t.Fatal(err)
		}
		ids = append(ids, members...)
	}
	return ids
}

func (s *soak) check() {
	ends := make(map[string][]jobs.Event)
	for n := range soakSessions() {
		entries, err := s.store.Read(s.t.Context(), fmt.Sprintf("soak-session-%d", n), 0, 1000)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, e := range entries {
			ev, err := jobs.EventOf(pushData(e.Data))
			if err != nil {
				s.t.Errorf("entry %s: %v", e.ID, err)
				continue
			}
			switch {
			case ev.State.Ended():
				ends[ev.ID] = append(ends[ev.ID], ev)
			case len(ends[ev.ID]) > 0:
				s.t.Errorf("job %s: %s after the end", ev.ID, ev.State)
			}
		}
	}
	for id := range s.jobs {
		info, err := s.client.Get(s.t.Context(), id)
		if err != nil {
			s.t.Errorf("job %s: %v", id, err)
			continue
		}
		s.counts[string(info.State)]++
		if info.Code == "crashed" || info.Code == "timeout" {
			s.counts["failed as "+info.Code]++
		}
		if len(ends[id]) != 1 {
			s.t.Errorf("job %s is %s, has %d terminal events: %v", id, info.State, len(ends[id]), ends[id])
		} else if ends[id][0].State != info.State {
			s.t.Errorf("job %s is %s, its event says %s", id, info.State, ends[id][0].State)
		}
		s.checkTask(id, info)
	}
	for _, id := range s.plain {
		info, err := s.client.Get(s.t.Context(), id)
		if err != nil || !info.State.Ended() || info.State == jobs.StateLost {
			s.t.Errorf("plain job %s is %s, %v", id, info.State, err)
		}
		s.counts["plain "+string(info.State)]++
		s.checkTask(id, info)
	}
}

// checkTask compares with what Asynq shows an operator.
func (s *soak) checkTask(id string, info jobs.Info) {
	task, err := s.inspect.GetTaskInfo("lm.default", id)
	gone := errors.Is(err, asynq.ErrTaskNotFound)
	switch {
	case err != nil && !gone:
		s.t.Errorf("task %s: %v", id, err)
	case gone == (info.State == jobs.StateFailed):
		s.t.Errorf("job %s is %s, its task gone: %t", id, info.State, gone)
	case !gone && task.State != asynq.TaskStateArchived:
		s.t.Errorf("job %s is %s, its task %s", id, info.State, task.State)
	}
}
