package live_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"lastmile/live"
	"lastmile/live/livetest"
	"lastmile/push"
	"lastmile/push/pushtest"
	"lastmile/push/redisstream"
)

// lockedBuffer is a log that goroutines may share.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func TestWhatOperatorsSee(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log lockedBuffer
		registry := prometheus.NewRegistry()
		spans := tracetest.NewSpanRecorder()
		provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(spans))
		s := memStore(t)
		n := startNode(t, s, live.Config{
			Logger:     slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
			Registerer: registry, TracerProvider: provider,
		})
		c := newListing()
		c.err, c.fails["bad"] = push.ErrReject, 1
		v := view(t, n, c, list{}, listHTML)
		b := livetest.NewBrowser(t)
		p := b.Open(v, "/")
		session := sessionOf(t, n, b)
		ctx, root := provider.Tracer("test").Start(t.Context(), "root")
		if _, err := session.Trigger(ctx, "Put", put("bad")); err != nil {
			t.Fatal(err)
		}
		root.End()
		trigger(t, session, "NobodyHasThis", nil)
		trigger(t, session, "Put", put("good"))
		waitItems(t, p, "good")
		p.Click("Rename", map[string]any{"title": "x"})
		p.Close()
		time.Sleep(time.Second)

		text := log.String()
		for _, want := range []string{`"push is a dead letter"`, `"no view has the action of a push"`, `"action":"NobodyHasThis"`, push.Redact(session.ID())} {
			if !strings.Contains(text, want) {
				t.Errorf("the log lacks %s:\n%s", want, text)
			}
		}
		if strings.Contains(text, session.ID()) {
			t.Error("the log holds a session's ID in full")
		}
		got := samples(t, registry)
		for _, want := range []string{
			`live_actions_total click ok 1`, `live_actions_total push ok 1`, `live_actions_total push rejected 1`,
			`live_pushes_dead_lettered_total rejected 1`, `live_unknown_actions_total 1`, `live_pushes_skipped_total 1`,
			`live_connections 0`, `live_connections_ended_total closed 1`,
		} {
			if !slices.Contains(got, want) {
				t.Errorf("no metric %s in\n%s", want, strings.Join(got, "\n"))
			}
		}
		linked := 0
		for _, span := range spans.Ended() {
			if span.Name() == "live.action" && len(span.Links()) == 1 && span.Links()[0].SpanContext.TraceID() == root.SpanContext().TraceID() {
				linked++
			}
		}
		if linked != 1 {
			t.Errorf("%d action spans are linked to what published the push, want 1", linked)
		}
	})
}

// samples lists counters and gauges as "name labels value".
func samples(t *testing.T, g prometheus.Gatherer) []string {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, f := range families {
		for _, m := range f.GetMetric() {
			parts := []string{f.GetName()}
			for _, l := range m.GetLabel() {
				parts = append(parts, l.GetValue())
			}
			line := strings.Join(parts, " ")
			value := m.GetCounter().GetValue() + m.GetGauge().GetValue()
			out = append(out, line+" "+strings.TrimSuffix(strings.TrimRight(formatFloat(value), "0"), "."))
			if value == 0 {
				out[len(out)-1] = line + " 0"
			}
		}
	}
	// Labels come sorted by name, not by order of declaration.
	for i, line := range out {
		if rest, ok := strings.CutPrefix(line, "live_actions_total "); ok {
			if f := strings.Fields(rest); len(f) == 3 {
				out[i] = "live_actions_total " + f[1] + " " + f[0] + " " + f[2]
			}
		}
	}
	return out
}

func TestStoreThatLostEverything(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		redis := pushtest.NewRedis(t)
		s, err := redisstream.New(redis.Client(t), redisstream.Config{BlockingClient: redis.Client(t), Logger: quiet()})
		if err != nil {
			t.Fatal(err)
		}
		n := startNode(t, flat(s), live.Config{})
		v := view(t, n, newListing(), list{}, listHTML)
		b := livetest.NewBrowser(t)
		p := b.Open(v, "/")
		session := sessionOf(t, n, b)
		trigger(t, session, "Put", put(1))
		waitItems(t, p, "1")
		time.Sleep(time.Second)
		redis.Server.FlushAll()
		time.Sleep(5 * time.Second) // the page is idle; its node misses its stream
		if p.State().Mounts == 0 {
			t.Error("an idle page was not told that the store was emptied")
		}
		trigger(t, session, "Put", put(2))
		waitItems(t, p, "2")
	})
}

func TestAssets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := startNode(t, memStore(t), live.Config{})
		mux := http.NewServeMux()
		mux.Handle("/deep/", http.StripPrefix("/deep", view(t, n, counting{}, counter{}, counterHTML)))
		b := livetest.NewBrowser(t)
		page := b.Get(mux, "/deep/er?x=1")
		if got := page.Header.Get("Cache-Control"); got != "private, no-cache" {
			t.Errorf("page: Cache-Control %q", got)
		}
		_, rest, _ := strings.Cut(page.HTML, `src="?_live=`)
		name, _, _ := strings.Cut(rest, `"`)
		for _, name := range []string{name, "manifest." + dataOf(page.HTML).Manifest + ".json"} {
			d := b.Peek(mux, "/deep/er?_live="+name)
			if d.Status != http.StatusOK || !strings.Contains(d.Header.Get("Cache-Control"), "immutable") || d.HTML == "" {
				t.Errorf("%s: status %d, header %v", name, d.Status, d.Header)
			}
		}
		if d := b.Peek(mux, "/deep/er?_live=manifest.0.json"); d.Status != http.StatusNotFound {
			t.Errorf("a manifest of another version: status %d", d.Status)
		}
		for method, want := range map[string]int{http.MethodHead: 200, http.MethodPut: 405, http.MethodDelete: 405} {
			r, err := http.NewRequestWithContext(t.Context(), method, "http://live.test/deep/", nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := b.Status(mux, r); got != want {
				t.Errorf("%s: status %d, want %d", method, got, want)
			}
		}
	})
}

func TestConflictingClicksOfManyTabs(t *testing.T) {
	t.Parallel()
	onBoth(t, func(e env) {
		t, s := e.t, e.store
		n := startNode(t, s, live.Config{})
		v := view(t, n, newListing(), list{}, listHTML)
		b := e.browser()
		var wg sync.WaitGroup
		pages := []*livetest.Page{b.Open(v, "/"), b.Open(v, "/"), b.Open(v, "/"), b.Open(v, "/")}
		session := sessionOf(t, n, b)
		var failed error
		wg.Go(func() {
			for range 20 {
				if err := session.TriggerAction("Tally", nil); err != nil {
					failed = errors.Join(failed, err)
				}
			}
		})
		for i, p := range pages {
			wg.Go(func() {
				for range 5 {
					if err := p.Try([]string{"SetA", "SetB"}[i%2], map[string]any{"v": "x"}); err != nil {
						t.Errorf("a click failed: %v", err)
					}
				}
			})
		}
		wg.Wait()
		if failed != nil {
			t.Fatal(failed)
		}
		for _, p := range pages {
			p.WaitText("count=20")
		}
		time.Sleep(time.Second)
		if got := b.Get(v, "/").Text(); !strings.Contains(got, "count=20 a=x b=x") {
			t.Errorf("a new page shows %q", got)
		}
	})
}

func TestTwoTabsMountAnewWithTheSamePushes(t *testing.T) {
	t.Parallel()
	onBoth(t, func(e env) {
		t, s := e.t, e.store
		one, two := startNode(t, s, live.Config{}), startNode(t, s, live.Config{})
		v1, v2 := view(t, one, newListing(), list{}, listHTML), view(t, two, newListing(), list{}, listHTML)
		b := e.browser()
		p1, p2 := b.Load(v1, "/"), b.Load(v2, "/")
		session := sessionOf(t, one, b)
		time.Sleep(5 * time.Minute) // what the pages left is gone
		for i := range 10 {
			trigger(t, session, "Tally", nil)
			trigger(t, session, "Put", put(i))
		}
		p1.Mute(true) // once one of them confirms, the pushes are no longer pending
		p2.Mute(true)
		for p, v := range map[*livetest.Page]http.Handler{p1: v1, p2: v2} {
			if err := p.TryConnect(v); err != nil {
				t.Fatal(err)
			}
		}
		for _, p := range []*livetest.Page{p1, p2} {
			p.WaitText("count=10 a= b= 0 1 2 3 4 5 6 7 8 9")
			if p.State().Mounts != 1 {
				t.Errorf("mounted anew %d times, want 1", p.State().Mounts)
			}
		}
		p1.Mute(false)
		time.Sleep(time.Second)
		p1.Reconnect(v2)
		p1.WaitText("count=10 a= b= 0 1 2 3 4 5 6 7 8 9")
		time.Sleep(time.Second)
		if got := b.Get(v1, "/").Text(); !strings.HasSuffix(got, "count=10 a= b=") {
			t.Errorf("a new page shows %q", got)
		}
	})
}
