package pushhttp

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	"lastmile/push"
)

// quickly is how long a new reader waits for an answer that may still be a status.
// Later on it is greeted, and whatever passes is waited for.
const quickly = time.Second

// spread returns a random number of milliseconds, so that many readers do not come
// back together.
func spread(from, to int) int { return from + rand.N(to-from+1) } //nolint:gosec // no secret

// events serves a stream of events, or a long poll.
func (h *Handler) events(w http.ResponseWriter, r *http.Request, who caller) {
	as, p := h.dialectOf(r.URL.Query())
	if p != nil {
		p.write(w, r)
		return
	}
	if as.form != formJSON {
		who.render = h.cfg.Render
	}
	if !accepts(r, "text/event-stream") && accepts(r, "application/json") {
		if len(who.topics) > 0 {
			newProblem(http.StatusBadRequest, "topics", "A poll follows no topics: they come to who is connected.").write(w, r)
			return
		}
		h.poll(w, r, who)
		return
	}
	leave, full := h.enter(who.session)
	if full {
		h.busy(w, r, as)
		return
	}
	from := r.Header.Get("Last-Event-ID") // the address stays as the page was loaded with it: the header is later
	if from == "" {
		from = r.URL.Query().Get("after")
	}
	rd, err := h.openWithin(r.Context(), quickly, who, from)
	if errors.Is(err, push.ErrSessionClosed) {
		leave()
		closedProblem().write(w, r)
		return
	}
	out, failed := h.newStream(w, r, as)
	if failed != nil {
		if err == nil {
			rd.feed.Close()
		}
		leave()
		return
	}
	confirms := r.URL.Query().Get("ack") == "post"
	if out.conn == nil {
		h.follow(r.Context(), out, rd, who, from, confirms, leave)
		return
	}
	// The reader goes on without the server's buffers and the request. Run waits
	// for it.
	ctx, cancel := out.watch(context.WithoutCancel(r.Context()))
	go func() {
		defer cancel()
		h.follow(ctx, out, rd, who, from, confirms, leave)
	}()
}

// follow writes a reader's events until it is gone. Without a reader it opens one
// first.
func (h *Handler) follow(ctx context.Context, out *stream, rd *reader, who caller, from string, confirms bool, leave func()) {
	defer leave()
	defer out.end()
	if rd == nil {
		var err error
		if rd, err = h.openWithin(ctx, 0, who, from); err != nil {
			if errors.Is(err, push.ErrSessionClosed) {
				out.control("closed", "", 60_000)
			} else {
				out.control("stopping", "", spread(200, 2000))
			}
			_ = out.flush() // it has left
			return
		}
	}
	defer rd.feed.Close()
	f := &follower{reader: rd, out: out}
	f.confirms.Store(confirms)
	f.run(ctx)
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
		out.control("stopping", "", spread(5000, 15_000))
		_ = out.flush() // it has left
		out.end()
	}
}

func closedProblem() *problem {
	return newProblem(http.StatusGone, "session-closed", "The session is closed.")
}
