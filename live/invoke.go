package live

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"lastmile/live/internal/delivery"
	"lastmile/push"
)

// panicError is a panic of the program's code.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("live: panicked: %v", e.value) }

// timeoutError is an error of an action whose time was over.
type timeoutError struct{ err error }

func (e *timeoutError) Error() string { return "live: action timed out: " + e.err.Error() }
func (e *timeoutError) Unwrap() error { return e.err }

// reasonOf classifies an action's error for the dead letters.
func reasonOf(err error) push.Reason {
	if errors.Is(err, push.ErrReject) {
		return push.ReasonRejected
	}
	if _, ok := errors.AsType[*panicError](err); ok {
		return push.ReasonPanic
	}
	if _, ok := errors.AsType[*timeoutError](err); ok {
		return push.ReasonTimeout
	}
	if errors.Is(err, push.ErrDecode) || errors.Is(err, push.ErrVersion) {
		return push.ReasonDecode
	}
	return push.ReasonError
}

// outcome is an accepted run: the next state in both forms, and the rest.
type outcome struct {
	state   any
	encoded []byte
	fx      effects
}

// invoke runs one controller method and checks that its state can be kept.
// Effects come back in any case: a failed action may have something to say.
func (p *page) invoke(ctx context.Context, who *visitor, h handler, state any, inv invocation) (outcome, error) {
	return p.run(ctx, who, h, state, inv, p.encode)
}

// call is invoke without a look at the state, for what is not kept.
func (p *page) call(ctx context.Context, who *visitor, h handler, state any, inv invocation) (outcome, error) {
	return p.run(ctx, who, h, state, inv, func(any) ([]byte, error) { return nil, nil })
}

func (p *page) run(ctx context.Context, who *visitor, h handler, state any, inv invocation, encode func(any) ([]byte, error)) (outcome, error) {
	start := time.Now()
	ctx, span := p.span(ctx, inv)
	defer span.End()
	limit := withLimit(ctx, p.hub.cfg.ActionTimeout)
	defer limit.end()
	c := newContext(limit, p, who, inv) //nolint:contextcheck // limit stands on ctx
	next, err := call(h, state, c)
	out := outcome{state: next, fx: c.end()}
	if to := out.fx.patch; err == nil && to != nil && inv.action != onURL {
		inv.action, inv.data = onURL, nil
		c = newContext(limit, p, who.at(to.query), inv) //nolint:contextcheck // likewise
		out.state, err = call(p.model.onURL, next, c)
		out.fx.add(c.end())
	}
	if err != nil {
		out.fx.patch = nil
	}
	if err != nil && errors.Is(limit.Err(), context.DeadlineExceeded) {
		err = &timeoutError{err}
	}
	if err == nil {
		out.encoded, err = encode(out.state)
	}
	took := time.Since(start)
	if took > p.hub.cfg.ActionTimeout+time.Second {
		p.hub.log.WarnContext(ctx, "action outlived its context", "view", p.name, "action", inv.action, "took", took)
	}
	result := "ok"
	if err != nil {
		result = string(reasonOf(err))
		span.SetStatus(codes.Error, result)
		span.RecordError(err)
	}
	p.hub.metrics.ran(inv.source, result, took)
	return out, err
}

// call turns a panic into an error.
func call(h handler, state any, c *Context) (next any, err error) {
	defer caught(&err)
	return h(state, c)
}

// caught makes an error of a panic of the program's code; it has to be deferred.
func caught(err *error) {
	if v := recover(); v != nil {
		*err = &panicError{v, debug.Stack()}
	}
}

// encode writes a state, within its bound.
func (p *page) encode(state any) ([]byte, error) {
	b, err := p.model.encode(state)
	if err != nil {
		return nil, err
	}
	if limit := p.hub.cfg.MaxStateBytes; len(b) > limit {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are allowed (Config.MaxStateBytes)", delivery.ErrStateSize, len(b), limit)
	}
	return b, nil
}

// span starts the action's span, linked to what published the push. Samplers
// see its name alone, so that a program without tracing does not pay for the
// rest.
func (p *page) span(ctx context.Context, inv invocation) (context.Context, trace.Span) {
	ctx, span := p.hub.tracer.Start(ctx, "live.action", p.hub.spanKind)
	if !span.IsRecording() {
		return ctx, span
	}
	span.SetAttributes(attribute.String("live.view", p.name), attribute.String("live.action", inv.action),
		attribute.String("live.source", string(inv.source)))
	if inv.parent != "" {
		remoteCtx := propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": inv.parent})
		span.AddLink(trace.LinkFromContext(remoteCtx))
	}
	return ctx, span
}

// logFailure reports an action's error once, where it is handled.
func (p *page) logFailure(ctx context.Context, who *visitor, inv invocation, attempt int, err error) {
	args := []any{
		"session", push.Redact(who.Session), "view", p.name, "action", inv.action, "id", inv.cause.id(),
		"source", string(inv.source), "attempt", attempt, "error", err,
	}
	if p, ok := errors.AsType[*panicError](err); ok {
		args = append(args, "stack", string(p.stack))
	}
	p.hub.log.WarnContext(ctx, "action failed", args...)
}

// publicText is what the page may know of an action's error.
func (h *Hub) publicText(inv invocation, err error) string {
	if h.cfg.Dev {
		return inv.action + ": " + err.Error()
	}
	return "That did not work. Please try again."
}
