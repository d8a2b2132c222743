package pushhttp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"lastmile/push"
)

// reader is one reader of a session at its place. One goroutine has it.
type reader struct {
	h    *Handler
	who  caller
	feed *push.Feed
	at   cursor
	// first is what waited when the reader began without a cursor.
	first []push.Entry
	// reset says that pushes after the reader's cursor are gone, so that it begins
	// anew.
	reset bool
}

// retryBase and retryMax shape the waits for a store that does not answer.
const (
	retryBase = 50 * time.Millisecond
	retryMax  = 2 * time.Second
)

// open begins where from says, and confirms what lies before: else, and when
// that is too old, with all that is pending. It goes on trying while the store
// does not answer. The error wraps push.ErrSessionClosed, or is that of ctx.
func (h *Handler) open(ctx context.Context, who caller, from, how string) (*reader, error) {
	rd := &reader{h: h, who: who}
	at, err := h.keys.parse(who.session, who.only, from)
	known := err == nil
	rd.reset = from != "" && !known
	for try := 0; ; try++ {
		if known {
			err = rd.resume(ctx, at, how)
		} else {
			err = rd.begin(ctx)
		}
		switch {
		case err == nil:
			return rd, nil
		case errors.Is(err, push.ErrSessionClosed):
			return nil, err
		case errors.Is(err, push.ErrCursorTooOld) && known:
			known, rd.reset = false, true
			continue
		}
		h.metrics.retries.Inc()
		select {
		case <-time.After(push.Backoff(try, retryBase, retryMax)):
		case <-ctx.Done():
			return nil, fmt.Errorf("pushhttp: open a reader: %w, last: %w", ctx.Err(), err)
		}
	}
}

// slot waits for one of the places to ask the store: thousands of readers come
// back at once.
func (h *Handler) slot(ctx context.Context) (free func(), err error) {
	select {
	case h.slots <- struct{}{}:
		return func() { <-h.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// begin takes what is pending, and follows from there.
func (rd *reader) begin(ctx context.Context) error {
	free, err := rd.h.slot(ctx)
	if err != nil {
		return err
	}
	defer free()
	b, err := rd.h.node.Pending(ctx, rd.who.session, 0)
	if err != nil {
		return err
	}
	feed, err := rd.h.node.Subscribe(ctx, rd.who.session, b.Cursor)
	if err != nil {
		return err // with ErrCursorTooOld somebody has confirmed in between
	}
	if feed.Epoch() != b.Epoch {
		feed.Close()
		return push.ErrCursorTooOld
	}
	rd.feed, rd.first = feed, b.Entries
	rd.at = cursor{epoch: b.Epoch, seq: b.Cursor}
	if len(b.Entries) > 0 {
		rd.at = cursor{epoch: b.Epoch, base: b.Acked}
	}
	return nil
}

// resume goes on behind a cursor, and confirms what it says has been seen.
func (rd *reader) resume(ctx context.Context, at cursor, how string) error {
	free, err := rd.h.slot(ctx)
	if err != nil {
		return err
	}
	defer free()
	if e := rd.h.node.Epoch(); e != "" && e != at.epoch {
		return push.ErrCursorTooOld
	}
	feed, err := rd.h.node.Subscribe(ctx, rd.who.session, at.reach())
	if err != nil {
		return err
	}
	feed.Unacked() // confirm names what was skipped
	if feed.Epoch() != at.epoch {
		feed.Close()
		return push.ErrCursorTooOld
	}
	rd.feed, rd.at = feed, at
	if at.base > at.seq {
		b, err := rd.h.node.Pending(ctx, rd.who.session, at.seq)
		if err != nil {
			feed.Close()
			return err
		}
		for _, e := range b.Entries {
			if e.Seq <= at.base {
				rd.first = append(rd.first, e)
			}
		}
	}
	if err := rd.h.confirm(ctx, rd.who, at.seq, how); err != nil {
		rd.h.cfg.Logger.WarnContext(ctx, "confirmation failed, the pushes stay", "session", push.Redact(rd.who.session), "error", err)
	}
	return nil
}

// confirm acknowledges what a reader has seen up to a place: everything but what
// its filter leaves out, which stays parked for a page or a reader that wants it.
// What is named as skipped is what the store has at that moment: whatever else
// parks or takes something meanwhile, nothing that this reader has not seen is
// taken.
func (h *Handler) confirm(ctx context.Context, who caller, upTo push.Seq, how string) error {
	ack := push.Ack{UpTo: upTo}
	if len(who.only) > 0 || who.render != nil {
		b, err := h.node.Pending(ctx, who.session, 0)
		if err != nil {
			return err
		}
		for _, e := range b.Entries {
			if e.Seq > upTo || e.Err != nil {
				continue
			}
			if _, ok := who.wants(e); !ok {
				ack.Skipped = append(ack.Skipped, e.Seq)
			}
		}
	}
	if err := h.node.Ack(ctx, who.session, ack); err != nil {
		return err
	}
	h.metrics.acks.WithLabelValues(how).Inc()
	return nil
}

// The ways in which a reader confirms.
const (
	ackResume = "resume"
	ackPoll   = "poll"
	ackPost   = "post"
	ackSocket = "socket"
	ackListen = "listen"
)

// event is a push as a reader gets it, by way of JSON.
type event struct {
	ID     string          `json:"id"`
	Action string          `json:"action"`
	Data   json.RawMessage `json:"data,omitempty"`
}

// take moves the reader behind an entry, and returns its fragment if the reader
// wants one. It returns false for what the reader does not want, or nobody can
// read.
func (rd *reader) take(ctx context.Context, e push.Entry) (html string, wanted bool) {
	rd.at.seq = max(rd.at.seq, e.Seq)
	if e.Err == nil {
		return rd.who.wants(e)
	}
	if err := rd.feed.DeadLetter(ctx, e, push.Failure{Reason: push.ReasonDecode, Attempts: 1, Error: e.Err.Error()}); err != nil {
		rd.h.cfg.Logger.WarnContext(ctx, "unreadable push stays", "session", push.Redact(rd.who.session), "error", err)
	}
	return "", false
}

// wants says whether a reader wants an entry, and makes the fragment for a reader
// of those.
func (c *caller) wants(e push.Entry) (html string, ok bool) {
	if !c.only.wants(e.Action) {
		return "", false
	}
	if c.render == nil {
		return "", true
	}
	return c.render(e)
}

// next returns the next entry, from what waited at first and then from the feed.
func (rd *reader) next() (push.Entry, bool) {
	if len(rd.first) > 0 {
		e := rd.first[0]
		rd.first = rd.first[1:]
		return e, true
	}
	rd.first = nil
	return rd.feed.Next()
}

// id is the reader's cursor as it is sent.
func (rd *reader) id() string { return rd.h.keys.format(rd.who.session, rd.who.only, rd.at) }
