package stream

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// cursorEpoch and cursorEvery make the cursors by which caches in front of a
// server tell one wait from the next.
var cursorEpoch = time.Date(2024, 10, 9, 0, 0, 0, 0, time.UTC) //nolint:gochecknoglobals // a constant that Go cannot spell

const cursorEvery = 20 * time.Second

// cursor returns the one to answer with; given is what the reader has brought.
func cursor(given string) string {
	n := int64(time.Since(cursorEpoch) / cursorEvery)
	if c, err := strconv.ParseInt(given, 10, 64); err == nil && c >= n && c < maxPos {
		n = c + 1 + rand.Int64N(180) //nolint:gosec // nobody gains by guessing it
	}
	return strconv.FormatInt(n, 10)
}

func etag(s State, from string, to Offset, ended bool) string {
	end := ""
	if ended {
		end = ":c"
	}
	return fmt.Sprintf(`"%s:%s:%s%s"`, s.ID, from, to, end)
}

// head describes a stream.
func (h *Handler) head(ctx context.Context, w http.ResponseWriter, r *request) error {
	page, err := h.store.Read(ctx, r.key, Now, 0, false)
	if err != nil {
		return err
	}
	s, out := page.State, w.Header()
	out.Set("Cache-Control", "no-store")
	out.Set("Content-Type", s.ContentType)
	out.Set(headerNext, s.End.String())
	if s.Closed {
		out.Set(headerClosed, "true")
	}
	if s.TTL > 0 {
		out.Set(headerTTL, strconv.FormatInt(int64(s.TTL/time.Second), 10))
	}
	if s.ExpiresAt != "" {
		out.Set(headerExpires, s.ExpiresAt)
	}
	out.Set("ETag", etag(s, Start.String(), s.End, s.Closed))
	w.WriteHeader(http.StatusOK)
	return nil
}

// get reads a stream.
func (h *Handler) get(ctx context.Context, w http.ResponseWriter, r *request) error {
	q := r.URL.Query()
	given, live := q["offset"], q.Get("live")
	text := Start.String()
	switch {
	case len(given) > 1:
		return bad("There is one offset.")
	case len(given) == 1:
		text = given[0]
	}
	from, bad1 := ParseOffset(text)
	waits := live == "long-poll" || live == "sse"
	if waits && len(given) == 0 || bad1 != nil {
		// What is not there is not there, whatever the offset.
		if _, err := h.store.Read(ctx, r.key, Now, 0, false); err != nil {
			return err
		}
		return bad("The offset is -1, now, or one that was handed out.")
	}
	switch live {
	case "sse":
		return h.events(ctx, w, r, from)
	case "long-poll":
		return h.poll(ctx, w, r, from)
	}
	limit := h.cfg.MaxReadBytes
	if from == Now {
		limit = 0
	}
	page, err := h.store.Read(ctx, r.key, from, limit, true)
	if err != nil {
		return err
	}
	h.answer(w, r, page, text, "")
	return nil
}

// answer writes a page. cursor is that of a long poll.
func (h *Handler) answer(w http.ResponseWriter, r *request, page Page, from, cursor string) {
	out, s := w.Header(), page.State
	// What a writer calls HTML has no rights in this origin if somebody opens it.
	out.Set("Content-Security-Policy", "sandbox")
	out.Set("Content-Type", s.ContentType)
	out.Set(headerNext, page.To.String())
	if page.UpToDate() {
		out.Set(headerUpToDate, "true")
	}
	if page.Ended() {
		out.Set(headerClosed, "true")
	}
	if cursor != "" {
		out.Set(headerCursor, cursor)
	}
	if from == Now.String() && cursor == "" {
		out.Set("Cache-Control", "no-store")
	} else {
		out.Set("Cache-Control", "private, max-age=60, stale-while-revalidate=300")
		tag := etag(s, from, page.To, page.Ended())
		out.Set("ETag", tag)
		if r.Header.Get("If-None-Match") == tag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	h.metrics.read.Add(float64(len(page.Data)))
	body := wrap(s.ContentType, page.Data)
	out.Set("Content-Length", strconv.Itoa(len(body)))
	_ = send(w, body, h.cfg.WriteTimeout) // whoever asked may have left
}

// poll waits until there is something to answer with.
func (h *Handler) poll(ctx context.Context, w http.ResponseWriter, r *request, from Offset) error {
	given := r.URL.Query().Get("cursor")
	page, err := h.store.Read(ctx, r.key, from, h.cfg.MaxReadBytes, true)
	if err != nil {
		return err
	}
	if len(page.Data) == 0 && !page.State.Closed {
		if page, err = h.wait(ctx, w, r, page); err != nil || page.State.ID == "" {
			return err
		}
	}
	if len(page.Data) > 0 {
		h.answer(w, r, page, page.From.String(), cursor(given))
		return nil
	}
	out := w.Header()
	out.Set(headerNext, page.To.String())
	out.Set(headerUpToDate, "true")
	out.Set("Cache-Control", "no-store")
	if page.State.Closed {
		out.Set(headerClosed, "true")
	} else {
		out.Set(headerCursor, cursor(given))
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// wait returns what follows an empty page, or the page when the time is over. It
// returns none when the request was answered.
func (h *Handler) wait(ctx context.Context, w http.ResponseWriter, r *request, page Page) (Page, error) {
	waitCtx, leave, ok := h.enter(ctx)
	if !ok {
		h.busy(w)
		return Page{}, nil
	}
	defer leave()
	waitCtx, cancel := context.WithTimeout(waitCtx, h.cfg.MaxWait)
	defer cancel()
	reader := NewReader(h.store, r.key, page.To)
	defer reader.Close()
	reader.touch = false
	c, err := reader.Next(waitCtx)
	switch {
	case ctx.Err() != nil:
		return Page{}, nil
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return page, nil
	case err != nil:
		return Page{}, err
	}
	if reader.id != page.State.ID {
		return Page{}, ErrMoved
	}
	next := page
	next.Data, next.From, next.To = c.Data, c.From, c.To
	next.State.End, next.State.Closed = reader.end, reader.closed
	return next, nil
}

// busy has a reader come back later.
func (h *Handler) busy(w http.ResponseWriter) {
	w.Header().Set("Retry-After", strconv.Itoa(1+rand.IntN(3))) //nolint:gosec // nobody gains by guessing it
	refuse(w, http.StatusServiceUnavailable, "There are too many readers.")
}
