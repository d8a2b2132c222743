package live

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lastmile/live/internal/delivery"
	"lastmile/push"
)

// mounted is a page made anew, and what its code did besides.
type mounted struct {
	*delivery.Mount
	// fx is what Mount did, and the pushes that Apply has applied.
	fx effects
	// rejected are the messages of pushes that are dead letters now.
	rejected []Flash
	// sentOff is the pending push that sends the browser elsewhere.
	sentOff *delivery.SentOff
}

// mountTries bounds how often a mount starts over because another one changed
// the persisted fields meanwhile.
const mountTries = 5

var errMount = errors.New("live: mount failed")

// open mounts a page with its pending pushes applied and its persisted fields
// stored.
func (p *page) open(ctx context.Context, who *visitor, kind string) (*mounted, error) {
	p.hub.metrics.mounts.WithLabelValues(kind).Inc()
	var last error
	for range mountTries {
		m, err := p.mount(ctx, who)
		if err != nil || m.fx.navigate != nil {
			return m, err
		}
		if err := m.apply(ctx); err != nil {
			return nil, err
		}
		err = m.Save(ctx)
		if err == nil {
			return m, nil
		}
		if !errors.Is(err, push.ErrStateConflict) {
			return nil, err
		}
		last = err
	}
	return nil, fmt.Errorf("live: mount %q: given up after %d tries: %w", p.name, mountTries, last)
}

// mount makes the state: initial, persisted fields, Mount. Pending pushes are
// only looked up.
func (p *page) mount(ctx context.Context, who *visitor) (*mounted, error) {
	state, err := p.model.fresh()
	if err != nil {
		return nil, err
	}
	session := who.Session
	code := program{p, who}
	m := &mounted{}
	m.Mount, err = delivery.NewMount(ctx, p.hub.pages, p.key(who), code, state, func(ctx context.Context) (push.Backlog, error) {
		return p.hub.deps.Node.Pending(ctx, session, 0)
	})
	if err != nil {
		return nil, err
	}
	id := cause{"mount", push.NewID()}
	if err := m.run(ctx, code, p.model.mount, invocation{source: sourceMount, action: "Mount", cause: id}); err != nil {
		return nil, err
	}
	if m.fx.patch != nil || m.fx.navigate != nil {
		return m, nil // OnURL has run, or will on another page
	}
	return m, m.run(ctx, code, p.model.onURL, invocation{source: sourceMount, action: onURL, cause: id})
}

// run runs one of the methods that make a page, if the controller has it.
func (m *mounted) run(ctx context.Context, code program, h handler, inv invocation) error {
	if h == nil {
		return nil
	}
	out, err := code.call(ctx, m.State, h, inv)
	m.fx.add(unboxed(out.Effects))
	if err != nil {
		code.page.logFailure(ctx, code.who, inv, 1, err)
		return fmt.Errorf("%w: %w", errMount, err)
	}
	m.Take(out)
	return nil
}

// key names the page for package delivery.
func (p *page) key(who *visitor) delivery.Key {
	return delivery.Key{Session: who.Session, View: p.name, Conn: who.conn}
}

// apply applies what waits, and gathers the effects.
func (m *mounted) apply(ctx context.Context) error {
	var err error
	m.sentOff, err = m.Apply(ctx, time.Now().Add(openPatience), func(fx delivery.Effects) bool { return unboxed(fx).navigate != nil })
	if err != nil {
		return err
	}
	for _, fx := range m.Rejected {
		m.rejected = append(m.rejected, unboxed(fx).flashes...)
	}
	if m.sentOff != nil { // what the others did comes again with the next mount
		m.fx.add(unboxed(m.sentOff.Effects))
		return nil
	}
	for _, fx := range m.Effects {
		m.fx.add(unboxed(fx))
	}
	return nil
}
