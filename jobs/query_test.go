package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"lastmile/jobs"
	"lastmile/jobs/jobstest"
)

// ids lists the jobs that a query finds, over all pages.
func ids(t *testing.T, k *jobstest.Kit, q jobs.Query) []string {
	t.Helper()
	var out []string
	for {
		p, err := k.Client.Jobs(t.Context(), q)
		if err != nil {
			t.Fatalf("Jobs(%+v): %v", q, err)
		}
		for _, i := range p.Jobs {
			out = append(out, i.ID)
		}
		if q.After = p.Next; q.After == "" {
			return out
		}
		if len(p.Jobs) != q.Limit {
			t.Fatalf("a page of %d jobs is not the last one", len(p.Jobs))
		}
	}
}

// inEachState makes a job of each state, a second apart, and returns when the
// first was made.
func inEachState(t *testing.T, k *jobstest.Kit) (kind, other *jobs.Kind[args, result], first time.Time) {
	t.Helper()
	kind, other = define(jobs.MaxRetry(1), jobs.RetryBackoff(time.Hour, time.Hour)), jobs.Define[args, result]("test.other", jobs.Queue("slow"))
	time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(time.Second)))
	first = time.Now()
	w := k.Start(jobs.PoolConfig{CheckInterval: checkEvery}, func(p *jobs.Pool) {
		kind.Handle(p, func(ctx context.Context, j *jobs.Job[args]) (result, error) {
			switch j.Args.Name {
			case "completed", "plain completed":
				return result{7}, nil
			case "failed":
				return result{}, jobs.Discard(errBoom)
			case "retrying":
				return result{}, errBoom
			default:
				<-ctx.Done()
				return result{}, ctx.Err()
			}
		})
	})
	add := func(name string, opts ...jobs.Option) {
		t.Helper()
		if _, err := kind.With(k.Client).Enqueue(t.Context(), args{name}, append(opts, jobs.ID(name))...); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
	}
	add("completed", jobs.Notify(k.Session("s")))
	add("failed")
	add("retrying", jobs.Notify(k.Session("s")))
	add("cancelled", jobs.ProcessIn(time.Hour))
	if err := k.Client.Cancel(t.Context(), "cancelled"); err != nil {
		t.Fatal(err)
	}
	add("scheduled", jobs.ProcessIn(time.Hour))
	add("running")
	k.WaitState("running", jobs.StateRunning)
	if _, err := other.With(k.Client).Enqueue(t.Context(), args{"queued"}, jobs.ID("queued"), notify(k)); err != nil {
		t.Fatal(err)
	}
	_ = w
	return kind, other, first
}

func TestJobsFindsWhatIsAskedFor(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		_, _, first := inEachState(t, k)
		at := func(n int) time.Time { return first.Add(time.Duration(n) * time.Second) }
		for name, tt := range map[string]struct {
			q    jobs.Query
			want string
		}{
			"all":               {jobs.Query{}, "queued running scheduled cancelled retrying failed completed"},
			"one state":         {jobs.Query{States: []jobs.State{jobs.StateCompleted}}, "completed"},
			"two states":        {jobs.Query{States: []jobs.State{jobs.StateFailed, jobs.StateRunning}}, "running failed"},
			"a kind":            {jobs.Query{Kind: "test.other"}, "queued"},
			"a kind and state":  {jobs.Query{Kind: "test.work", States: []jobs.State{jobs.StateQueued}}, ""},
			"a queue":           {jobs.Query{Queue: "slow"}, "queued"},
			"queue and kind":    {jobs.Query{Queue: "default", Kind: "test.work"}, "running scheduled cancelled retrying failed completed"},
			"a queue of no job": {jobs.Query{Queue: "nobody"}, ""},
			"a session":         {jobs.Query{Session: "s"}, "queued retrying completed"},
			"session and state": {jobs.Query{Session: "s", States: []jobs.State{jobs.StateRetrying}}, "retrying"},
			"made since":        {jobs.Query{CreatedSince: at(4)}, "queued running scheduled"},
			"made before":       {jobs.Query{CreatedBefore: at(2)}, "failed completed"},
			"made between":      {jobs.Query{CreatedSince: at(1), CreatedBefore: at(3)}, "retrying failed"},
			"ended":             {jobs.Query{EndedSince: at(0)}, "cancelled failed completed"},
			"ended before":      {jobs.Query{EndedBefore: at(3)}, "failed completed"},
			"ended later":       {jobs.Query{EndedSince: at(60)}, ""},
		} {
			want := strings.Fields(tt.want)
			for _, limit := range []int{1, 2, 3, len(want), 100} {
				tt.q.Limit = max(limit, 1)
				if got := ids(t, k, tt.q); !slices.Equal(got, want) {
					t.Errorf("%s, %d a page: %q, want %q", name, limit, got, want)
				}
			}
		}
		p, err := k.Client.Jobs(t.Context(), jobs.Query{States: []jobs.State{jobs.StateRetrying}})
		if err != nil || len(p.Jobs) != 1 {
			t.Fatalf("%+v, %v", p, err)
		}
		got, err := k.Client.Get(t.Context(), "retrying")
		if err != nil {
			t.Fatal(err)
		}
		if i := p.Jobs[0]; i.Attempt != 1 || i.Attempts != 2 || !i.NextAt.Equal(got.NextAt) || i.Code != got.Code || i.Args != nil {
			t.Errorf("listed %+v, want what Get says: %+v", i, got)
		}
	})
}

func TestQueriesThatMakeNoSense(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		for _, q := range []jobs.Query{{States: []jobs.State{"asleep"}}, {Limit: -1}, {Limit: 1001}, {After: "!"}, {After: "YQ"}} {
			if _, err := k.Client.Jobs(t.Context(), q); !errors.Is(err, jobs.ErrInvalid) {
				t.Errorf("%+v: %v, want ErrInvalid", q, err)
			}
		}
	})
}

// TestJobsListsPlainJobs: also those of which only Asynq knows.
func TestJobsListsPlainJobs(t *testing.T) {
	t.Parallel()
	for _, sharded := range []bool{false, true} {
		t.Run(fmt.Sprint("sharded ", sharded), func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, k *jobstest.Kit) {
				t.Helper()
				client, err := jobs.NewClient(k.Redis, k.Publisher, jobs.ClientConfig{Sharded: sharded})
				if err != nil {
					t.Fatal(err)
				}
				kind := define(jobs.MaxRetry(4))
				var made []string
				for i := range 5 {
					var opts []jobs.Option
					if i == 4 {
						opts = append(opts, jobs.ProcessIn(time.Minute))
					}
					h, err := kind.With(client).Enqueue(t.Context(), args{"a"}, opts...)
					if err != nil {
						t.Fatal(err)
					}
					made = append([]string{h.ID}, made...)
					time.Sleep(time.Second)
				}
				for state, want := range map[jobs.State][]string{jobs.StateScheduled: made[:1], jobs.StateQueued: made[1:]} {
					q := jobs.Query{States: []jobs.State{state}, Limit: 2}
					if got := ids(t, k, q); !slices.Equal(got, want) {
						t.Errorf("%s: %q, want %q", state, got, want)
					}
				}
				p, err := client.Jobs(t.Context(), jobs.Query{Limit: 1})
				if err != nil || p.Jobs[0].Attempts != 5 || p.Jobs[0].Kind != "test.work" || p.Jobs[0].Queue != "default" {
					t.Errorf("%+v, %v", p.Jobs, err)
				}
				release := make(chan struct{})
				start(k, kind, func(context.Context, *jobs.Job[args]) (result, error) {
					<-release
					return result{7}, nil
				})
				k.Until("a job to run", func() bool {
					p, err := client.Jobs(t.Context(), jobs.Query{Limit: 1000})
					return err == nil && slices.ContainsFunc(p.Jobs, func(i jobs.Info) bool { return i.State == jobs.StateRunning })
				})
				close(release)
				for _, id := range made {
					k.Wait(id)
				}
				if got := ids(t, k, jobs.Query{States: []jobs.State{jobs.StateCompleted}, Limit: 3}); !slices.Equal(got, made) {
					t.Errorf("completed: %q, want %q", got, made)
				}
			})
		})
	}
}

// TestTidyMends: whatever is wrong with the index is mended, and what has expired
// leaves it.
func TestTidyMends(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define(jobs.Retention(time.Minute))
		start(k, kind, quick)
		for range 20 {
			wantEnd(t, k, enqueue(t, k, kind), jobs.StateCompleted)
		}
		waits := enqueue(t, k, kind, jobs.ProcessIn(time.Hour))
		const index = "lm:jobs:{j0}:index"
		wrong := []string{
			"queued\x01test.work\x01default\x010946684800000nobody\x010000000000000",
			"failed\x01test.work\x01default\x010946684800000nobody\x010946684800000",
			"rubbish", "running\x01a\x01b\x01c",
		}
		for _, e := range wrong {
			k.Redis.ZAdd(t.Context(), index, z(e))
		}
		entries, err := k.Client.Index(t.Context())
		if err != nil || len(entries) != 21+len(wrong) {
			t.Fatalf("%d entries, %v", len(entries), err)
		}
		time.Sleep(5 * time.Minute) // watchdogs tidy meanwhile
		if entries, err := k.Client.Index(t.Context()); err != nil || len(entries) != 1 || !strings.Contains(entries[0], waits) {
			t.Errorf("entries: %q, %v, want that of the job that waits", entries, err)
		}
		for n := range 16 { // the entry is wrong in everything but the ID
			key := fmt.Sprintf("lm:jobs:{j%d}:index", n)
			if n, _ := k.Redis.ZCard(t.Context(), key).Result(); n > 0 {
				k.Redis.Del(t.Context(), key)
				k.Redis.ZAdd(t.Context(), key, z("lost\x01x\x01y\x010946684800000"+waits+"\x010946684800000"))
			}
		}
		time.Sleep(time.Minute)
		if got := ids(t, k, jobs.Query{Limit: 10}); !slices.Equal(got, []string{waits}) {
			t.Errorf("listed %q", got)
		}
	})
}

// TestEndsFollowTheRecord: by the time ended a job is listed once, wherever it has
// been, and not at all while it runs again or when its record has expired.
func TestEndsFollowTheRecord(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define(jobs.Retention(10*time.Minute), jobs.MaxRetry(0))
		hold := make(chan struct{}, 1)
		hold <- struct{}{}
		start(k, kind, func(context.Context, *jobs.Job[args]) (result, error) {
			<-hold
			return result{}, errBoom
		})
		began := time.Now()
		id := enqueue(t, k, kind, notify(k))
		k.WaitState(id, jobs.StateFailed)
		listed := func(since time.Time, want ...string) {
			t.Helper()
			if got := ids(t, k, jobs.Query{EndedSince: since, Limit: 10}); !slices.Equal(got, want) {
				t.Errorf("ended since %v: %q, want %q", since, got, want)
			}
			members := 0
			for n := range 16 {
				members += int(k.Redis.ZCard(t.Context(), fmt.Sprintf("lm:jobs:{j%d}:ends", n)).Val())
			}
			if members != len(want) {
				t.Errorf("%d entries of what has ended, want %d", members, len(want))
			}
		}
		listed(began, id)
		if err := k.Client.Retry(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		k.WaitState(id, jobs.StateRunning)
		listed(began)
		hold <- struct{}{}
		k.WaitState(id, jobs.StateFailed)
		listed(began, id)
		time.Sleep(15 * time.Minute)
		listed(began)
	})
}

// TestEnqueueThatDiesHalfWay: a job that was listed and got no task is not listed
// for long.
func TestEnqueueThatDiesHalfWay(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define()
		start(k, kind, quick)
		h, err := kind.With(k.Client).Enqueue(t.Context(), args{"a"}, jobs.ProcessIn(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		if err := k.Inspector().DeleteTask("lm.default", h.ID); err != nil {
			t.Fatal(err)
		}
		if got := ids(t, k, jobs.Query{Limit: 10}); len(got) != 0 {
			t.Errorf("listed %q", got)
		}
		time.Sleep(time.Minute)
		if entries, err := k.Client.Index(t.Context()); err != nil || len(entries) != 0 {
			t.Errorf("entries: %q, %v", entries, err)
		}
	})
}
