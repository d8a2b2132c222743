package push

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// register adds c to r, or returns the like collector that is there already,
// so that two publishers or nodes of one process share their metrics.
func register[C prometheus.Collector](r prometheus.Registerer, c C) (C, error) {
	if r == nil {
		return c, nil
	}
	err := r.Register(c)
	if err == nil {
		return c, nil
	}
	if are, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		if same, ok := are.ExistingCollector.(C); ok {
			return same, nil
		}
	}
	return c, err
}

type publisherMetrics struct {
	published *prometheus.CounterVec
	retries   prometheus.Counter
	seconds   prometheus.Histogram
}

func newPublisherMetrics(r prometheus.Registerer) (m publisherMetrics, err error) {
	m.published, err = register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "push_published_total",
		Help: "Pushes by what became of them: live (a node was woken), parked, duplicate, full, closed, invalid, error.",
	}, []string{"result"}))
	if err != nil {
		return m, err
	}
	m.retries, err = register(r, prometheus.NewCounter(prometheus.CounterOpts{
		Name: "push_publish_retries_total",
		Help: "Repeated attempts to store a push whose fate was unknown.",
	}))
	if err != nil {
		return m, err
	}
	m.seconds, err = register(r, prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "push_publish_seconds",
		Help:    "Time until a push was stored, or given up.",
		Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, 1, 2.5, 5},
	}))
	return m, err
}
