package jobs_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"lastmile/internal/patience"
	"lastmile/jobs"
	"lastmile/push"
	"lastmile/push/redisstream"
)

// A test binary that finds these in its environment is a worker process whose
// handlers tell of their starts and wait until Redis has the key of their round.
const (
	takenRedis = "JOBS_TEST_TAKEN_REDIS"
	takenName  = "JOBS_TEST_TAKEN_NAME"
)

// takenStarts is the list of starts: job, attempt, worker and time.
const takenStarts = "starts"

func takenWorker(rdb *redis.Client, pub *push.Publisher) (*jobs.Pool, error) {
	name := os.Getenv(takenName) //nolint:forbidigo // this is a worker process
	pool, err := jobs.NewPool(rdb, pub, jobs.PoolConfig{
		Concurrency:  100,
		ClientConfig: jobs.ClientConfig{Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))},
	})
	if err != nil {
		return nil, err
	}
	define().Handle(pool, func(ctx context.Context, j *jobs.Job[args]) (result, error) {
		rdb.RPush(ctx, takenStarts, fmt.Sprint(j.ID, " ", j.Attempt, " ", name, " ", time.Now().UnixNano()))
		for rdb.Exists(ctx, "go:"+j.Args.Name).Val() == 0 {
			select {
			case <-ctx.Done():
				return result{}, context.Cause(ctx)
			case <-time.After(50 * time.Millisecond):
			}
		}
		return result{j.Attempt}, nil
	})
	return pool, nil
}

var (
	takenKills  = flag.Int("jobs.kills", 1, "rounds of TestTakeoverOfProcesses in which a worker is killed")
	takenPauses = flag.Int("jobs.pauses", 1, "rounds of TestTakeoverOfProcesses in which a worker is paused")
	takenJobs   = flag.Int("jobs.taken", 6, "jobs of each round of TestTakeoverOfProcesses")
)

// fleet is three worker processes.
type fleet struct {
	t       *testing.T
	rdb     *redis.Client
	store   *redisstream.Transport
	pub     *push.Publisher
	client  *jobs.Client
	addr    string
	began   time.Time
	named   int
	workers map[string]*exec.Cmd
	again   []time.Duration // from the loss of a worker until each of its jobs runs again
	told    []time.Duration // and until its page is told
}

// startOf is what a handler has said.
type startOf struct {
	job, worker string
	at          time.Time
}

// TestTakeoverOfProcesses: worker processes die or stand still, in any phase
// between two renewals. Their jobs run again elsewhere, and each has one end, of the
// last run. How long that takes is logged.
func TestTakeoverOfProcesses(t *testing.T) {
	t.Parallel()
	w := newProcessWorld(t)
	f := &fleet{t: t, rdb: w.rdb, store: w.store, pub: w.pub, client: w.client, addr: w.addr, began: time.Now(), workers: map[string]*exec.Cmd{}}
	for range 3 {
		f.spawn()
	}
	for round := range *takenKills {
		f.round(fmt.Sprint("kill", round), syscall.SIGKILL)
	}
	f.report("killed", *takenKills)
	for round := range *takenPauses {
		f.round(fmt.Sprint("pause", round), syscall.SIGSTOP)
	}
	f.report("paused", *takenPauses)
}

func (f *fleet) spawn() {
	f.t.Helper()
	f.named++
	name := "w" + strconv.Itoa(f.named)
	cmd := exec.CommandContext(f.t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), takenRedis+"="+f.addr, takenName+"="+name)
	cmd.Stderr = f.t.Output()
	in, err := cmd.StdinPipe()
	if err != nil {
		f.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	f.workers[name] = cmd
}

// starts returns the last start of each job of the round.
func (f *fleet) starts(ids []string) map[string]startOf {
	f.t.Helper()
	lines, err := f.rdb.LRange(f.t.Context(), takenStarts, 0, -1).Result()
	if err != nil {
		f.t.Fatal(err)
	}
	last := map[string]startOf{}
	for _, line := range lines {
		part := strings.Fields(line)
		ns, err := strconv.ParseInt(part[3], 10, 64)
		if err != nil {
			f.t.Fatal(err)
		}
		if slices.Contains(ids, part[0]) {
			last[part[0]] = startOf{part[0], part[2], time.Unix(0, ns)}
		}
	}
	return last
}

// round loses the worker that has most jobs.
func (f *fleet) round(name string, sig syscall.Signal) {
	f.t.Helper()
	ctx := f.t.Context()
	f.rdb.Del(ctx, takenStarts)
	var ids, told []string // the sessions of told hear of it all
	for n := range *takenJobs {
		opts := []jobs.Option{jobs.MaxRetry(20)}
		if n%3 < 2 {
			opts = append(opts, jobs.Notify(f.pub.Session(name), jobs.OnDone("Done"), jobs.OnFailed("Failed"), jobs.On("Stalled", jobs.StateStalled)))
		}
		h, err := define().With(f.client).Enqueue(ctx, args{name}, opts...)
		if err != nil {
			f.t.Fatal(err)
		}
		if ids = append(ids, h.ID); n%3 < 2 {
			told = append(told, h.ID)
		}
	}
	patience.Until(f.t, "all jobs run", func() bool { return len(f.starts(ids)) == len(ids) })
	<-time.After(max(0, time.Until(f.began.Add(6*time.Second))) + rand.N(1500*time.Millisecond)) // any phase of its renewals, once all watch
	victim, had := f.most(f.starts(ids))
	cmd, began := f.workers[victim], time.Now()
	if err := cmd.Process.Signal(sig); err != nil {
		f.t.Fatal(err)
	}
	waiting := slices.DeleteFunc(slices.Clone(told), func(id string) bool { return !slices.Contains(had, id) })
	patience.Until(f.t, "its jobs run elsewhere, and the pages are told", func() bool {
		for _, id := range f.stalled(name) {
			if i := slices.Index(waiting, id); i >= 0 {
				waiting = slices.Delete(waiting, i, i+1)
				f.told = append(f.told, time.Since(began))
			}
		}
		now := f.starts(ids)
		return len(waiting) == 0 && !slices.ContainsFunc(had, func(id string) bool { return now[id].worker == victim })
	})
	for id, s := range f.starts(ids) {
		if slices.Contains(had, id) {
			f.again = append(f.again, s.at.Sub(began))
		}
	}
	f.rdb.Set(ctx, "go:"+name, 1, 0)
	if sig == syscall.SIGSTOP {
		_ = cmd.Process.Signal(syscall.SIGCONT)
	} else {
		_ = cmd.Wait()
		delete(f.workers, victim)
		f.spawn()
	}
	f.wantEnds(name, ids, told)
}

// most names the worker that has most jobs, and these.
func (f *fleet) most(starts map[string]startOf) (worker string, ids []string) {
	f.t.Helper()
	by := map[string][]string{}
	for id, s := range starts {
		by[s.worker] = append(by[s.worker], id)
	}
	for w, some := range by {
		if f.workers[w] == nil {
			f.t.Fatalf("jobs %v run with %q, which is dead", some, w)
		}
		if len(some) > len(ids) {
			worker, ids = w, some
		}
	}
	return worker, ids
}

// stalled are the jobs of which the session was told that they stalled.
func (f *fleet) stalled(session string) (ids []string) {
	f.t.Helper()
	for _, e := range f.events(session) {
		if e.State == jobs.StateStalled {
			ids = append(ids, e.ID)
		}
	}
	return ids
}

func (f *fleet) events(session string) (all []jobs.Event) {
	f.t.Helper()
	entries, err := f.store.Read(f.t.Context(), session, 0, 1000)
	if err != nil {
		f.t.Fatal(err)
	}
	for _, e := range entries {
		ev, err := jobs.EventOf(pushData(e.Data))
		if err != nil {
			f.t.Fatal(err)
		}
		all = append(all, ev)
	}
	return all
}

// wantEnds expects one end of each job, of its last run.
func (f *fleet) wantEnds(session string, ids, told []string) {
	f.t.Helper()
	for _, id := range ids {
		var i jobs.Info
		patience.UntilSaid(f.t, "the job ends", func() (bool, string) {
			var err error
			i, err = f.client.Get(f.t.Context(), id)
			return err == nil && i.State.Ended(), fmt.Sprint(i, err)
		})
		if want := fmt.Sprintf(`{"size":%d}`, i.Attempt); i.State != jobs.StateCompleted || string(i.Result) != want {
			f.t.Errorf("job %s is %s with %s, want completed with %s", id, i.State, i.Result, want)
		}
	}
	patience.Until(f.t, "every page is told of an end", func() bool {
		ends := map[string]int{}
		for _, e := range f.events(session) {
			if e.State.Ended() {
				ends[e.ID]++
			}
		}
		for id, n := range ends {
			if n != 1 {
				f.t.Fatalf("the page was told of %d ends of job %s", n, id)
			}
		}
		return len(ends) == len(told)
	})
}

// report logs how long it took.
func (f *fleet) report(how string, rounds int) {
	f.t.Helper()
	for what, all := range map[string][]time.Duration{"runs again": f.again, "page told": f.told} {
		slices.Sort(all)
		if n := len(all); n > 0 {
			f.t.Logf("report: %d workers %s, %d jobs, %s: min %v p50 %v p99 %v max %v", rounds, how, n, what,
				all[0].Round(time.Millisecond), all[n/2].Round(time.Millisecond), all[min(n-1, n*99/100)].Round(time.Millisecond), all[n-1].Round(time.Millisecond))
		}
	}
	f.again, f.told = nil, nil
}
