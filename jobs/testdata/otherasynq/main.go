// Otherasynq runs jobs of every fate on whichever Asynq it is linked with, and
// reports what became of them. See TestOtherAsynq.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"lastmile/jobs"
	"lastmile/push"
	"lastmile/push/redisstream"
)

// Report is what became of the jobs.
type Report struct {
	Jobs    map[string]Job
	Warned  []string
	Unknown float64
	Left    []string // tasks that Asynq has still, archived ones of failed jobs apart
}

// Job is what became of one job.
type Job struct {
	State jobs.State
	Runs  int
	Ends  int
	Early bool
}

type args struct {
	Name, Fate string
}

type run struct {
	client, keeping *jobs.Client
	pub             *push.Publisher
	store           *redisstream.Transport
	log             *slog.Logger

	mu       sync.Mutex
	runs     map[string]int
	early    map[string]bool
	due      map[string]time.Time
	starting chan string
}

func main() {
	report, err := work(os.Args[1])
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(report)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func work(addr string) (*Report, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	warned := &warnings{Handler: slog.NewTextHandler(os.Stderr, nil)}
	log, metrics := slog.New(warned), prometheus.NewRegistry()
	rdb := redis.NewClient(&redis.Options{Addr: addr})
	if err := rdb.FlushAll(ctx).Err(); err != nil {
		return nil, err
	}
	store, err := redisstream.New(rdb, redisstream.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	pub, err := push.NewPublisher(store, push.PublisherConfig{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	r := &run{
		pub: pub, store: store, log: log,
		runs: map[string]int{}, early: map[string]bool{}, due: map[string]time.Time{}, starting: make(chan string, 1000),
	}
	cfg := jobs.ClientConfig{Logger: slog.New(slog.DiscardHandler)}
	if r.client, err = jobs.NewClient(rdb, pub, cfg); err != nil {
		return nil, err
	}
	cfg.KeepTasks = time.Hour
	if r.keeping, err = jobs.NewClient(rdb, pub, cfg); err != nil {
		return nil, err
	}
	kind := jobs.Define[args, int]("other.work", jobs.RetryBackoff(50*time.Millisecond, 100*time.Millisecond))

	firstCtx, stopFirst := context.WithCancel(ctx)
	defer stopFirst()
	firstDone := make(chan error, 1)
	pool, err := r.pool(rdb, kind, jobs.ClientConfig{Logger: log, Registerer: metrics})
	if err != nil {
		return nil, err
	}
	go func() { firstDone <- pool.Run(firstCtx) }()
	if err := r.enqueueAll(ctx, kind); err != nil {
		return nil, err
	}
	// The job that is handed back starts here, and ends in another pool.
	r.await("handed-back")
	stopFirst()
	if err := <-firstDone; err != nil {
		return nil, err
	}
	secondCtx, stopSecond := context.WithCancel(ctx)
	defer stopSecond()
	secondDone := make(chan error, 1)
	if pool, err = r.pool(rdb, kind, jobs.ClientConfig{Logger: slog.New(warned.again())}); err != nil {
		return nil, err
	}
	go func() { secondDone <- pool.Run(secondCtx) }()
	report := &Report{Jobs: map[string]Job{}}
	for id := range r.due {
		if err := r.ended(ctx, report, id); err != nil {
			return nil, err
		}
	}
	stopSecond()
	if err := <-secondDone; err != nil {
		return nil, err
	}
	if report.Left, err = left(rdb); err != nil {
		return nil, err
	}
	report.Warned = warned.list()
	families, err := metrics.Gather()
	for _, f := range families {
		if f.GetName() == "jobs_asynq_unknown" {
			report.Unknown = f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	return report, err
}

func (r *run) pool(rdb redis.UniversalClient, kind *jobs.Kind[args, int], cfg jobs.ClientConfig) (*jobs.Pool, error) {
	pool, err := jobs.NewPool(rdb, r.pub, jobs.PoolConfig{
		ClientConfig: cfg, DelayedInterval: 100 * time.Millisecond, DrainTimeout: 200 * time.Millisecond, Concurrency: 8,
	})
	if err != nil {
		return nil, err
	}
	kind.Handle(pool, r.handle)
	return pool, nil
}

var errTransient = errors.New("transient")

func (r *run) handle(ctx context.Context, j *jobs.Job[args]) (int, error) {
	r.mu.Lock()
	r.runs[j.ID]++
	n := r.runs[j.ID]
	r.early[j.ID] = r.early[j.ID] || time.Now().Before(r.due[j.ID])
	r.mu.Unlock()
	r.starting <- j.Args.Name
	switch j.Args.Fate {
	case "retry":
		if n == 1 {
			return 0, errTransient
		}
	case "fail":
		return 0, jobs.Discard(errTransient)
	case "wait":
		<-ctx.Done()
		return 0, ctx.Err()
	case "back":
		if n == 1 {
			<-ctx.Done()
			return 0, ctx.Err()
		}
	case "slow":
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(1500 * time.Millisecond):
		}
	}
	return n, nil
}

// await waits until the job of the name starts.
func (r *run) await(name string) {
	for n := range r.starting {
		if n == name {
			return
		}
	}
}

func (r *run) enqueueAll(ctx context.Context, kind *jobs.Kind[args, int]) error {
	put := func(c *jobs.Client, a args, opts ...jobs.Option) (string, error) {
		h, err := kind.With(c).Enqueue(ctx, a, opts...)
		r.mu.Lock()
		defer r.mu.Unlock()
		if h.ID != "" {
			r.due[h.ID] = r.due[h.ID]
		}
		return h.ID, err
	}
	told := func(name string) []jobs.Option {
		return []jobs.Option{
			jobs.ID(name),
			jobs.Notify(r.pub.Session("session-of-"+name), jobs.OnDone("Done"), jobs.OnFailed("Failed"), jobs.On("Cancelled", jobs.StateCancelled)),
		}
	}
	var errs error
	for _, c := range []struct {
		name   string
		client *jobs.Client
	}{{"", r.client}, {"kept-", r.keeping}} {
		for _, fate := range []string{"ok", "retry", "fail", "slow"} {
			for n := range 3 {
				name := fmt.Sprintf("%s%s-%d", c.name, fate, n)
				_, err := put(c.client, args{name, fate}, told(name)...)
				_, plain := put(c.client, args{name, fate})
				errs = errors.Join(errs, err, plain)
			}
		}
	}
	r.mu.Lock()
	r.due["later"] = time.Now().Add(time.Second)
	r.mu.Unlock()
	_, err := put(r.client, args{"later", "ok"}, append(told("later"), jobs.ProcessIn(time.Second))...)
	errs = errors.Join(errs, err)
	for range 2 {
		_, err := put(r.client, args{"unique", "ok"}, append(told("unique")[1:], jobs.Unique(time.Hour))...)
		errs = errors.Join(errs, err)
	}
	if _, err = put(r.client, args{"cancelled", "wait"}, told("cancelled")...); err != nil {
		return errors.Join(errs, err)
	}
	r.await("cancelled")
	errs = errors.Join(errs, r.client.Cancel(ctx, "cancelled"))
	_, err = put(r.client, args{"handed-back", "back"}, told("handed-back")...)
	return errors.Join(errs, err)
}

// ended waits for the end of a job, and reports it.
func (r *run) ended(ctx context.Context, report *Report, id string) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		info, err := r.client.Get(ctx, id)
		if err == nil && info.State.Ended() {
			var a args
			if err := json.Unmarshal(info.Args, &a); err != nil {
				return err
			}
			ends, err := r.ends(ctx, a.Name, id)
			if err != nil {
				return err
			}
			name := a.Name
			if !strings.HasPrefix(id, a.Name) && a.Name != "unique" {
				name, ends = "plain-"+a.Name, 1 // nobody is told
			}
			r.mu.Lock()
			report.Jobs[name] = Job{info.State, r.runs[id], ends, r.early[id]}
			r.mu.Unlock()
			if ends > 0 {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("job %s: %s, %w, %w", id, info.State, err, ctx.Err())
		case <-tick.C:
		}
	}
}

type bound []byte

func (b bound) Bind(v any) error { return json.Unmarshal(b, v) }

// ends counts the terminal events of a job.
func (r *run) ends(ctx context.Context, name, id string) (int, error) {
	entries, err := r.store.Read(ctx, "session-of-"+name, 0, 1000)
	n := 0
	for _, e := range entries {
		if ev, err := jobs.EventOf(bound(e.Data)); err == nil && ev.ID == id && ev.State.Ended() {
			n++
		}
	}
	return n, err
}

// left lists the tasks that Asynq has not put away.
func left(rdb redis.UniversalClient) ([]string, error) {
	inspect := asynq.NewInspectorFromRedisClient(rdb)
	var out []string
	for _, list := range []func(string, ...asynq.ListOption) ([]*asynq.TaskInfo, error){
		inspect.ListPendingTasks, inspect.ListActiveTasks, inspect.ListScheduledTasks, inspect.ListRetryTasks,
	} {
		tasks, err := list("lm.default")
		if err != nil {
			return nil, err
		}
		for _, t := range tasks {
			out = append(out, t.State.String()+" "+t.ID)
		}
	}
	return out, nil
}

// warnings keeps the messages of warnings.
type warnings struct {
	slog.Handler
	mu  sync.Mutex
	all []string
}

func (w *warnings) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn {
		w.mu.Lock()
		w.all = append(w.all, r.Message)
		w.mu.Unlock()
	}
	return w.Handler.Handle(ctx, r)
}

func (w *warnings) list() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.all
}

// again is a handler for a second pool, whose start need not warn again.
func (w *warnings) again() slog.Handler { return slog.NewTextHandler(io.Discard, nil) }
