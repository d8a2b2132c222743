package jobstest

import (
	"context"
	"encoding/json"
	"slices"
	"sync"

	"lastmile/jobs"
	"lastmile/push"
)

// Push is one push that a session was sent.
type Push struct {
	push.Message
	// Event is the job event that it carries.
	Event jobs.Event
}

// Bind decodes the push's data, as an action's context would.
func (p Push) Bind(v any) error { return json.Unmarshal(p.Data, v) }

// mailbox is a push.Appender that remembers everything.
type mailbox struct {
	mu     sync.Mutex
	pushes map[string][]Push
	seen   map[string]push.Seq
	seq    push.Seq
	before func(push.Message) error
	after  func(push.Message)
}

func newMailbox() *mailbox {
	return &mailbox{pushes: make(map[string][]Push), seen: make(map[string]push.Seq)}
}

// Append stores a push once for each session and ID.
func (b *mailbox) Append(ctx context.Context, m push.Message) (push.Receipt, error) {
	b.mu.Lock()
	before, after := b.before, b.after
	b.mu.Unlock()
	if before != nil {
		if err := before(m); err != nil {
			return push.Receipt{}, err
		}
	}
	if err := ctx.Err(); err != nil {
		return push.Receipt{}, err
	}
	r := b.store(m)
	if after != nil {
		after(m)
	}
	return r, nil
}

func (b *mailbox) store(m push.Message) push.Receipt {
	b.mu.Lock()
	defer b.mu.Unlock()
	key := m.Session + "\n" + m.ID
	if seq, ok := b.seen[key]; ok {
		return push.Receipt{ID: m.ID, Seq: seq, Duplicate: true}
	}
	b.seq++
	b.seen[key] = b.seq
	p := Push{Message: m}
	p.Event, _ = jobs.EventOf(p) // stays zero for a push that is no job's
	b.pushes[m.Session] = append(b.pushes[m.Session], p)
	return push.Receipt{ID: m.ID, Seq: b.seq}
}

func (b *mailbox) list(session string) []Push {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.pushes[session])
}
