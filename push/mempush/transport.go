package mempush

import (
	"context"
	"fmt"
	"slices"
	"time"

	"lastmile/push"
)

// Attach implements push.Transport.
func (t *Transport) Attach(ctx context.Context, nodeID, session string, after push.Seq) (push.Attachment, error) {
	if err := ctx.Err(); err != nil {
		return push.Attachment{}, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	box := t.open(session)
	box.expire(t, time.Now())
	if box.closed {
		return push.Attachment{}, push.ErrSessionClosed
	}
	if after < box.trimmed {
		return push.Attachment{}, fmt.Errorf("%w: entries up to %s are gone", push.ErrCursorTooOld, box.trimmed)
	}
	box.last = max(box.last, after)
	if cursor, ok := box.routes[nodeID]; !ok || after < cursor {
		box.routes[nodeID] = after
	}
	a := push.Attachment{Acked: box.acked, Last: box.last, Epoch: t.epoch}
	for _, e := range box.parked {
		if _, inMailbox := box.find(e.Seq); e.Seq > after && !inMailbox {
			a.Parked = append(a.Parked, e.Entry)
		}
	}
	return a, nil
}

// Detach implements push.Transport.
func (t *Transport) Detach(ctx context.Context, nodeID, session string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if box := t.boxes[session]; box != nil {
		delete(box.routes, nodeID)
	}
	return nil
}

// Read implements push.Transport.
func (t *Transport) Read(ctx context.Context, session string, after push.Seq, limit int) ([]push.Entry, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	box := t.boxes[session]
	if box == nil {
		return nil, nil
	}
	box.expire(t, time.Now())
	rest := box.after(after)
	return plain(rest[:min(max(limit, 0), len(rest))]), nil
}

// Pending implements push.Transport.
func (t *Transport) Pending(ctx context.Context, session string, after push.Seq) (push.Backlog, error) {
	if err := ctx.Err(); err != nil {
		return push.Backlog{}, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	b := push.Backlog{Cursor: after, Epoch: t.epoch}
	box := t.boxes[session]
	if box == nil {
		return b, nil
	}
	box.expire(t, time.Now())
	if box.closed {
		return push.Backlog{}, push.ErrSessionClosed
	}
	parked := slices.DeleteFunc(slices.Clone(box.parked), func(e entry) bool { return e.Seq <= after })
	b.Entries = plain(append(parked, box.after(max(after, box.acked))...))
	b.Cursor, b.Acked = max(after, box.acked), box.acked
	if len(b.Entries) > 0 {
		b.Cursor = max(b.Cursor, b.Entries[len(b.Entries)-1].Seq)
	}
	return b, nil
}

// Ack implements push.Transport.
func (t *Transport) Ack(ctx context.Context, session string, a push.Ack) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if box := t.boxes[session]; box != nil && !box.closed {
		box.ack(a)
		box.trim(min(box.acked, seqOf(time.Now().Add(-t.cfg.ResumeWindow))))
	}
	return nil
}

// CountStart implements push.Transport.
func (t *Transport) CountStart(ctx context.Context, session string, seq push.Seq, most int) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	box := t.open(session)
	before := box.starts[seq]
	if before < most {
		box.starts[seq]++
	}
	return before, nil
}

// ClearStarts implements push.Transport.
func (t *Transport) ClearStarts(ctx context.Context, session string, seq push.Seq) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.open(session).starts, seq)
	return nil
}

// Check implements push.Transport.
func (t *Transport) Check(ctx context.Context, nodeID string, sessions []string) ([]push.Status, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	states := make([]push.Status, 0, len(sessions))
	for _, session := range sessions {
		box := t.open(session)
		s := push.Status{Session: session, Last: box.last, Epoch: t.epoch}
		if _, ok := box.routes[nodeID]; !ok && !box.closed {
			box.routes[nodeID] = box.trimmed
			s.Rerouted = true
		}
		states = append(states, s)
	}
	return states, nil
}

// CloseSession implements push.Transport.
func (t *Transport) CloseSession(ctx context.Context, session string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	box := t.open(session)
	if box.closed {
		return nil
	}
	box.closed = true
	end := entry{Entry: push.Entry{Message: push.Message{Session: session}, Prev: box.last, Seq: max(box.last+1, seqOf(time.Now()))}}
	box.last = end.Seq
	t.hint(box, end)
	box.entries, box.parked = nil, nil
	clear(box.routes)
	clear(box.keys)
	return nil
}
