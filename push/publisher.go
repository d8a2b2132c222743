package push

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// PublisherConfig tunes a Publisher. The zero value is ready for production.
type PublisherConfig struct {
	// Timeout bounds one publish, retries included. A caller's context may
	// end it earlier. Defaults to 5 seconds.
	Timeout time.Duration
	// MaxDataBytes bounds a push's data as JSON. Defaults to 64 KiB.
	MaxDataBytes int
	// MaxInFlight bounds the publishes that wait for the store at a time;
	// others wait their turn within their timeout. Defaults to 1,024.
	MaxInFlight int
	// RetryBase and RetryMax shape the backoff between attempts whose fate is
	// unknown. They default to 50 milliseconds and 1 second.
	RetryBase, RetryMax time.Duration
	// ReplayWindow is how long an accepted push is kept at least for Run to
	// publish again when a replica takes over, counted back from when the
	// former server was last seen. What a replica has not confirmed is kept
	// for longer; the window covers what confirmations cannot: a server that
	// is cut off and goes on (it should exceed min-replicas-max-lag), and a
	// replica that loses in a crash what it has confirmed. Defaults to 15
	// seconds.
	ReplayWindow time.Duration
	// ReplayBytes bounds what is kept. At the bound what every replica has
	// confirmed goes first, the oldest before others, and is counted; when
	// that is not enough, publishing slows down to what the replicas confirm
	// and fails with ErrReplicasBehind after Timeout. Defaults to 64 MiB.
	ReplayBytes int
	// ReplicaTimeout is how long a replica that has disappeared is waited for.
	// It should exceed the time after which it cannot be promoted any more
	// (ten times down-after-milliseconds with Sentinel). After that time
	// without a word about replicas, what is kept does not stop publishing
	// either: the oldest goes. Defaults to 5 minutes.
	ReplicaTimeout time.Duration
	// Broker carries what PublishTopic sends. Defaults to the publisher's store if
	// that is one, else to none.
	Broker Broker
	// Logger defaults to slog.Default().
	Logger *slog.Logger
	// Registerer receives the push_publish* and push_replay* metrics. Defaults
	// to none.
	Registerer prometheus.Registerer
}

func (c *PublisherConfig) fill() error {
	if min(c.Timeout, c.RetryBase, c.RetryMax, c.ReplayWindow, c.ReplicaTimeout) < 0 || min(c.MaxDataBytes, c.MaxInFlight, c.ReplayBytes) < 0 {
		return errors.New("push: PublisherConfig: no setting may be negative")
	}
	c.Timeout = cmp.Or(c.Timeout, 5*time.Second)
	c.MaxDataBytes = cmp.Or(c.MaxDataBytes, 64<<10)
	c.MaxInFlight = cmp.Or(c.MaxInFlight, 1024)
	c.RetryBase = cmp.Or(c.RetryBase, 50*time.Millisecond)
	c.RetryMax = cmp.Or(c.RetryMax, time.Second)
	c.ReplayWindow = cmp.Or(c.ReplayWindow, 15*time.Second)
	c.ReplayBytes = cmp.Or(c.ReplayBytes, 64<<20)
	c.ReplicaTimeout = cmp.Or(c.ReplicaTimeout, 5*time.Minute)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	return nil
}

// Publisher stores pushes. It needs no view, template or web server, so any
// process can hold one. It starts no goroutine but in Run, and is safe for
// concurrent use.
type Publisher struct {
	store   Appender
	cfg     PublisherConfig
	metrics publisherMetrics
	slots   chan struct{}
	kept    *kept
	full    fullBoxes
}

// NewPublisher checks cfg and fills its defaults.
func NewPublisher(a Appender, cfg PublisherConfig) (*Publisher, error) {
	if a == nil {
		return nil, errors.New("push: NewPublisher: no Appender")
	}
	if err := cfg.fill(); err != nil {
		return nil, err
	}
	metrics, err := newPublisherMetrics(cfg.Registerer)
	if err != nil {
		return nil, fmt.Errorf("push: register metrics: %w", err)
	}
	if b, ok := a.(Broker); ok && cfg.Broker == nil {
		cfg.Broker = b
	}
	_, replicated := a.(Replication)
	return &Publisher{
		store: a, cfg: cfg, metrics: metrics, slots: make(chan struct{}, cfg.MaxInFlight),
		kept: newKept(cfg.ReplayBytes, cfg.ReplayWindow, replicated),
	}, nil
}

// Session returns a handle to the session of that ID. It asks no store: an ID
// that breaks its form fails at the first push, and a session that nobody has
// opened yet parks its pushes.
func (p *Publisher) Session(id string) Session { return handle{p, id} }

// Publish stores m, minting an ID when it has none, and returns once it is
// stored. Attempts whose fate is unknown are repeated under the same ID, with
// backoff, until PublisherConfig.Timeout or ctx ends. A push that came after
// the last one of its Replaces key is not stored, and that is no error: its
// receipt says Superseded. For 5 milliseconds after a mailbox was full, pushes to
// it without an ID and a Replaces key are refused without a word to the store.
//
// The error wraps ErrMailboxFull, ErrSessionClosed, ErrReplicasBehind,
// ErrTooLarge or ErrInvalid when the push was not stored. With any other error
// its fate is unknown; ErrDenied says that repeating does not help for now, and
// publishing again with the ID of the returned receipt is safe.
func (p *Publisher) Publish(ctx context.Context, m Message) (Receipt, error) {
	start := time.Now()
	store := p.append
	if m.ID == "" && m.Replaces == "" {
		store = p.appendNew
	}
	receipt, err := p.publish(ctx, m, store)
	p.count(start, receipt, err)
	return receipt, err
}

// PublishVia is Publish for a caller that stores the push itself at the
// publisher's Appender, together with something of its own. store is called
// once at most and gets m complete. After an error the caller may Publish
// under the ID of the returned receipt, so only what was stored is counted.
func (p *Publisher) PublishVia(ctx context.Context, m Message, store func(context.Context, Appender, Message) (Receipt, error)) (Receipt, error) {
	start := time.Now()
	receipt, err := p.publish(ctx, m, func(ctx context.Context, m Message) (Receipt, error) { return store(ctx, p.store, m) })
	if err == nil {
		p.count(start, receipt, nil)
	}
	return receipt, err
}

func (p *Publisher) count(start time.Time, receipt Receipt, err error) {
	p.metrics.seconds.Observe(time.Since(start).Seconds())
	p.metrics.published.WithLabelValues(outcome(receipt, err)).Inc()
}

// publish stores m in the way of store, once the replicas and the other
// publishes leave room for it.
func (p *Publisher) publish(ctx context.Context, m Message, store func(context.Context, Message) (Receipt, error)) (Receipt, error) {
	if m.ID == "" {
		m.ID = NewID()
	}
	receipt, err := p.guarded(ctx, m, store)
	receipt.ID = m.ID
	if err != nil {
		return receipt, fmt.Errorf("push: publish %s %q: %w", m.Action, m.ID, err)
	}
	return receipt, nil
}

// guarded keeps m, if it has to be kept, from before it is stored.
func (p *Publisher) guarded(ctx context.Context, m Message, store func(context.Context, Message) (Receipt, error)) (Receipt, error) {
	if err := p.check(m); err != nil {
		return Receipt{}, err
	}
	ctx, span := traced(ctx, &m)
	defer span.End()
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Timeout)
	defer cancel()
	r, err := p.reserve(ctx, m)
	if err != nil {
		return Receipt{}, err
	}
	receipt, err := p.inSlot(ctx, m, store)
	if err != nil {
		p.kept.cancel(r)
		span.SetStatus(codes.Error, err.Error())
		return receipt, err
	}
	p.kept.accept(r, m)
	return receipt, nil
}

// inSlot stores a push once few enough others are under way.
func (p *Publisher) inSlot(ctx context.Context, m Message, store func(context.Context, Message) (Receipt, error)) (Receipt, error) {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return Receipt{}, fmt.Errorf("wait for a free slot: %w", ctx.Err())
	}
	return store(ctx, m)
}

// appendNew is append for a push that needs room of its own: nobody has stored it
// before, and it takes nobody's place.
func (p *Publisher) appendNew(ctx context.Context, m Message) (Receipt, error) {
	if p.full.has(m.Session) {
		return Receipt{}, ErrMailboxFull
	}
	receipt, err := p.append(ctx, m)
	if errors.Is(err, ErrMailboxFull) {
		p.full.add(m.Session)
	}
	return receipt, err
}

// append repeats until the push is stored, refused, or out of time.
func (p *Publisher) append(ctx context.Context, m Message) (Receipt, error) {
	for attempt := 0; ; attempt++ {
		receipt, err := p.store.Append(ctx, m)
		if err == nil || refused(err) || errors.Is(err, ErrDenied) {
			return receipt, err
		}
		if ctx.Err() == nil {
			p.cfg.Logger.WarnContext(ctx, "publish failed, trying again",
				"session", Redact(m.Session), "action", m.Action, "id", m.ID, "attempt", attempt+1, "error", err)
		}
		if !wait(ctx, Backoff(attempt, p.cfg.RetryBase, p.cfg.RetryMax)) {
			return Receipt{}, fmt.Errorf("given up after %d attempts, %w: %w", attempt+1, ctx.Err(), err)
		}
		p.metrics.retries.Inc()
	}
}

func (p *Publisher) check(m Message) error {
	if m.Session == "" {
		return fmt.Errorf("%w: no session", ErrInvalid)
	}
	if err := cmp.Or(checkID("session ID", m.Session), checkID("push ID", m.ID), checkID("Replaces key", m.Replaces)); err != nil {
		return err
	}
	if m.Final && m.Replaces == "" {
		return fmt.Errorf("%w: Final without a Replaces key", ErrInvalid)
	}
	if err := ValidAction(m.Action); err != nil {
		return err
	}
	if len(m.Data) > p.cfg.MaxDataBytes {
		return fmt.Errorf("%w: %d bytes of data, at most %d are allowed", ErrTooLarge, len(m.Data), p.cfg.MaxDataBytes)
	}
	if data := bytes.TrimLeft(m.Data, " \t\r\n"); len(m.Data) > 0 && (len(data) == 0 || data[0] != '{' || !json.Valid(data)) {
		return fmt.Errorf("%w: the data is not a JSON object", ErrInvalid)
	}
	return nil
}

// refused tells the errors that say for sure that nothing was stored.
func refused(err error) bool {
	return errors.Is(err, ErrMailboxFull) || errors.Is(err, ErrSessionClosed) ||
		errors.Is(err, ErrTooLarge) || errors.Is(err, ErrInvalid)
}

func outcome(r Receipt, err error) string {
	switch {
	case err == nil && r.Duplicate:
		return "duplicate"
	case err == nil && r.Superseded:
		return "superseded"
	case err == nil && r.Nodes == 0:
		return "parked"
	case err == nil:
		return "live"
	case errors.Is(err, ErrMailboxFull):
		return "full"
	case errors.Is(err, ErrSessionClosed):
		return "closed"
	case errors.Is(err, ErrReplicasBehind):
		return "behind"
	case errors.Is(err, ErrDenied):
		return "denied"
	case errors.Is(err, ErrTooLarge), errors.Is(err, ErrInvalid):
		return "invalid"
	default:
		return "error"
	}
}

// traced starts a span below the one that ctx carries, by the same provider,
// and has m carry it on. Without one there is nothing to do.
func traced(ctx context.Context, m *Message) (context.Context, trace.Span) {
	span := trace.SpanFromContext(ctx)
	if !span.SpanContext().IsValid() {
		return ctx, span
	}
	ctx, span = span.TracerProvider().Tracer("lastmile/push").Start(ctx, "push.publish", trace.WithSpanKind(trace.SpanKindProducer))
	if span.IsRecording() {
		span.SetAttributes(attribute.String("push.action", m.Action), attribute.String("push.id", m.ID))
	}
	if m.Traceparent == "" {
		carrier := propagation.MapCarrier{}
		propagation.TraceContext{}.Inject(ctx, carrier)
		m.Traceparent = carrier.Get("traceparent")
	}
	return ctx, span
}

// handle is a Publisher's Session.
type handle struct {
	publisher *Publisher
	id        string
}

func (h handle) ID() string { return h.id }

// String keeps the ID out of logs that print the handle.
func (h handle) String() string { return "session " + Redact(h.id) }

// LogValue keeps the ID out of structured logs.
func (h handle) LogValue() slog.Value { return slog.StringValue(Redact(h.id)) }

func (h handle) TriggerAction(action string, data map[string]any) error {
	// The signature has no context: the publisher's timeout bounds the call.
	_, err := h.Trigger(context.Background(), action, data)
	return err
}

func (h handle) Trigger(ctx context.Context, action string, data any, opts ...Option) (Receipt, error) {
	m := Message{Session: h.id, Action: action}
	for _, opt := range opts {
		opt(&m)
	}
	var err error
	if m.Data, err = marshalData(data); err != nil {
		return Receipt{ID: m.ID}, fmt.Errorf("push: publish %s %q: %w: %w", action, m.ID, ErrInvalid, err)
	}
	return h.publisher.Publish(ctx, m)
}

// marshalData returns nothing for nil of any type.
func marshalData(data any) (json.RawMessage, error) {
	if data == nil {
		return nil, nil
	}
	b, err := json.Marshal(data)
	if err != nil || bytes.Equal(b, []byte("null")) {
		return nil, err
	}
	return b, nil
}
