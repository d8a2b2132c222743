package jobs_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"lastmile/jobs"
	"lastmile/jobs/jobstest"
)

// TestAbleWorkerHasTheNextTurn: a job that workers of other versions put off goes to
// the one that can run it as soon as it is due again, however the workers' looks fall
// together: each that could not run it is called last. Beside one that cannot, that
// is the next time; beside more of them, each has one more turn at most.
func TestAbleWorkerHasTheNextTurn(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		cannot int
		queues map[string]int
		put    func(*testing.T, *jobstest.Kit, *jobs.Kind[args, result], ...jobs.Option) string
	}{
		{"one", 1, nil, enqueue},
		{"three", 3, nil, enqueue},
		{"one, of two queues", 1, map[string]int{"default": 1, "other": 1}, enqueue},
		{"one, without a session", 1, nil, plain},
	} {
		for _, after := range []time.Duration{0, 2500 * time.Millisecond, 31 * time.Second, 4 * time.Minute} {
			t.Run(fmt.Sprint(tt.name, " after ", after), func(t *testing.T) {
				t.Parallel()
				bubble(t, func(t *testing.T, k *jobstest.Kit) {
					t.Helper()
					reg, kind := prometheus.NewRegistry(), define()
					for i := range tt.cannot {
						cfg := jobs.PoolConfig{Queues: tt.queues}
						if i == 0 {
							cfg.Registerer = reg
						}
						k.Start(cfg, unable[[]int])
					}
					id := tt.put(t, k, kind)
					time.Sleep(after)
					before := counter(t, reg, "jobs_version_skew_total", "bad_args")
					k.Start(jobs.PoolConfig{Queues: tt.queues}, func(p *jobs.Pool) { kind.Handle(p, quick) })
					info := k.Wait(id)
					if info.State != jobs.StateCompleted || info.Attempt != 1 {
						t.Errorf("job is %s in attempt %d", info.State, info.Attempt)
					}
					if more := counter(t, reg, "jobs_version_skew_total", "bad_args") - before; more > 1 {
						t.Errorf("a worker that cannot run it had it %v times more", more)
					}
				})
			})
		}
	}
}
