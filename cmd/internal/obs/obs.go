// Package obs sets up what the binaries are observed with: the log, the metric
// registry and tracing. Libraries take these as parameters and know nothing of
// this package. Only cmd/web and cmd/worker use it.
package obs

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// NewLogger returns a logger that writes text or JSON lines to w.
func NewLogger(w io.Writer, format string, level slog.Leveler) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// RedisLogger is what go-redis logs to. An outage brings a line for each attempt
// of each connection, and whoever waits for a command reports it anyway: so all
// of it is for debugging.
func RedisLogger(log *slog.Logger) interface {
	Printf(ctx context.Context, format string, v ...any)
} {
	return redisLogger{log}
}

type redisLogger struct{ log *slog.Logger }

// Printf logs a line of go-redis.
func (l redisLogger) Printf(ctx context.Context, format string, v ...any) {
	if l.log.Enabled(ctx, slog.LevelDebug) {
		l.log.DebugContext(ctx, "go-redis", "message", fmt.Sprintf(format, v...))
	}
}

// NewRegistry returns a registry with the metrics of the process, the Go
// runtime and lastmile_build_info.
func NewRegistry(version string) *prometheus.Registry {
	r := prometheus.NewRegistry()
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "lastmile_build_info", Help: "The version that runs; the value is always 1.", ConstLabels: prometheus.Labels{"version": version},
	})
	build.Set(1)
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), build)
	return r
}

// MetricsHandler serves the registry.
func MetricsHandler(r *prometheus.Registry, log *slog.Logger) http.Handler {
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelError), Registry: r})
}

// RegisterRedisPool registers the connection pool's metrics of a client. name
// tells several clients of one process apart.
func RegisterRedisPool(r prometheus.Registerer, name string, client redis.UniversalClient) error {
	labels := prometheus.Labels{"client": name}
	for _, m := range []struct {
		name, help string
		read       func(*redis.PoolStats) uint32
	}{
		{"redis_pool_connections", "Connections open to Redis.", func(s *redis.PoolStats) uint32 { return s.TotalConns }},
		{"redis_pool_idle_connections", "Connections to Redis that nobody uses.", func(s *redis.PoolStats) uint32 { return s.IdleConns }},
		{"redis_pool_timeouts", "Waits for a connection to Redis that timed out, since the start.", func(s *redis.PoolStats) uint32 { return s.Timeouts }},
	} {
		g := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: m.name, Help: m.help, ConstLabels: labels},
			func() float64 { return float64(m.read(client.PoolStats())) })
		if err := r.Register(g); err != nil {
			return fmt.Errorf("obs: register %s: %w", m.name, err)
		}
	}
	return nil
}

// TracerProvider returns a provider that sends spans to an OTLP/HTTP endpoint,
// and its shutdown, which flushes. With no endpoint nothing is recorded.
func TracerProvider(ctx context.Context, endpoint, service, version string) (trace.TracerProvider, func(context.Context) error, error) {
	if endpoint == "" {
		return noop.NewTracerProvider(), func(context.Context) error { return nil }, nil
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(endpoint))
	if err != nil {
		return nil, nil, fmt.Errorf("obs: OTLP exporter: %w", err)
	}
	tp := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(resource.NewSchemaless(
		attribute.String("service.name", service), attribute.String("service.version", version))))
	return tp, tp.Shutdown, nil
}

// Trace gives each request a span, under the caller's traceparent if it brings
// one, so that everything further down finds the provider in its context. It
// leaves the ResponseWriter alone: an upgrade to a WebSocket still works. The
// span's name is the pattern that matched, never a path with an ID in it.
func Trace(tp trace.TracerProvider, next http.Handler) http.Handler {
	tracer := tp.Tracer("lastmile/cmd/internal/obs")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		ctx, span := tracer.Start(ctx, r.Method, trace.WithSpanKind(trace.SpanKindServer))
		defer span.End()
		r = r.WithContext(ctx)
		next.ServeHTTP(w, r)
		if r.Pattern != "" {
			span.SetName(r.Pattern)
		}
	})
}
