package jobs_test

import (
	"context"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/redis/go-redis/v9"

	"lastmile/jobs"
	"lastmile/jobs/jobstest"
)

// watching runs a watchdog with metrics until the test ends.
func watching(t *testing.T, k *jobstest.Kit) (*jobs.Client, *prometheus.Registry) {
	t.Helper()
	reg := prometheus.NewRegistry()
	c, err := jobs.NewClient(k.Redis, k.Publisher, jobs.ClientConfig{Registerer: reg})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- c.Watch(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return c, reg
}

func TestDepthIsMeasured(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define()
		_, reg := watching(t, k)
		for i := range 6 {
			opts := []jobs.Option{jobs.ID(fmt.Sprint("job", i))}
			if i%2 == 0 {
				opts = append(opts, jobs.ProcessIn(time.Hour))
			}
			if i == 5 {
				opts = append(opts, jobs.Queue("other"))
			}
			if _, err := kind.With(k.Client).Enqueue(t.Context(), args{"a"}, opts...); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]float64{}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				if n := m.GetGauge().GetValue(); f.GetName() == "jobs_depth" && n > 0 {
					got[m.GetLabel()[0].GetValue()+" "+m.GetLabel()[1].GetValue()] = n
				} else if f.GetName() == "jobs_oldest_seconds" && (n < 40 || n > 70) {
					t.Errorf("the oldest is %v seconds old, want about a minute", n)
				}
			}
		}
		if want := (map[string]float64{"default queued": 2, "default scheduled": 3, "other queued": 1}); !maps.Equal(got, want) {
			t.Errorf("depth %v, want %v", got, want)
		}
	})
}

// late has Redis's clock tell another time.
type late struct{ by time.Duration }

func (*late) DialHook(next redis.DialHook) redis.DialHook { return next }

func (l *late) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if t, ok := cmd.(*redis.TimeCmd); ok {
			t.SetVal(t.Val().Add(l.by))
		}
		return err
	}
}

func (*late) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func TestClockSkewIsMeasured(t *testing.T) {
	t.Parallel()
	for _, by := range []time.Duration{0, 3 * time.Second, -40 * time.Second, 2 * time.Minute} {
		t.Run(by.String(), func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, k *jobstest.Kit) {
				t.Helper()
				k.Redis.AddHook(&late{by})
				c, reg := watching(t, k)
				time.Sleep(10 * time.Second)
				if got := jobs.ClockSkew(c); (got + by).Abs() > time.Second {
					t.Errorf("skew %v, want %v", got, -by)
				}
				if n, err := testutil.GatherAndCount(reg, "jobs_clock_skew_seconds"); err != nil || n != 1 {
					t.Errorf("%d gauges, %v", n, err)
				}
			})
		})
	}
}
