package mempush

import (
	"context"
	"fmt"
	"slices"
	"time"

	"lastmile/push"
)

// letter is a dead letter, with what its entry needs for a replay.
type letter struct {
	push.DeadLetter
	stored []byte
}

// giveUp appends a dead letter.
func (t *Transport) giveUp(e entry, b push.Failure, now time.Time) {
	t.letters++
	t.dead = append(t.dead, letter{
		DeadLetter: push.DeadLetter{ID: fmt.Sprintf("%016d", t.letters), At: now, Entry: e.Entry, Failure: b},
		stored:     e.stored,
	})
}

// DeadLetter implements push.Transport.
func (t *Transport) DeadLetter(ctx context.Context, session string, seq push.Seq, b push.Failure) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if box := t.boxes[session]; box != nil {
		if e, ok := box.remove(seq); ok {
			t.giveUp(e, b, time.Now())
			// Another connection that has the entry in line must not take it
			// for one that nobody has died of.
			if b.Reason != push.ReasonCrashLoop {
				delete(box.starts, seq)
			}
		}
	}
	return nil
}

// List implements push.DeadLetters.
func (t *Transport) List(ctx context.Context, q push.DeadQuery) ([]push.DeadLetter, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	const standard, most = 100, 1000
	limit := q.Limit
	if limit <= 0 {
		limit = standard
	}
	limit = min(limit, most)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expireAll(time.Now())
	var list []push.DeadLetter
	for _, l := range t.dead {
		if len(list) == limit {
			break
		}
		if selects(q, l) {
			list = append(list, l.DeadLetter)
		}
	}
	return list, nil
}

// selects reports whether the query, but for its limit, covers the letter.
func selects(q push.DeadQuery, l letter) bool {
	return (q.Session == "" || q.Session == l.Entry.Session) && (q.Reason == "" || q.Reason == l.Reason) && l.ID > q.After
}

// Get implements push.DeadLetters.
func (t *Transport) Get(ctx context.Context, id string) (push.DeadLetter, error) {
	if err := ctx.Err(); err != nil {
		return push.DeadLetter{}, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	i := t.letter(id)
	if i < 0 {
		return push.DeadLetter{}, push.ErrNotFound
	}
	return t.dead[i].DeadLetter, nil
}

// letter returns the index of a dead letter, or -1.
func (t *Transport) letter(id string) int {
	return slices.IndexFunc(t.dead, func(l letter) bool { return l.ID == id })
}

// Replay implements push.DeadLetters. The push loses its Replaces key: it must
// not take out what came later.
func (t *Transport) Replay(ctx context.Context, id string) (push.Receipt, error) {
	if err := ctx.Err(); err != nil {
		return push.Receipt{}, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	i := t.letter(id)
	if i < 0 {
		return push.Receipt{}, push.ErrNotFound
	}
	e := entry{Entry: t.dead[i].Entry}
	if t.dead[i].stored != nil {
		e = decode(e.Session, e.ID, t.dead[i].stored)
	}
	e.ID, e.Replaces, e.Final = "replay:"+id, "", false
	receipt, err := t.append(e)
	if err != nil {
		return push.Receipt{}, err
	}
	if i = t.letter(id); i >= 0 {
		t.dead = slices.Delete(t.dead, i, i+1)
	}
	return receipt, nil
}

// Purge implements push.DeadLetters.
func (t *Transport) Purge(ctx context.Context, q push.DeadQuery) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	before := len(t.dead)
	t.dead = slices.DeleteFunc(t.dead, func(l letter) bool { return selects(q, l) })
	return before - len(t.dead), nil
}

// Count implements push.DeadLetters.
func (t *Transport) Count(ctx context.Context) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expireAll(time.Now())
	return len(t.dead), nil
}
