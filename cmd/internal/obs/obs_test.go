package obs_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"lastmile/cmd/internal/obs"
)

func TestLogger(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	log := obs.NewLogger(&b, "json", slog.LevelWarn)
	log.Info("quiet")
	log.Warn("loud", "node", "n1")
	var line struct{ Msg, Node string }
	if err := json.Unmarshal(b.Bytes(), &line); err != nil || line.Msg != "loud" || line.Node != "n1" {
		t.Errorf("got %q, %v", b.String(), err)
	}
	b.Reset()
	obs.NewLogger(&b, "text", slog.LevelInfo).Info("hello", "node", "n1")
	if !strings.Contains(b.String(), "msg=hello node=n1") {
		t.Errorf("got %q", b.String())
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	r := obs.NewRegistry("v1.2.3")
	problems, err := testutil.GatherAndLint(r, "lastmile_build_info")
	if err != nil || len(problems) > 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
	w := httptest.NewRecorder()
	obs.MetricsHandler(r, slog.New(slog.DiscardHandler)).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for _, want := range []string{`lastmile_build_info{version="v1.2.3"} 1`, "go_goroutines"} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("no %s in the metrics", want)
		}
	}
}

func TestTrace(t *testing.T) {
	t.Parallel()
	recorder := tracetest.NewSpanRecorder()
	tp := trace.NewTracerProvider(trace.WithSpanProcessor(recorder))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /items/{id}", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	r := httptest.NewRequest(http.MethodGet, "/items/secret", nil)
	r.Header.Set("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	obs.Trace(tp, mux).ServeHTTP(httptest.NewRecorder(), r)
	spans := recorder.Ended()
	if len(spans) != 1 || spans[0].Name() != "GET /items/{id}" {
		t.Fatalf("got spans %v", spans)
	}
	if got := spans[0].SpanContext().TraceID().String(); got != "0af7651916cd43dd8448eb211c80319c" {
		t.Errorf("trace ID: got %s, want the caller's", got)
	}
	off, stop, err := obs.TracerProvider(t.Context(), "", "web", "v1")
	if err != nil || off == nil || stop(t.Context()) != nil {
		t.Errorf("without an endpoint: %v", err)
	}
}
