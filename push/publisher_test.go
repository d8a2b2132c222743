package push_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.opentelemetry.io/otel/trace"

	"lastmile/push"
)

// appender fails as told, one error for each attempt, and keeps what it got.
type appender struct {
	mu   sync.Mutex
	errs []error
	got  []push.Message
	wait func(ctx context.Context)
}

func (a *appender) Append(ctx context.Context, m push.Message) (push.Receipt, error) {
	if a.wait != nil {
		a.wait(ctx)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.got = append(a.got, m)
	if len(a.errs) > 0 {
		err := a.errs[0]
		a.errs = a.errs[1:]
		if err != nil {
			return push.Receipt{}, err
		}
	}
	return push.Receipt{ID: m.ID, Seq: 42, Nodes: 1}, nil
}

func newPublisher(t *testing.T, a push.Appender, cfg push.PublisherConfig) *push.Publisher {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	p, err := push.NewPublisher(a, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPublisherRetries(t *testing.T) {
	t.Parallel()
	down := errors.New("connection reset")
	tests := []struct {
		name  string
		errs  []error
		want  error
		tries int
	}{
		{"stored", nil, nil, 1},
		{"stored at last", []error{down, down, down, nil}, nil, 4},
		{"full", []error{push.ErrMailboxFull}, push.ErrMailboxFull, 1},
		{"closed after a lost reply", []error{down, push.ErrSessionClosed}, push.ErrSessionClosed, 2},
		{"too large for the store", []error{push.ErrTooLarge}, push.ErrTooLarge, 1},
		{"invalid for the store", []error{push.ErrInvalid}, push.ErrInvalid, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				a := &appender{errs: tt.errs}
				r, err := newPublisher(t, a, push.PublisherConfig{}).Session("s").Trigger(t.Context(), "Act", nil)
				if !errors.Is(err, tt.want) {
					t.Errorf("got error %v, want %v", err, tt.want)
				}
				if len(a.got) != tt.tries {
					t.Fatalf("%d attempts, want %d", len(a.got), tt.tries)
				}
				for _, m := range a.got {
					if m.ID == "" || m.ID != r.ID {
						t.Errorf("attempt with ID %q, want the receipt's %q", m.ID, r.ID)
					}
				}
			})
		})
	}
}

func TestPublisherGivesUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		down := errors.New("connection reset")
		a := &appender{errs: make([]error, 0, 1000)}
		for range 1000 {
			a.errs = append(a.errs, down)
		}
		var log bytes.Buffer
		p := newPublisher(t, a, push.PublisherConfig{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		const secret = "a-session-id-that-is-a-secret"
		start := time.Now()
		err := p.Session(secret).TriggerAction("Act", nil)
		if !errors.Is(err, down) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the deadline and the last error", err)
		}
		if d := time.Since(start); d != 5*time.Second {
			t.Errorf("gave up after %s, want 5s", d)
		}
		if len(a.got) < 6 || len(a.got) > 80 {
			t.Errorf("%d attempts in 5 s, want a backoff of up to a second", len(a.got))
		}
		if strings.Contains(log.String(), secret) || !strings.Contains(log.String(), "session=a-sess…") {
			t.Errorf("log must hold the redacted session only:\n%s", log.String())
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start = time.Now()
		if _, err := p.Session("s").Trigger(ctx, "Act", nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the caller's deadline", err)
		}
		if d := time.Since(start); d != time.Second {
			t.Errorf("gave up after %s, want the caller's second", d)
		}
	})
}

func TestPublisherBoundsWhatIsInFlight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		now, most := 0, 0
		a := &appender{wait: func(context.Context) {
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			now--
			mu.Unlock()
		}}
		p := newPublisher(t, a, push.PublisherConfig{MaxInFlight: 3, Timeout: 2500 * time.Millisecond})
		late := 0
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if err := p.Session("s").TriggerAction("Act", nil); errors.Is(err, context.DeadlineExceeded) {
					mu.Lock()
					late++
					mu.Unlock()
				} else if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if most != 3 || late != 11 {
			t.Errorf("%d in flight and %d too late, want 3 and 11", most, late)
		}
	})
}

func TestTriggerRefuses(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", push.MaxIDLen+1)
	tests := []struct {
		name, session, action string
		data                  any
		opts                  []push.Option
		want                  error
	}{
		{"no session", "", "Act", nil, nil, push.ErrInvalid},
		{"long session", long, "Act", nil, nil, push.ErrInvalid},
		{"control character", "s\n", "Act", nil, nil, push.ErrInvalid},
		{"not UTF-8", "s\xff", "Act", nil, nil, push.ErrInvalid},
		{"no action", "s", "", nil, nil, push.ErrInvalid},
		{"unexported action", "s", "act", nil, nil, push.ErrInvalid},
		{"no method name", "s", "Act-Now", nil, nil, push.ErrInvalid},
		{"long action", "s", "A" + long, nil, nil, push.ErrInvalid},
		{"long push ID", "s", "Act", nil, []push.Option{push.WithID(long)}, push.ErrInvalid},
		{"long key", "s", "Act", nil, []push.Option{push.Replacing(long)}, push.ErrInvalid},
		{"an end without a key", "s", "Act", nil, []push.Option{push.Ending("")}, push.ErrInvalid},
		{"data that does not marshal", "s", "Act", map[string]any{"f": func() {}}, nil, push.ErrInvalid},
		{"a number", "s", "Act", 7, nil, push.ErrInvalid},
		{"a list", "s", "Act", []int{1}, nil, push.ErrInvalid},
		{"raw data that is not JSON", "s", "Act", json.RawMessage(`{"x":`), nil, push.ErrInvalid},
		{"large data", "s", "Act", map[string]any{"x": strings.Repeat("x", 64<<10)}, nil, push.ErrTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := &appender{}
			p := newPublisher(t, a, push.PublisherConfig{})
			if _, err := p.Session(tt.session).Trigger(t.Context(), tt.action, tt.data, tt.opts...); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if len(a.got) > 0 {
				t.Errorf("stored %+v", a.got)
			}
		})
	}
	a := &appender{}
	p := newPublisher(t, a, push.PublisherConfig{})
	if _, err := p.Publish(t.Context(), push.Message{Session: "s", Action: "Act", Data: json.RawMessage("  ")}); !errors.Is(err, push.ErrInvalid) {
		t.Errorf("blank data: got %v, want ErrInvalid", err)
	}
}

func TestTriggerMessage(t *testing.T) {
	t.Parallel()
	a := &appender{}
	s := newPublisher(t, a, push.PublisherConfig{}).Session("s")
	var nilMap map[string]any
	sc := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled})
	traced := trace.ContextWithRemoteSpanContext(t.Context(), sc)
	for _, call := range []func() (push.Receipt, error){
		func() (push.Receipt, error) {
			return s.Trigger(t.Context(), "DataLoaded", map[string]any{"value": "<&>"}, push.WithID("id"))
		},
		func() (push.Receipt, error) {
			return s.Trigger(t.Context(), "DataLoaded", struct{ N int }{7}, push.WithID("id"), push.Replacing("k"))
		},
		func() (push.Receipt, error) {
			return s.Trigger(traced, "DataLoaded", nilMap, push.WithID("id"), push.Ending("k"))
		},
	} {
		if _, err := call(); err != nil {
			t.Fatal(err)
		}
	}
	base := push.Message{ID: "id", Session: "s", Action: "DataLoaded"}
	want := []push.Message{base, base, base}
	want[0].Data = json.RawMessage(`{"value":"\u003c\u0026\u003e"}`)
	want[1].Data, want[1].Replaces = json.RawMessage(`{"N":7}`), "k"
	want[2].Replaces, want[2].Final = "k", true
	want[2].Traceparent = "00-01000000000000000000000000000000-0200000000000000-01"
	if diff := cmp.Diff(a.got, want); diff != "" {
		t.Errorf("messages (-got +want):\n%s", diff)
	}
	if s.ID() != "s" {
		t.Errorf("ID %q", s.ID())
	}
}

func TestPublisherMetrics(t *testing.T) {
	t.Parallel()
	r := prometheus.NewRegistry()
	store := newFaulty(t, defaultStore)
	p := newPublisher(t, store, push.PublisherConfig{Registerer: r})
	again := newPublisher(t, store, push.PublisherConfig{Registerer: r})
	if _, err := push.NewNode(store, push.NodeConfig{Registerer: r}); err != nil {
		t.Fatal(err)
	}
	if _, err := push.NewNode(store, push.NodeConfig{Registerer: r}); err != nil {
		t.Fatalf("a second node: %v", err)
	}
	for _, publish := range []*push.Publisher{p, again} {
		if _, err := publish.Session("s").Trigger(t.Context(), "Act", nil, push.WithID("x")); err != nil {
			t.Fatal(err)
		}
	}
	_, _ = p.Session("").Trigger(t.Context(), "Act", nil)
	const want = `
# HELP push_published_total Pushes by what became of them: live (a node was woken), parked, duplicate, superseded, full, closed, behind, invalid, error.
# TYPE push_published_total counter
push_published_total{result="duplicate"} 1
push_published_total{result="invalid"} 1
push_published_total{result="parked"} 1
`
	if err := testutil.GatherAndCompare(r, strings.NewReader(want), "push_published_total"); err != nil {
		t.Error(err)
	}
	problems, err := testutil.GatherAndLint(r)
	if err != nil || len(problems) > 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
}

func TestSessionHandleHidesItsID(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s := newPublisher(t, &appender{}, push.PublisherConfig{}).Session("a-long-secret-session")
	slog.New(slog.NewTextHandler(&log, nil)).Info("message", "session", s)
	if strings.Contains(log.String(), "secret") {
		t.Errorf("log: %s", log.String())
	}
}
