package mempush

import (
	"bytes"
	"context"
	"time"

	"lastmile/push"
)

type (
	connKey struct{ session, conn string }
	viewKey struct{ session, view string }
)

// record is a value with a lifetime.
type record[R any] struct {
	value R
	until time.Time
}

func (r *record[R]) expired(now time.Time) bool { return !now.Before(r.until) }

// CreateConn implements push.States.
func (t *Transport) CreateConn(ctx context.Context, r push.ConnRecord, ttl time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	r.Fence = 0
	r.State = bytes.Clone(r.State)
	t.conns[connKey{r.Session, r.Conn}] = &record[push.ConnRecord]{r, time.Now().Add(ttl)}
	return nil
}

// conn returns the record, or nil.
func (t *Transport) conn(session, conn string) *record[push.ConnRecord] {
	r := t.conns[connKey{session, conn}]
	if r == nil || r.expired(time.Now()) {
		return nil
	}
	return r
}

// view returns a copy of the record, zero when there is none.
func (t *Transport) view(session, view string) push.ViewRecord {
	r := t.views[viewKey{session, view}]
	if r == nil || r.expired(time.Now()) {
		return push.ViewRecord{}
	}
	v := r.value
	v.State = bytes.Clone(v.State)
	return v
}

// TakeConn implements push.States.
func (t *Transport) TakeConn(ctx context.Context, session, conn string, ttl time.Duration) (push.ConnRecord, error) {
	if err := ctx.Err(); err != nil {
		return push.ConnRecord{}, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.conn(session, conn)
	if r == nil {
		return push.ConnRecord{}, push.ErrNoState
	}
	r.value.Fence = push.Raise(r.value.Fence)
	r.until = time.Now().Add(ttl)
	taken := r.value
	taken.State = bytes.Clone(taken.State)
	return taken, nil
}

// LoadView implements push.States.
func (t *Transport) LoadView(ctx context.Context, session, view string) (push.ViewRecord, error) {
	if err := ctx.Err(); err != nil {
		return push.ViewRecord{}, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.view(session, view), nil
}

// Commit implements push.States.
func (t *Transport) Commit(ctx context.Context, c push.Commit) (push.CommitResult, error) {
	if err := ctx.Err(); err != nil {
		return push.CommitResult{}, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	current := t.view(c.Conn.Session, c.Conn.View)
	var held *record[push.ConnRecord]
	if c.Conn.Conn != "" {
		held = t.conn(c.Conn.Session, c.Conn.Conn)
		if held == nil {
			return push.CommitResult{View: current}, push.ErrNoState
		}
		if held.value.Fence != c.Conn.Fence {
			return push.CommitResult{View: current}, push.ErrFenced
		}
	}
	if c.View != nil && c.View.Version != current.Version {
		return push.CommitResult{View: current}, push.ErrStateConflict
	}
	now := time.Now()
	if held != nil {
		held.value, held.until = c.Conn, now.Add(c.ConnTTL)
		held.value.State = bytes.Clone(c.Conn.State)
	}
	if c.View != nil && c.View.State != nil {
		current = *c.View
		current.Version = push.Raise(c.View.Version)
		stored := current
		stored.State = bytes.Clone(current.State)
		t.views[viewKey{c.Conn.Session, c.Conn.View}] = &record[push.ViewRecord]{stored, now.Add(c.ViewTTL)}
		if box := t.boxes[c.Conn.Session]; box != nil {
			box.tell(t.nodes, push.Notice{Session: c.Conn.Session, View: c.Conn.View, Version: current.Version}, t.cfg.HintLen)
		}
	}
	return push.CommitResult{View: current}, nil
}

// DropConn implements push.States.
func (t *Transport) DropConn(ctx context.Context, session, conn string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.conns, connKey{session, conn})
	return nil
}
