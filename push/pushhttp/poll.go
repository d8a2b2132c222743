package pushhttp

import (
	"context"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"lastmile/push"
)

// accepts says whether a request names a media type that it takes.
func accepts(r *http.Request, kind string) bool {
	for one := range strings.SplitSeq(strings.Join(r.Header.Values("Accept"), ","), ",") {
		if t, _, err := mime.ParseMediaType(one); err == nil && t == kind {
			return true
		}
	}
	return false
}

// polled is the answer to a long poll.
type polled struct {
	Events []event `json:"events"`
	Next   string  `json:"next"`
	Reset  bool    `json:"reset,omitempty"`
}

// pollLimit bounds the events of one answer.
const pollLimit = 64

// poll answers with what is behind a cursor, and waits for it.
func (h *Handler) poll(w http.ResponseWriter, r *http.Request, who caller) {
	q := r.URL.Query()
	wait, limit := h.cfg.MaxWait, pollLimit
	if s := q.Get("wait"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 {
			newProblem(http.StatusBadRequest, "wait", "wait is a number of seconds.").write(w, r)
			return
		}
		wait = min(wait, time.Duration(min(n, 3600))*time.Second)
	}
	if s := q.Get("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 {
			newProblem(http.StatusBadRequest, "limit", "limit is a number of events, at least 1.").write(w, r)
			return
		}
		limit = min(limit, n)
	}
	leave, full := h.enter(who.session)
	if full {
		h.metrics.refused.WithLabelValues("full").Inc()
		newProblem(http.StatusServiceUnavailable, "full", "There are too many readers.").again(5*time.Second).write(w, r)
		return
	}
	defer leave()
	ctx, cancel := h.untilDrained(r.Context())
	defer cancel()
	ctx, cancelWait := context.WithTimeout(ctx, wait+5*time.Second)
	defer cancelWait()
	from := q.Get("after")
	if from == "" {
		from = r.Header.Get("Last-Event-ID")
	}
	rd, err := h.open(ctx, who, from, ackPoll)
	if err != nil {
		pollProblem(err).write(w, r)
		return
	}
	defer rd.feed.Close()
	events := rd.await(ctx, wait, limit)
	if err := rd.feed.Err(); err != nil && len(events) == 0 {
		pollProblem(err).write(w, r)
		return
	}
	h.metrics.events.Add(float64(len(events)))
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(h.cfg.WriteTimeout)) // a recorder has none
	writeJSON(w, http.StatusOK, polled{Events: events, Next: rd.id(), Reset: rd.reset})
}

func pollProblem(err error) *problem {
	if errors.Is(err, push.ErrSessionClosed) {
		return closedProblem()
	}
	return newProblem(http.StatusServiceUnavailable, "unavailable", "The store does not answer, or the server stops.").again(time.Second)
}

// await returns the events that are there, or the first that come. It does not
// wait in an answer that tells of a reset.
func (rd *reader) await(ctx context.Context, wait time.Duration, limit int) []event {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	events := []event{}
	size := 0
	for {
		for len(events) < limit && size < writeBytes {
			e, ok := rd.next()
			if !ok {
				break
			}
			if html, ok := rd.take(ctx, e); ok {
				data := rd.who.data(e, html)
				size += len(data)
				events = append(events, event{ID: rd.id(), Action: e.Action, Data: data})
			}
		}
		if len(events) > 0 || rd.feed.Err() != nil || rd.reset && rd.feed.CaughtUp() {
			return events
		}
		select {
		case <-rd.feed.Ready():
		case <-timer.C:
			return events
		case <-ctx.Done():
			return events
		}
	}
}

// data is a push's JSON, or for a reader of fragments one as a string.
func (c *caller) data(e push.Entry, html string) json.RawMessage {
	if c.render == nil {
		return dataOf(e)
	}
	text, err := json.Marshal(html)
	if err != nil {
		return nil // no string fails
	}
	return text
}
