package live

import (
	"context"

	"lastmile/live/internal/delivery"
	"lastmile/push"
)

// What follows lets package delivery run the page's code, speak to the node, and
// tell the connection.

// program runs a page's actions for whoever looks at it. It implements
// delivery.Program and delivery.Fields.
type program struct {
	page *page
	who  *visitor
}

func (p program) Handles(action string) bool { return p.page.model.actions[action] != nil }

func (p program) Run(ctx context.Context, state any, e push.Entry, from delivery.Source) (delivery.Outcome, error) {
	return p.call(ctx, state, p.page.model.actions[e.Action], p.invocation(e, from))
}

// call runs a controller's method. Of a failed one only the messages are left.
func (p program) call(ctx context.Context, state any, h handler, inv invocation) (delivery.Outcome, error) {
	out, err := p.page.invoke(ctx, p.who, h, state, inv)
	if err != nil {
		out.fx = effects{flashes: out.fx.flashes}
	}
	return delivery.Outcome{State: out.state, Encoded: out.encoded, Effects: boxed(out.fx)}, err
}

func (p program) Failed(ctx context.Context, e push.Entry, from delivery.Source, attempt int, err error) push.Reason {
	p.page.logFailure(ctx, p.who, p.invocation(e, from), attempt, err)
	return reasonOf(err)
}

func (p program) Encode(state any) ([]byte, error) { return p.page.encode(state) }
func (p program) Decode(b []byte) (any, error)     { return p.page.model.decode(b) }
func (p program) Flat() bool                       { return p.page.model.flat }
func (p program) Fields() delivery.Fields          { return p.page.model }

// invocation describes the run of a push or a topic message.
func (p program) invocation(e push.Entry, from delivery.Source) invocation {
	if from == delivery.FromTopic {
		return invocation{source: sourceTopic, action: e.Action, data: e.Data, cause: cause{"topic", p.who.conn, e.ID}}
	}
	return invocation{
		source: sourcePush, action: e.Action, data: e.Data, pushID: e.ID, parent: e.Traceparent,
		cause: cause{"push", p.who.Session, p.page.name, e.ID},
	}
}

// boxed returns effects for package delivery, nil for none.
func boxed(fx effects) delivery.Effects {
	if !fx.Visible() && len(fx.publishes) == 0 && len(fx.topics) == 0 {
		return nil
	}
	return &fx
}

// unboxed returns what boxed has been given.
func unboxed(fx delivery.Effects) effects {
	if e, ok := fx.(*effects); ok {
		return *e
	}
	return effects{}
}

// screen is told by a Session what becomes of the page. It implements
// delivery.Page.
type screen struct{ c *conn }

// Changed: also fields that JSON leaves out may have.
func (s screen) Changed() { s.c.out.changed() }

func (s screen) Applied(e push.Entry) { s.c.out.older(e.Seq.Time()) }

func (s screen) Subscribed(ctx context.Context, fx delivery.Effects) {
	e := unboxed(fx)
	if len(e.topics) > 0 {
		s.c.topics.change(ctx, e.topics)
	}
	if e.patch != nil { // it is stored with the state
		moveTo(s.c, e.patch.query)
	}
}

func (s screen) Happened(ctx context.Context, all []delivery.Effects) {
	var publishes []topicMessage
	for _, fx := range all {
		e := unboxed(fx)
		s.c.out.add(e)
		if e.navigate != nil {
			s.c.session.Leave()
		}
		publishes = append(publishes, e.publishes...)
	}
	s.c.topics.publish(ctx, publishes)
}

func (s screen) GaveUp(e push.Entry, why string) {
	text := "An update could not be applied."
	if s.c.hub.cfg.Dev && why != "" {
		text += " " + why
	}
	s.c.out.fail(frameError{Code: codeDeadLetter, Text: text, Action: e.Action})
}

func (s screen) Over(end delivery.End) { s.c.end(endings[end]) }

func (s screen) Document(snap delivery.Snapshot, owed *delivery.Receipt) ([]byte, error) {
	return encodeConn(snap.Encoded, connExtras{
		Topics: topicList(s.c.who.topics), Owed: owed, Applied: snap.Applied.Encode(), Refused: s.c.refused.below(snap.Client), Place: s.c.placed,
	})
}

// nodePort is a push.Node for package delivery.
type nodePort struct{ *push.Node }

func (n nodePort) Subscribe(ctx context.Context, session string, after push.Seq) (delivery.Feed, error) {
	feed, err := n.Node.Subscribe(ctx, session, after)
	if err != nil {
		return nil, err
	}
	return feed, nil
}

// meter counts for package delivery.
type meter struct{ hub *Hub }

func (m meter) Committed(outcome string) { m.hub.metrics.commits.WithLabelValues(outcome).Inc() }
func (m meter) Retried()                 { m.hub.metrics.retries.Inc() }
func (m meter) Repeated()                { m.hub.metrics.repeated.Inc() }

func (m meter) DeadLettered(reason push.Reason) {
	m.hub.metrics.deadLettered.WithLabelValues(string(reason)).Inc()
}

func (m meter) Skipped(k delivery.Key, e push.Entry, first bool) {
	m.hub.metrics.skipped.Inc()
	if first && !m.hub.knows(e.Action) {
		m.hub.metrics.unknown.Inc()
		m.hub.log.Warn("no view has the action of a push", "session", push.Redact(k.Session), "action", e.Action, "id", e.ID)
	}
}

// delivery returns what the hub's pages share.
func (h *Hub) delivery() *delivery.Deps {
	c := &h.cfg
	return &delivery.Deps{
		Node: nodePort{h.deps.Node}, States: h.deps.States, Meter: meter{h}, Log: h.log,
		Gate: delivery.NewGate(c.ActionTimeout + c.StoreTimeout), Counts: new(delivery.Counts),
		Config: delivery.Config{
			ActionTimeout: c.ActionTimeout, StoreTimeout: c.StoreTimeout, CommitDelay: c.CommitDelay,
			ResumeTTL: c.ResumeTTL, SharedTTL: c.SharedTTL,
			RetryTries: c.RetryTries, RetryBase: c.RetryBase, RetryMax: c.RetryMax,
		},
	}
}
