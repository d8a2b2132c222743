package jobs

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// depth counts the jobs that are not over, by state and queue.
type depth struct {
	jobs, oldest *prometheus.GaugeVec
}

func newDepth() depth {
	return depth{
		jobs: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "jobs_depth", Help: "Jobs that are not over, of all processes. Jobs without a session count as queued in their first seconds with a worker.",
		}, []string{"state", "queue"}),
		oldest: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "jobs_oldest_seconds", Help: "Age of the oldest job in the state, since it was made.",
		}, []string{"state", "queue"}),
	}
}

// count is how many jobs of a state there are in a queue, and when the oldest was
// made.
type count struct {
	jobs   int64
	oldest time.Time
}

type stateOfQueue struct{ state, queue string }

// counts reads the index. of are the states.
func (x index) counts(ctx context.Context, of []State) (map[stateOfQueue]count, error) {
	args := make([]any, 0, len(of))
	for _, s := range of {
		args = append(args, string(s))
	}
	all := map[stateOfQueue]count{}
	for _, some := range x.c.shardGroups() {
		keys := make([]string, 0, len(some))
		for _, n := range some {
			keys = append(keys, x.c.listing(n))
		}
		v, err := x.c.run(ctx, "count", keys, args...).Slice()
		if err != nil {
			return nil, fmt.Errorf("jobs: count jobs: %w", err)
		}
		r := reply(v)
		for i := 0; i+3 < len(r); i += 4 {
			k := stateOfQueue{r.str(i), r.str(i + 1)}
			sum, made := all[k], time.UnixMilli(r.num(i+3))
			sum.jobs += r.num(i + 2)
			if sum.oldest.IsZero() || made.Before(sum.oldest) {
				sum.oldest = made
			}
			all[k] = sum
		}
	}
	return all, nil
}

// measureDepth counts for the metrics.
func (w watchdog) measureDepth(ctx context.Context) error {
	open := []State{StateQueued, StateScheduled, StateRunning, StateRetrying, StateStalled}
	all, err := index(w).counts(ctx, open)
	if err != nil {
		return err
	}
	m := &w.c.metrics.depth
	m.jobs.Reset()
	m.oldest.Reset()
	for _, s := range open { // so that an empty queue is a zero and not a gap
		w.c.queues.Range(func(q, _ any) bool {
			if name, ok := q.(string); ok {
				m.jobs.WithLabelValues(string(s), name).Set(0)
			}
			return true
		})
	}
	for k, n := range all {
		m.jobs.WithLabelValues(k.state, k.queue).Set(float64(n.jobs))
		m.oldest.WithLabelValues(k.state, k.queue).Set(w.c.clock.since(ctx, n.oldest).Seconds())
	}
	return nil
}
