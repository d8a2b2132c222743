package pushhttp

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	readers                  prometheus.Gauge
	events, retries          prometheus.Counter
	topicsLost               prometheus.Counter
	acks, refused, published *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) (metrics, error) {
	m := metrics{
		readers: prometheus.NewGauge(prometheus.GaugeOpts{Name: "pushhttp_readers", Help: "Readers that are connected or polling."}),
		events:  prometheus.NewCounter(prometheus.CounterOpts{Name: "pushhttp_events_total", Help: "Events written to readers."}),
		retries: prometheus.NewCounter(prometheus.CounterOpts{Name: "pushhttp_retries_total", Help: "Tries to open a reader that failed and were repeated."}),
		topicsLost: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pushhttp_topic_messages_dropped_total", Help: "Messages of topics dropped because a reader was too slow.",
		}),
		acks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pushhttp_acks_total", Help: "Confirmations by how they came: resume, poll, post, socket, listen.",
		}, []string{"by"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pushhttp_refused_total", Help: "Requests refused: full, origin, session, request.",
		}, []string{"reason"}),
		published: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pushhttp_published_total", Help: "Pushes posted, by the status of their answer.",
		}, []string{"status"}),
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.readers, m.events, m.retries, m.topicsLost, m.acks, m.refused, m.published} {
		if err := r.Register(c); err != nil {
			return m, fmt.Errorf("pushhttp: register metrics: %w", err)
		}
	}
	return m, nil
}
