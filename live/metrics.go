package live

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the hub's. None has a label per session, action or connection.
type metrics struct {
	actions      *prometheus.CounterVec
	actionTime   *prometheus.HistogramVec
	commits      *prometheus.CounterVec
	mounts       *prometheus.CounterVec
	frames       *prometheus.CounterVec
	frameBytes   prometheus.Histogram
	pushLatency  prometheus.Histogram
	retries      prometheus.Counter
	deadLettered *prometheus.CounterVec
	skipped      prometheus.Counter
	repeated     prometheus.Counter
	unknown      prometheus.Counter
	ended        *prometheus.CounterVec
	refused      *prometheus.CounterVec
	renderErrs   prometheus.Counter
	topicsLost   prometheus.Counter
	misfits      prometheus.Counter
	turnedAway   prometheus.Counter
	irregular    *prometheus.CounterVec
}

func newMetrics(reg prometheus.Registerer, h *Hub) (*metrics, error) {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "live_" + name, Help: help})
	}
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "live_" + name, Help: help}, labels)
	}
	m := &metrics{
		actions: vec("actions_total", "Actions run, by what caused them and how they ended.", "source", "outcome"),
		actionTime: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "live_action_seconds", Help: "Time that actions took.", Buckets: prometheus.ExponentialBuckets(1e-5, 4, 10),
		}, []string{"source"}),
		commits: vec("commits_total", "Attempts to store a state, by outcome.", "outcome"),
		mounts:  vec("mounts_total", "Mounts, by what they were for: page, form, socket, resume.", "kind"),
		frames:  vec("frames_total", "Frames sent, by kind.", "kind"),
		frameBytes: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "live_frame_bytes", Help: "Size of frames sent.", Buckets: prometheus.ExponentialBuckets(32, 4, 9),
		}),
		pushLatency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "live_push_frame_seconds", Help: "Time from a push's storage to its frame on the wire, by the store's clock.",
			Buckets: prometheus.ExponentialBuckets(2.5e-4, 2, 16),
		}),
		retries:      counter("push_retries_total", "Pushes that failed and were tried again."),
		deadLettered: vec("pushes_dead_lettered_total", "Pushes given up by a connection, by reason.", "reason"),
		skipped:      counter("pushes_skipped_total", "Pushes that a connection's view had no action for."),
		repeated:     counter("pushes_repeated_total", "Pushes that came again under a new number after a failover, and were in the state already."),
		unknown:      counter("unknown_actions_total", "Pushes whose action no view of this node has."),
		ended:        vec("connections_ended_total", "Connections ended, by reason.", "reason"),
		refused:      vec("messages_refused_total", "Browser messages refused, by code.", "code"),
		renderErrs:   counter("render_errors_total", "Templates that failed."),
		topicsLost:   counter("topic_messages_dropped_total", "Topic messages dropped because a connection was too slow."),
		misfits:      counter("persisted_fields_unreadable_total", "Persisted fields left out because what is stored does not fit their type."),
		turnedAway:   counter("visitors_turned_away_total", "Connections and forms of visitors that are not signed in, refused because the store is nearly full."),
		irregular:    vec("irregular_parts_total", "Parts of templates that are sent whole, counted when a view is made.", "view"),
	}
	if reg == nil {
		return m, nil
	}
	conns := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "live_connections", Help: "Open connections."},
		func() float64 { return float64(h.live.Load()) })
	lanes := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "live_lanes", Help: "Open connections that are no WebSockets, because those do not pass."},
		func() float64 { return float64(h.lanes.count()) })
	return m, register(reg, conns, lanes, m.actions, m.actionTime, m.commits, m.mounts, m.frames, m.frameBytes, m.pushLatency,
		m.retries, m.deadLettered, m.skipped, m.repeated, m.unknown, m.ended, m.refused, m.renderErrs, m.topicsLost, m.misfits, m.turnedAway, m.irregular)
}

func register(reg prometheus.Registerer, all ...prometheus.Collector) error {
	var errs []error
	for _, c := range all {
		errs = append(errs, reg.Register(c))
	}
	return errors.Join(errs...)
}

func (m *metrics) ran(s source, outcome string, took time.Duration) {
	m.actions.WithLabelValues(string(s), outcome).Inc()
	m.actionTime.WithLabelValues(string(s)).Observe(took.Seconds())
}
