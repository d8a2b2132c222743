package pushhttp

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	"lastmile/push"
)

const (
	// writeLen and writeBytes bound what is gathered for one write.
	writeLen   = 64
	writeBytes = 256 << 10
	// idEvery is how often, at most, a reader is told of a place that it has
	// reached without an event.
	idEvery = time.Second
	// quickly is how long a new reader waits for an answer that may still be a
	// status. Later on it is greeted, and whatever passes is waited for.
	quickly = time.Second
)

// spread returns a random number of milliseconds, so that many readers do not come
// back together.
func spread(from, to int) int { return from + rand.N(to-from+1) } //nolint:gosec // no secret

// events serves a stream of events, or a long poll.
func (h *Handler) events(w http.ResponseWriter, r *http.Request, who caller) {
	as, p := h.dialectOf(r.URL.Query().Get("as"))
	if p != nil {
		p.write(w, r)
		return
	}
	if as != dialectJSON {
		who.render = h.cfg.Render
	}
	if !accepts(r, "text/event-stream") && accepts(r, "application/json") {
		h.poll(w, r, who)
		return
	}
	leave, full := h.enter(who.session)
	if full {
		h.busy(w, r, as)
		return
	}
	defer leave()
	from := r.Header.Get("Last-Event-ID") // the address stays as the page was loaded with it: the header is later
	if from == "" {
		from = r.URL.Query().Get("after")
	}
	rd, err := h.openWithin(r.Context(), quickly, who, from)
	if errors.Is(err, push.ErrSessionClosed) {
		closedProblem().write(w, r)
		return
	}
	out, failed := h.newStream(w, r, as)
	if err != nil && failed == nil {
		rd, err = h.openWithin(r.Context(), 0, who, from)
	}
	if err == nil {
		defer rd.feed.Close()
	}
	switch {
	case failed != nil:
		return
	case errors.Is(err, push.ErrSessionClosed):
		_ = out.send(control(nil, "closed", "", 60_000)) // it has left
	case err != nil:
		_ = out.send(control(nil, "stopping", "", spread(200, 2000))) // it has left
	default:
		(&follower{reader: rd, out: out, as: as, listens: r.URL.Query().Get("ack") != "post"}).run(r.Context())
	}
	if r.Context().Err() == nil {
		out.end()
	}
}

// openWithin is open for a time, zero for any, and until readers have to leave.
func (h *Handler) openWithin(ctx context.Context, limit time.Duration, who caller, from string) (*reader, error) {
	ctx, cancel := h.untilDrained(ctx)
	defer cancel()
	if limit > 0 {
		var end context.CancelFunc
		ctx, end = context.WithTimeout(ctx, limit)
		defer end()
	}
	return h.open(ctx, who, from, ackResume)
}

// busy answers a reader for which there is no place: a status would end it for
// good.
func (h *Handler) busy(w http.ResponseWriter, r *http.Request, as dialect) {
	h.metrics.refused.WithLabelValues("full").Inc()
	if out, err := h.newStream(w, r, as); err == nil {
		_ = out.send(control(nil, "stopping", "", spread(5000, 15_000))) // it has left
		out.end()
	}
}

func closedProblem() *problem {
	return newProblem(http.StatusGone, "session-closed", "The session is closed.")
}

// follower writes a reader's events until it is gone.
type follower struct {
	*reader
	out *stream
	as  dialect
	// listens says that the reader confirms nothing by itself.
	listens bool
	// written are the places that were written to the connection and are not
	// confirmed yet, oldest first.
	written []mark
	// passed says that the reader has a place that it was not told of.
	passed bool
}

// mark is a place, and when it was written.
type mark struct {
	seq push.Seq
	at  time.Time
}

// run writes until the reader is gone or has to go.
func (f *follower) run(ctx context.Context) {
	var b []byte
	if f.reset {
		b = control(b, "reset", f.id(), 0)
	} else {
		b = append(b, "id: "+f.id()+"\n\n"...) // a reader that is cut before the first event has a place, too
	}
	if f.out.send(b) != nil {
		return
	}
	beat := time.NewTimer(f.beat())
	defer beat.Stop()
	var check, tell, expired <-chan time.Time
	if !f.who.expires.IsZero() {
		timer := time.NewTimer(time.Until(f.who.expires))
		defer timer.Stop()
		expired = timer.C
	}
	for {
		more, err := f.forward(ctx)
		if err != nil {
			return
		}
		if len(f.written) > 0 && check == nil {
			check = time.After(f.h.cfg.AckAfter)
		}
		if f.passed && tell == nil {
			tell = time.After(idEvery)
		}
		if more {
			continue
		}
		if err := f.feed.Err(); err != nil {
			f.over(err)
			return
		}
		select {
		case <-f.feed.Ready():
		case <-ctx.Done():
			return
		case <-f.h.stopping:
			_ = f.out.send(control(nil, "stopping", "", spread(100, 2000))) // it has left
			return
		case <-expired:
			_ = f.out.send(control(nil, "expired", "", 0)) // it has left
			return
		case <-beat.C:
			beat.Reset(f.beat())
			if f.out.send([]byte(":\n\n")) != nil {
				return
			}
		case <-tell:
			tell, f.passed = nil, false
			if f.out.send([]byte("id: "+f.id()+"\n\n")) != nil {
				return
			}
		case <-check:
			check = nil
			if f.heard(ctx) != nil {
				return
			}
			if len(f.written) > 0 {
				check = time.After(max(f.h.cfg.AckAfter-time.Since(f.written[0].at), f.h.cfg.AckAfter/4))
			}
		}
	}
}

// beat is the time to the next heartbeat.
func (f *follower) beat() time.Duration {
	every := f.h.cfg.Heartbeat
	return every - every/5 + rand.N(2*every/5+1) //nolint:gosec // no secret
}

// forward writes what is there, and reports whether there may be more.
func (f *follower) forward(ctx context.Context) (more bool, err error) {
	var b []byte
	n, before := 0, f.at
	for ; n < writeLen && len(b) < writeBytes; n++ {
		e, ok := f.next()
		if !ok {
			break
		}
		if html, ok := f.take(ctx, e); ok {
			b = f.as.event(b, f.id(), e, html)
			f.h.metrics.events.Inc()
		}
	}
	f.passed = (f.passed || f.at != before) && len(b) == 0
	if len(b) > 0 {
		if err := f.out.send(b); err != nil {
			return false, err
		}
	}
	if f.listens && f.at != before {
		f.written = append(f.written, mark{f.at.seq, time.Now()})
	}
	return n == writeLen || len(b) >= writeBytes, nil
}

// heard confirms for a reader that can only listen what was written AckAfter ago,
// if the connection still takes what is written to it.
func (f *follower) heard(ctx context.Context) error {
	n := 0
	for n < len(f.written) && time.Since(f.written[n].at) >= f.h.cfg.AckAfter {
		n++
	}
	if n == 0 {
		return nil
	}
	if err := f.out.send([]byte(":\n\n")); err != nil {
		return err
	}
	if err := f.h.confirm(ctx, f.who, f.written[n-1].seq, ackListen); err != nil {
		f.h.cfg.Logger.WarnContext(ctx, "confirmation failed, trying again", "session", push.Redact(f.who.session), "error", err)
		return nil
	}
	f.written = f.written[n:]
	return nil
}

// over tells why the feed has ended. A cursor that has become too old is found
// out when the reader comes back.
func (f *follower) over(err error) {
	name, retry := "stopping", spread(100, 1000)
	if errors.Is(err, push.ErrSessionClosed) {
		name, retry = "closed", 60_000
	}
	_ = f.out.send(control(nil, name, "", retry)) // it has left
}
