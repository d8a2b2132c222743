package jobs

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	enqueues      *prometheus.CounterVec
	ends          *prometheus.CounterVec
	attempts      *prometheus.CounterVec
	seconds       *prometheus.HistogramVec
	abandoned     prometheus.Gauge
	undeliverable prometheus.Counter
	rescued       *prometheus.CounterVec
	unknown       prometheus.Gauge
	foreign       prometheus.Counter
	depth         depth
	slots, busy   prometheus.Gauge
	skew          prometheus.Gauge
	misfits       *prometheus.CounterVec
	wakes         prometheus.Counter
	polling       prometheus.Gauge
	leaseMetrics
}

func newMetrics(r prometheus.Registerer) (metrics, error) {
	m := metrics{
		enqueues: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "jobs_enqueued_total", Help: "Enqueue calls by result: new, existing, error.",
		}, []string{"kind", "result"}),
		ends: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "jobs_ended_total", Help: "Jobs that ended, by state.",
		}, []string{"kind", "state"}),
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "jobs_attempts_total", Help: "Executions by outcome.",
		}, []string{"kind", "outcome"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "jobs_attempt_seconds", Help: "Duration of executions.",
			Buckets: []float64{.001, .005, .025, .1, .5, 1, 5, 15, 60, 300, 1800},
		}, []string{"kind"}),
		abandoned: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "jobs_abandoned_handlers", Help: "Handlers that still run although their execution is over.",
		}),
		undeliverable: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "jobs_undeliverable_events_total", Help: "Terminal events that a session refused for good.",
		}),
		rescued: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "jobs_watchdog_total", Help: "What the watchdog did: delivered, lost, archived, cancelled, stalled, released, enqueued.",
		}, []string{"action"}),
		unknown: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "jobs_asynq_unknown", Help: "Parts of Asynq that were not recognised at start: jobs then cost more calls.",
		}),
		foreign: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "jobs_foreign_tasks_total", Help: "How often a task in one of our queues was sent back because it is not this application's.",
		}),
		misfits: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "jobs_version_skew_total", Help: "How often a job was put back because this worker's version cannot run it, by reason: unknown_kind, bad_args, bad_format.",
		}, []string{"kind", "reason"}),
		wakes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "jobs_wakes_total", Help: "How often this process's workers were woken for a job.",
		}),
		polling: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "jobs_polling", Help: "Pools of this process that cannot be woken and look for jobs by themselves.",
		}),
	}
	m.leaseMetrics = newLeaseMetrics()
	m.depth = newDepth()
	m.slots = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "jobs_slots", Help: "How many jobs this process's running pools may run at a time.",
	})
	m.busy = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "jobs_busy", Help: "How many of them are taken.",
	})
	m.skew = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "jobs_clock_skew_seconds", Help: "How far the clock of this process is ahead of Redis's; negative when it is behind.",
	})
	if r == nil {
		return m, nil
	}
	var err error
	m.enqueues = register(r, m.enqueues, &err)
	m.ends = register(r, m.ends, &err)
	m.attempts = register(r, m.attempts, &err)
	m.seconds = register(r, m.seconds, &err)
	m.abandoned = register(r, m.abandoned, &err)
	m.undeliverable = register(r, m.undeliverable, &err)
	m.rescued = register(r, m.rescued, &err)
	m.unknown = register(r, m.unknown, &err)
	m.foreign = register(r, m.foreign, &err)
	m.depth.jobs = register(r, m.depth.jobs, &err)
	m.depth.oldest = register(r, m.depth.oldest, &err)
	m.slots = register(r, m.slots, &err)
	m.busy = register(r, m.busy, &err)
	m.skew = register(r, m.skew, &err)
	m.misfits = register(r, m.misfits, &err)
	m.wakes = register(r, m.wakes, &err)
	m.polling = register(r, m.polling, &err)
	m.register(r, &err)
	return m, err
}

// register adds c to r, or returns the like collector that is there already:
// a process may hold a client and a pool.
func register[C prometheus.Collector](r prometheus.Registerer, c C, failed *error) C {
	err := r.Register(c)
	if are, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		if same, ok := are.ExistingCollector.(C); ok {
			return same
		}
	}
	*failed = errors.Join(*failed, err)
	return c
}

func (m *metrics) enqueued(kind string, h Handle, err error) {
	result := "new"
	switch {
	case err != nil:
		result = "error"
	case h.Existing:
		result = "existing"
	}
	m.enqueues.WithLabelValues(kind, result).Inc()
}

func (m *metrics) ended(kind string, s State) { m.ends.WithLabelValues(kind, string(s)).Inc() }
