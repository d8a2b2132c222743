// Package bench measures the whole: from a publisher to a WebSocket frame, from
// a click to the job's patch, and from a shell to the first page. Its parts are
// benchmarks, run by hand on a quiet machine; docs/bench holds results. It
// asserts no times. Nothing imports it.
package bench

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// Times collects durations.
type Times []time.Duration

// Quantile returns the q-th part, such as 0.99 for p99. No times give zero.
func (t Times) Quantile(q float64) time.Duration {
	if len(t) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(t))
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}

// Report adds p50 and p99 in microseconds to a benchmark's line.
func (t Times) Report(b *testing.B, name string) {
	b.Helper()
	for _, q := range []float64{0.5, 0.99} {
		b.ReportMetric(float64(t.Quantile(q))/float64(time.Microsecond), fmt.Sprintf("%s-p%.0f-us", name, 100*q))
	}
}
