package cron_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"lastmile/jobs"
	"lastmile/jobs/cron"
	"lastmile/jobs/jobstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestOnceForEachTimeOnThreeNodes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := jobstest.New(t)
		kind := jobs.Define[string, int]("test.tidy")
		k.Start(jobs.PoolConfig{CheckInterval: time.Second}, func(p *jobs.Pool) {
			kind.Handle(p, func(context.Context, *jobs.Job[string]) (int, error) { return 1, nil })
		})
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 3 {
			c, err := cron.New(k.Client, nil, cron.Entry{
				Name: "tidy", Spec: "*/5 * * * *", CatchUp: time.Hour,
				Step: kind.Step("x", jobs.Notify(k.Session("s"), jobs.OnDone("Done"))),
			})
			if err != nil {
				t.Fatal(err)
			}
			wg.Go(func() {
				if err := c.Run(ctx); err != nil {
					t.Errorf("Run = %v", err)
				}
			})
		}
		time.Sleep(7 * time.Minute)
		k.Outage(5 * time.Minute) // a time passes meanwhile
		time.Sleep(4 * time.Minute)
		stop()
		wg.Wait()
		k.Drain()
		var ids []string
		for _, p := range k.Events("s") {
			ids = append(ids, p.Event.ID)
		}
		midnight := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
		want := make([]string, 4) // one made up for at the start, three in their time
		for i := range want {
			want[i] = fmt.Sprintf("cron:tidy:%d", midnight+int64(i)*300)
		}
		if !slices.Equal(ids, want) {
			t.Errorf("jobs = %v, want %v", ids, want)
		}
	})
}

func TestInvalidEntries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := jobstest.New(t)
		good := jobs.Define[string, int]("test.tidy").Step("x")
		bad := jobs.Define[string, int]("no good").Step("x")
		for name, e := range map[string]cron.Entry{
			"no name": {Spec: "@daily", Step: good}, "every": {Name: "a", Spec: "@every 1h", Step: good},
			"spec": {Name: "a", Spec: "61 * * * *", Step: good}, "step": {Name: "a", Spec: "@daily", Step: bad},
			"zone": {Name: "a", Spec: "TZ=UTC 1 * * * *", Step: good}, "catch-up": {Name: "a", Spec: "@daily", CatchUp: -1, Step: good},
		} {
			if _, err := cron.New(k.Client, nil, e); !errors.Is(err, jobs.ErrInvalid) {
				t.Errorf("%s: New = %v, want ErrInvalid", name, err)
			}
		}
		twice := cron.Entry{Name: "a", Spec: "@daily", Step: good}
		if _, err := cron.New(k.Client, nil, twice, twice); !errors.Is(err, jobs.ErrInvalid) {
			t.Errorf("a name twice: New = %v", err)
		}
	})
}
