package redisstore

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are counted whether or not anybody collects them.
type metrics struct {
	errors   *prometheus.CounterVec
	appended prometheus.Counter
	reads    prometheus.Counter
	watched  prometheus.Gauge
	missed   prometheus.Counter
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "push_stream_store_errors_total", Help: "Failed operations on the store of streams.",
		}, []string{"op"}),
		appended: prometheus.NewCounter(prometheus.CounterOpts{Name: "push_stream_appended_bytes_total", Help: "Bytes appended to streams."}),
		reads:    prometheus.NewCounter(prometheus.CounterOpts{Name: "push_stream_store_reads_total", Help: "Reads of streams that asked the store."}),
		watched:  prometheus.NewGauge(prometheus.GaugeOpts{Name: "push_stream_watched", Help: "Streams that have readers in this process."}),
		missed:   prometheus.NewCounter(prometheus.CounterOpts{Name: "push_stream_missed_total", Help: "Changes that the sweep found, and no wake-up."}),
	}
	if r == nil {
		return m, nil
	}
	return m, errors.Join(register(r, &m.errors), register(r, &m.appended), register(r, &m.reads), register(r, &m.watched), register(r, &m.missed))
}

// register registers *c, or replaces it by the one that another Store of this
// process has registered.
func register[C prometheus.Collector](r prometheus.Registerer, c *C) error {
	err := r.Register(*c)
	if known, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		if old, ok := known.ExistingCollector.(C); ok {
			*c = old
			return nil
		}
	}
	return err
}
