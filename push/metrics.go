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
	replayed  *prometheus.CounterVec
	dropped   prometheus.Counter
	held      prometheus.Counter

	unconfirmed prometheus.Gauge
}

func newPublisherMetrics(r prometheus.Registerer) (m publisherMetrics, err error) {
	m.published, err = register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "push_published_total",
		Help: "Pushes by what became of them: live (a node was woken), parked, duplicate, superseded, full, closed, behind, invalid, error.",
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
	m.replayed, err = register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "push_replayed_total",
		Help: "Accepted pushes published again because another server took over: stored (it lacked them), duplicate, refused.",
	}, []string{"result"}))
	if err != nil {
		return m, err
	}
	m.dropped, err = register(r, prometheus.NewCounter(prometheus.CounterOpts{
		Name: "push_replay_dropped_total",
		Help: "Accepted pushes that the bound let go before the replay window was over.",
	}))
	if err != nil {
		return m, err
	}
	m.held, err = register(r, prometheus.NewCounter(prometheus.CounterOpts{
		Name: "push_publish_held_total",
		Help: "Publishes that waited because the replicas are behind by as much as the publisher keeps.",
	}))
	if err != nil {
		return m, err
	}
	m.unconfirmed, err = register(r, prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "push_unconfirmed_bytes",
		Help: "Bytes of accepted pushes that are kept because a replica has not confirmed them.",
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

// Why a feed left its queue for the mailbox.
const (
	lagGap      = "gap"
	lagBulky    = "bulky"
	lagOverflow = "overflow"
	lagResync   = "resync"
	lagSweep    = "sweep"
)

type nodeMetrics struct {
	feeds    prometheus.Gauge
	lagging  *prometheus.CounterVec
	failures *prometheus.CounterVec
	dead     *prometheus.CounterVec

	hinted, read, fetches, resyncs, rerouted, acks prometheus.Counter
}

func newNodeMetrics(r prometheus.Registerer) (m nodeMetrics, err error) {
	var errs []error
	counter := func(name, help string, labels prometheus.Labels) prometheus.Counter {
		c, err := register(r, prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels}))
		errs = append(errs, err)
		return c
	}
	vec := func(name, help, label string) *prometheus.CounterVec {
		c, err := register(r, prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label}))
		errs = append(errs, err)
		return c
	}
	const delivered, how = "push_delivered_total", "Pushes handed to feeds, by the way they came: with a hint or by reading the mailbox."
	m.hinted = counter(delivered, how, prometheus.Labels{"via": "hint"})
	m.read = counter(delivered, how, prometheus.Labels{"via": "read"})
	m.fetches = counter("push_mailbox_reads_total", "Reads of a mailbox by feeds.", nil)
	m.resyncs = counter("push_resyncs_total", "Times that every session was attached again because hints may have been lost.", nil)
	m.rerouted = counter("push_routes_restored_total", "Missing routes that a sweep has restored.", nil)
	m.acks = counter("push_acks_total", "Acknowledgements stored.", nil)
	m.lagging = vec("push_lagging_total", "Feeds that turned to the mailbox, by cause.", "cause")
	m.failures = vec("push_store_failures_total", "Store calls that failed, by operation.", "op")
	m.dead = vec("push_dead_lettered_total", "Pushes given up by this process, by reason.", "reason")
	m.feeds, err = register(r, prometheus.NewGauge(prometheus.GaugeOpts{Name: "push_feeds", Help: "Open feeds."}))
	return m, errors.Join(append(errs, err)...)
}
