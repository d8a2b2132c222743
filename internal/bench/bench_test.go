package bench_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"lastmile/internal/bench"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestQuantile(t *testing.T) {
	t.Parallel()
	var times bench.Times
	if got := times.Quantile(0.5); got != 0 {
		t.Errorf("no times: %v", got)
	}
	for i := range 100 {
		times = append(times, time.Duration(100-i))
	}
	for q, want := range map[float64]time.Duration{0: 1, 0.5: 51, 0.99: 100, 1: 100} {
		if got := times.Quantile(q); got != want {
			t.Errorf("quantile %v: %v, want %v", q, got, want)
		}
	}
}
