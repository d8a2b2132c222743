package redisstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"lastmile/push"
)

// metrics are counted whether or not anybody collects them.
type metrics struct {
	errors  *prometheus.CounterVec
	resyncs *prometheus.CounterVec
	expired *prometheus.CounterVec
	echo    prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "push_store_errors_total", Help: "Failed operations on the store, by operation and class of error.",
		}, []string{"op", "class"}),
		resyncs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "push_listener_resyncs_total", Help: "Times that all sessions of this node were read again, by cause.",
		}, []string{"cause"}),
		expired: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "push_expired_total", Help: "Pushes moved to the dead letters for their age, by reason.",
		}, []string{"reason"}),
		echo: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "push_listener_echo_seconds", Help: "Time that the last echo probe took from the store's write to this node's read.",
		}),
	}
	if r == nil {
		return m, nil
	}
	return m, errors.Join(register(r, &m.errors), register(r, &m.resyncs), register(r, &m.expired), register(r, &m.echo))
}

// register registers *c, or replaces it by the one that another Transport of
// this process has registered.
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

// fail wraps an error of the store with what was tried, and counts it.
func (m *metrics) fail(op, session string, err error) error {
	m.failed(op, err)
	err = denial(err)
	if session == "" {
		return fmt.Errorf("redisstream: %s: %w", op, err)
	}
	return fmt.Errorf("redisstream: %s for session %s: %w", op, push.Redact(session), err)
}

func (m *metrics) failed(op string, err error) { m.errors.WithLabelValues(op, classOf(err)).Inc() }

// classOf names the kind of an error for metrics and logs.
func classOf(err error) string {
	for prefix, class := range map[string]string{
		"LOADING": "loading", "OOM": "oom", "READONLY": "readonly", "NOAUTH": "auth", "WRONGPASS": "auth",
		"NOPERM": "auth", "CLUSTERDOWN": "cluster", "MOVED": "cluster", "ASK": "cluster", "TRYAGAIN": "cluster",
		"CROSSSLOT": "cluster", "NOSCRIPT": "noscript", "MASTERDOWN": "replica", "UNBLOCKED": "replica",
		"NOREPLICAS": "replica", "MISCONF": "disk", "BUSY": "busy",
	} {
		if redis.HasErrorPrefix(err, prefix) {
			return class
		}
	}
	var n net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, errReplicas):
		return "replica"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &n) && n.Timeout():
		return "timeout"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed), errors.As(err, &n):
		return "connection"
	}
	return "other"
}

// wait blocks for d or until ctx ends.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
