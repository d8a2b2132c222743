package jobs_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"lastmile/jobs"
)

// queryJobs is how many jobs BenchmarkJobs lists from.
const queryJobs = 100_000

// fill makes jobs of kinds in queues: 70 of 100 completed, 10 failed, 20 waiting.
func (e *bench) fill(b *testing.B, kinds, queues int) (all []*jobs.Kind[benchArgs, struct{}]) {
	b.Helper()
	for i := range kinds {
		all = append(all, jobs.Define[benchArgs, struct{}](fmt.Sprintf("bench.%d", i)).With(e.client))
	}
	add := func(from, to int, opts ...jobs.Option) {
		spread(to-from, func(i int) {
			opts := append(slices.Clip(opts), jobs.Queue(fmt.Sprintf("q%d", (from+i)/kinds%queues)))
			if i%10 == 0 {
				opts = append(opts, e.notify(i, "notify-1000"))
			}
			if _, err := all[i%kinds].Enqueue(b.Context(), benchArgs{At: int64(i)}, opts...); err != nil {
				b.Error(err)
			}
		})
	}
	add(0, queryJobs*8/10)
	cfg := jobs.PoolConfig{ClientConfig: jobs.ClientConfig{Logger: e.log}, Concurrency: 100, Queues: map[string]int{}}
	for i := range queues {
		cfg.Queues[fmt.Sprintf("q%d", i)] = 1
	}
	pool, err := jobs.NewPool(e.rdb, e.pub, cfg)
	if err != nil {
		b.Fatal(err)
	}
	for _, k := range all {
		k.Handle(pool, func(_ context.Context, j *jobs.Job[benchArgs]) (struct{}, error) {
			if j.Args.At%8 == 0 {
				return struct{}{}, jobs.Discard(errBoom)
			}
			return struct{}{}, nil
		})
	}
	ctx, stop := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- pool.Run(ctx) }()
	for {
		p, err := e.client.Jobs(b.Context(), jobs.Query{Limit: 1, States: []jobs.State{
			jobs.StateQueued, jobs.StateRunning, jobs.StateRetrying, jobs.StateScheduled, jobs.StateStalled,
		}})
		if err != nil {
			b.Fatal(err)
		}
		if len(p.Jobs) == 0 {
			break
		}
		<-time.After(100 * time.Millisecond)
	}
	stop()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	add(queryJobs*8/10, queryJobs*9/10)
	add(queryJobs*9/10, queryJobs, jobs.ProcessIn(time.Hour))
	return all
}

// BenchmarkJobs reads pages of 100 of 100,000 jobs:
//
//	go test -run '^$' -bench 'BenchmarkJobs$' -benchtime 300x ./jobs/
func BenchmarkJobs(b *testing.B) {
	for _, size := range [][2]int{{5, 3}, {50, 20}} {
		b.Run(fmt.Sprintf("kinds=%d,queues=%d", size[0], size[1]), func(b *testing.B) {
			e := newBench(b)
			begun := time.Now()
			e.fill(b, size[0], size[1])
			middle := begun.Add(time.Since(begun) / 2)
			deep := jobs.Query{Limit: 1000}
			for range 40 {
				p, err := e.client.Jobs(b.Context(), deep)
				if err != nil {
					b.Fatal(err)
				}
				deep.After = p.Next
			}
			for _, tt := range []struct {
				name string
				q    jobs.Query
			}{
				{"all", jobs.Query{}},
				{"state", jobs.Query{States: []jobs.State{jobs.StateFailed}}},
				{"waiting", jobs.Query{States: []jobs.State{jobs.StateQueued}}},
				{"kind", jobs.Query{Kind: "bench.3"}},
				{"queue", jobs.Query{Queue: "q1"}},
				{"state-kind-queue", jobs.Query{States: []jobs.State{jobs.StateCompleted}, Kind: "bench.1", Queue: "q0"}},
				{"none", jobs.Query{Kind: "nobody"}},
				{"none-of-state", jobs.Query{States: []jobs.State{jobs.StateLost}}},
				{"created", jobs.Query{CreatedBefore: middle}},
				{"ended", jobs.Query{EndedBefore: middle}},
				{"ended-never", jobs.Query{EndedSince: time.Now().Add(time.Hour)}},
				{"page-401", jobs.Query{After: deep.After}},
				{"session", jobs.Query{Session: "bench-10"}},
			} {
				b.Run(tt.name, func(b *testing.B) {
					took := make([]time.Duration, 0, b.N)
					found, cpu := 0, e.server.CPU(b)
					for b.Loop() {
						at := time.Now()
						p, err := e.client.Jobs(b.Context(), tt.q)
						if err != nil {
							b.Fatal(err)
						}
						took = append(took, time.Since(at))
						found = len(p.Jobs)
					}
					b.ReportMetric(float64((e.server.CPU(b)-cpu).Microseconds())/1000/float64(b.N), "redis-cpu-ms")
					slices.Sort(took)
					b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
					b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
					b.ReportMetric(float64(found), "jobs")
					b.ReportMetric(0, "ns/op")
				})
			}
		})
	}
}
