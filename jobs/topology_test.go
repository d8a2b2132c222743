package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"lastmile/internal/patience"
	"lastmile/internal/redistest"
	"lastmile/jobs"
	"lastmile/push"
	"lastmile/push/redisstream"
)

// site is a pool, a client and mailboxes on a real Redis of some topology.
type site struct {
	t      *testing.T
	client *jobs.Client
	store  *redisstream.Transport
	pub    *push.Publisher
	kind   *jobs.Kind[soakArgs, result]
}

// newSite starts a pool whose handler does what the job's fate says.
func newSite(t *testing.T, rdb redis.UniversalClient) *site {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	store, err := redisstream.New(rdb, redisstream.Config{Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	pub, err := push.NewPublisher(store, push.PublisherConfig{Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	pool, err := jobs.NewPool(rdb, pub, jobs.PoolConfig{ClientConfig: jobs.ClientConfig{Logger: log, Timeout: time.Minute}})
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, client: pool.Client(), store: store, pub: pub}
	s.kind = jobs.Define[soakArgs, result]("site.work", jobs.RetryBackoff(100*time.Millisecond, time.Second)).With(s.client)
	s.kind.Handle(pool, func(ctx context.Context, j *jobs.Job[soakArgs]) (result, error) {
		switch {
		case j.Args.Fate == "flaky" && j.Attempt == 1:
			return result{}, errBoom
		case j.Args.Fate == "fail":
			return result{}, jobs.Discard(errBoom)
		case j.Args.Fate == "wait":
			<-ctx.Done()
			return result{}, context.Cause(ctx)
		case j.Args.Fate == "slow":
			select {
			case <-time.After(5 * time.Second):
			case <-ctx.Done():
				return result{}, context.Cause(ctx)
			}
		}
		j.Progress(0.5, "half")
		return result{j.Args.N}, nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := pool.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	return s
}

func (s *site) enqueue(fate string, opts ...jobs.Option) string {
	s.t.Helper()
	h, err := s.kind.Enqueue(s.t.Context(), soakArgs{7, fate}, opts...)
	if err != nil {
		s.t.Fatalf("Enqueue %s: %v", fate, err)
	}
	return h.ID
}

func (s *site) notify(session string) jobs.Option {
	return jobs.Notify(s.pub.Session(session), jobs.OnDone("Done"), jobs.OnFailed("Failed"), jobs.On("Started", jobs.StateRunning), jobs.On("Retrying", jobs.StateRetrying))
}

func (s *site) await(id string, want jobs.State) {
	s.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var info jobs.Info
	var err error
	for deadline := time.Now().Add(patience.Limit); time.Now().Before(deadline); <-tick.C {
		if info, err = s.client.Get(s.t.Context(), id); err == nil && info.State == want {
			return
		}
	}
	s.t.Fatalf("job %s is %s (%v), want %s: %+v", id, info.State, err, want, info)
}

// wantTold checks that the session got one terminal event of each job, and the
// right one.
func (s *site) wantTold(session string, want map[string]jobs.State) {
	s.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var ends map[string][]jobs.State
	for deadline := time.Now().Add(patience.Limit); len(ends) < len(want) && time.Now().Before(deadline); <-tick.C {
		entries, err := s.store.Read(s.t.Context(), session, 0, 1000)
		if err != nil {
			s.t.Logf("read events: %v", err) // while a replica takes over
			continue
		}
		ends = make(map[string][]jobs.State)
		for _, e := range entries {
			ev, err := jobs.EventOf(pushData(e.Data))
			if err != nil {
				s.t.Fatal(err)
			}
			if ev.State.Ended() {
				ends[ev.ID] = append(ends[ev.ID], ev.State)
			}
		}
	}
	for id, state := range want {
		if got := ends[id]; len(got) != 1 || got[0] != state {
			s.t.Errorf("job %s: terminal events %v, want %s", id, got, state)
		}
	}
}

// core runs the scenarios that touch every script.
func (s *site) core(session string) {
	s.t.Helper()
	ctx, n := s.t.Context(), s.notify(session)
	want := make(map[string]jobs.State)
	for i := range 20 { // all shards
		want[s.enqueue("ok", n, jobs.ID(fmt.Sprintf("%s-%d", session, i)))] = jobs.StateCompleted
	}
	want[s.enqueue("flaky", n)] = jobs.StateCompleted
	want[s.enqueue("fail", n)] = jobs.StateFailed
	want[s.enqueue("ok", n, jobs.Unique(time.Minute, session), jobs.Concurrency("c", 2), jobs.RateLimit("r", 100, time.Second))] = jobs.StateCompleted
	want[s.enqueue("ok", n, jobs.Then(s.kind.Step(soakArgs{8, "ok"})))] = jobs.StateCompleted
	late, running := s.enqueue("ok", n, jobs.ProcessIn(time.Hour)), s.enqueue("wait", n)
	want[late], want[running] = jobs.StateCancelled, jobs.StateCancelled
	plainLate, plainRunning := s.enqueue("ok", jobs.ProcessIn(time.Hour)), s.enqueue("wait")
	s.await(running, jobs.StateRunning)
	s.await(plainRunning, jobs.StateRunning)
	for _, id := range []string{late, running, plainLate, plainRunning} {
		if err := s.client.Cancel(ctx, id); err != nil {
			s.t.Errorf("Cancel: %v", err)
		}
		s.await(id, jobs.StateCancelled)
	}
	for id, state := range want {
		s.await(id, state)
	}
	for fate, state := range map[string]jobs.State{"ok": jobs.StateCompleted, "flaky": jobs.StateCompleted, "fail": jobs.StateFailed} {
		s.await(s.enqueue(fate), state)
	}
	s.wantTold(session, want)
	if err := s.client.Batch(ctx, session+"-batch", []jobs.Step{s.kind.Step(soakArgs{1, "ok"}), s.kind.Step(soakArgs{2, "fail"})}, s.kind.Step(soakArgs{3, "ok"})); err != nil {
		s.t.Fatalf("Batch: %v", err)
	}
	s.await(session+"-batch:finally", jobs.StateCompleted)
	if infos, err := jobs.ForSession(ctx, s.client, s.pub.Session(session)); err != nil || len(infos) != len(want) {
		s.t.Errorf("ForSession = %d jobs, %v, want %d", len(infos), err, len(want))
	}
	if _, err := s.client.Get(ctx, "nobody"); !errors.Is(err, jobs.ErrNotFound) {
		s.t.Errorf("Get of nothing = %v", err)
	}
}

// survives runs jobs around the death of a primary: some have ended, some run,
// some wait, and more come while it is away. Redis replicates asynchronously, so
// an accepted job of the last moment may be unknown to the replica that takes
// over; whoever repeats an Enqueue with the same ID, as here, loses none.
func (s *site) survives(session string, kill func(), awaitSwitch func()) {
	s.t.Helper()
	n := s.notify(session)
	want := make(map[string]jobs.State)
	fates := map[string]jobs.State{
		"ok": jobs.StateCompleted, "slow": jobs.StateCompleted, "flaky": jobs.StateCompleted,
		"fail": jobs.StateFailed, "wait": jobs.StateCancelled,
	}
	put := func(i int, fate string) {
		id := fmt.Sprintf("%s-%d-%s", session, i, fate)
		want[id] = fates[fate]
		s.insist("enqueue "+id, func(ctx context.Context) error {
			_, err := s.kind.Enqueue(ctx, soakArgs{i, fate}, n, jobs.ID(id))
			return err
		})
	}
	round := func(from, to int) {
		for i := from; i < to; i++ {
			for fate := range fates {
				if fate != "wait" || i == 0 { // it keeps its worker
					put(i, fate)
				}
			}
		}
	}
	round(0, 8)
	s.await(session+"-0-ok", jobs.StateCompleted)
	s.await(session+"-0-slow", jobs.StateRunning)
	s.await(session+"-0-wait", jobs.StateRunning)
	kill()
	var wg sync.WaitGroup
	wg.Go(awaitSwitch)
	round(8, 12)
	wg.Wait()
	round(0, 12)
	s.insist("cancel", func(ctx context.Context) error { return s.client.Cancel(ctx, session+"-0-wait") })
	begun := time.Now()
	for id, state := range want {
		s.await(id, state)
	}
	s.t.Logf("report: %d jobs around a failover, the last ended %s after it", len(want), time.Since(begun).Round(time.Millisecond))
	s.wantTold(session, want)
}

// retryBriefly repeats f until it succeeds.
func (s *site) insist(what string, f func(context.Context) error) {
	s.t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	var err error
	for deadline := time.Now().Add(patience.Limit); time.Now().Before(deadline); <-tick.C {
		if err = f(s.t.Context()); err == nil {
			return
		}
	}
	s.t.Fatalf("%s: %v", what, err)
}

// The scripts of a job stay in one slot, and its steps go over many. Then the
// master dies that has the queue, in the middle of jobs.
func TestCluster(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, redistest.Config{}, true)
	rdb := c.Client(t)
	x := newSite(t, rdb)
	x.core("before")
	slot, err := rdb.ClusterKeySlot(t.Context(), "asynq:{lm.default}:pending").Result()
	if err != nil {
		t.Fatal(err)
	}
	n := int(slot) * len(c.Masters) / 16384
	x.survives("during", c.Masters[n].Kill, func() { c.Replicas[n].AwaitPromotion(t) })
	x.core("after")
}

func TestSentinel(t *testing.T) {
	t.Parallel()
	s := redistest.StartSentinel(t, redistest.Config{})
	x := newSite(t, s.Client(t))
	x.core("before")
	x.survives("during", s.Master.Kill, func() { s.AwaitSwitch(t) })
	x.core("after")
}
