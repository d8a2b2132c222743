// Package mempush is a push.Transport, with its stores, in one process's
// memory: for tests and for programs that may forget everything when they end.
// It reads the time from the time package, so a testing/synctest bubble moves
// its clock.
//
//	store, err := mempush.New(mempush.Config{})
//	if err != nil {
//		return err
//	}
//	publisher, err := push.NewPublisher(store, push.PublisherConfig{})
package mempush

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"lastmile/push"
)

// Config bounds a Transport. The zero value has the bounds of a production
// store.
type Config struct {
	// MailboxLen bounds the pushes of one session that nobody has applied
	// yet. A quarter more is kept for ends (push.Message.Final). Defaults to 1,000.
	MailboxLen int
	// MaxAge is how long a push waits before it goes to the dead letters.
	// Defaults to 7 days.
	MaxAge time.Duration
	// DedupeTTL is how long a push ID is remembered. Defaults to 24 hours.
	DedupeTTL time.Duration
	// ResumeWindow is how long acknowledged pushes stay for connections that
	// are behind. Defaults to 2 minutes.
	ResumeWindow time.Duration
	// InlineBytes bounds the data that travels with a hint. Defaults to 4,096.
	InlineBytes int
	// HintLen bounds the hints that wait for one node; beyond it the node is
	// told to read everything again. Defaults to 20,000.
	HintLen int
}

func (c *Config) fill() error {
	if c.MailboxLen < 0 || c.MaxAge < 0 || c.DedupeTTL < 0 || c.ResumeWindow < 0 || c.InlineBytes < 0 || c.HintLen < 0 {
		return errors.New("mempush: Config: no setting may be negative")
	}
	c.MailboxLen = cmp.Or(c.MailboxLen, 1000)
	c.MaxAge = cmp.Or(c.MaxAge, 7*24*time.Hour)
	c.DedupeTTL = cmp.Or(c.DedupeTTL, 24*time.Hour)
	c.ResumeWindow = cmp.Or(c.ResumeWindow, 2*time.Minute)
	c.InlineBytes = cmp.Or(c.InlineBytes, 4096)
	c.HintLen = cmp.Or(c.HintLen, 20_000)
	return nil
}

// Transport is an in-memory push.Transport, push.States, push.DeadLetters
// and push.Broker. It starts no goroutine, and is safe for concurrent use.
type Transport struct {
	cfg Config

	mu      sync.Mutex
	epoch   string
	boxes   map[string]*mailbox
	nodes   map[string]*node
	swept   time.Time
	dead    []letter
	letters uint64
	conns   map[connKey]*record[push.ConnRecord]
	views   map[viewKey]*record[push.ViewRecord]

	replicas map[int]int64 // by the number of the copy: the appends that it has; see Replicate
	appends  int64
	copies   int
	promoted int

	topics broker
}

var (
	_ push.Transport   = (*Transport)(nil)
	_ push.States      = (*Transport)(nil)
	_ push.DeadLetters = (*Transport)(nil)
	_ push.Broker      = (*Transport)(nil)
)

// New checks cfg, fills its defaults, and returns an empty store.
func New(cfg Config) (*Transport, error) {
	if err := cfg.fill(); err != nil {
		return nil, err
	}
	t := &Transport{cfg: cfg, nodes: make(map[string]*node), replicas: make(map[int]int64)}
	t.empty()
	return t, nil
}

// empty forgets everything stored.
func (t *Transport) empty() {
	t.epoch = push.NewID()
	t.boxes = make(map[string]*mailbox)
	t.dead = nil
	t.conns = make(map[connKey]*record[push.ConnRecord])
	t.views = make(map[viewKey]*record[push.ViewRecord])
}

// Flush empties the store as an operator's FLUSHALL would: its epoch changes,
// and every node is told that hints may have been lost.
func (t *Transport) Flush() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.empty()
	for _, n := range t.nodes {
		n.resync()
	}
}

// Append implements push.Appender.
func (t *Transport) Append(ctx context.Context, m push.Message) (push.Receipt, error) {
	if err := ctx.Err(); err != nil {
		return push.Receipt{}, err
	}
	m.Data = bytes.Clone(m.Data)
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.append(entry{Entry: push.Entry{Message: m}})
}

// AppendStored appends an entry whose stored form is b, as push.EncodeMessage
// or another version's wrote it: for tests of what happens when it cannot be
// read.
func (t *Transport) AppendStored(session, id string, b []byte) (push.Receipt, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.append(decode(session, id, bytes.Clone(b)))
}

// decode reads a stored form. What cannot be read keeps it, for a replay by a
// program that can.
func decode(session, id string, stored []byte) entry {
	m, err := push.DecodeMessage(stored)
	m.Session, m.ID = session, id
	e := entry{Entry: push.Entry{Message: m, Err: err}}
	if err != nil {
		e.stored = stored
	}
	return e
}

func (t *Transport) append(e entry) (push.Receipt, error) {
	t.appends++
	now := time.Now()
	t.sweep(now)
	box := t.open(e.Session)
	box.expire(t, now)
	if box.closed {
		return push.Receipt{}, push.ErrSessionClosed
	}
	if seen, ok := box.ids[e.ID]; ok && e.ID != "" && now.Before(seen.until) {
		return push.Receipt{ID: e.ID, Seq: seen.seq, Duplicate: true}, nil
	}
	if key := box.keys[e.Replaces]; key.ended && !e.Final {
		return push.Receipt{ID: e.ID, Seq: key.seq, Superseded: true}, nil
	}
	old := box.superseded(e.Replaces)
	limit := t.cfg.MailboxLen
	if e.Final { // an end needs no room that others have taken
		limit += (limit + 3) / 4
	}
	if !box.hasRoom(limit, old) {
		return push.Receipt{}, push.ErrMailboxFull
	}
	if old != 0 {
		box.remove(old)
	}
	e.Prev, e.Seq = box.last, max(box.last+1, seqOf(now))
	box.last = e.Seq
	box.entries = append(box.entries, e)
	box.ids[e.ID] = idMark{seq: e.Seq, until: now.Add(t.cfg.DedupeTTL)}
	box.note(e, t.cfg.MailboxLen)
	return push.Receipt{ID: e.ID, Seq: e.Seq, Nodes: t.hint(box, e)}, nil
}

// hint tells the nodes that the mailbox has grown, and returns how many. The
// routes to nodes that are gone are dropped.
func (t *Transport) hint(box *mailbox, e entry) (woken int) {
	hint := push.Notice{Session: e.Session, Seq: e.Seq, Prev: e.Prev}
	if !box.closed && len(e.Data) <= t.cfg.InlineBytes && len(e.stored) <= t.cfg.InlineBytes {
		hint.Entry = &e.Entry
	}
	return box.tell(t.nodes, hint, t.cfg.HintLen)
}

// open returns the session's mailbox, making it when there is none.
func (t *Transport) open(session string) *mailbox {
	box := t.boxes[session]
	if box == nil {
		box = &mailbox{
			ids: make(map[string]idMark), keys: make(map[string]keyMark),
			starts: make(map[push.Seq]int), routes: make(map[string]push.Seq),
		}
		t.boxes[session] = box
	}
	return box
}

// sweep forgets, each minute, what has expired.
func (t *Transport) sweep(now time.Time) {
	if now.Sub(t.swept) < time.Minute {
		return
	}
	t.swept = now
	t.expireAll(now)
	idle := seqOf(now.Add(-t.cfg.MaxAge - 24*time.Hour))
	for session, box := range t.boxes {
		if len(box.entries)+len(box.parked)+len(box.routes) == 0 && box.last < idle {
			delete(t.boxes, session)
		}
	}
	for key, r := range t.conns {
		if r.expired(now) {
			delete(t.conns, key)
		}
	}
	for key, r := range t.views {
		if r.expired(now) {
			delete(t.views, key)
		}
	}
}

// expireAll moves what is too old to the dead letters.
func (t *Transport) expireAll(now time.Time) {
	for _, box := range t.boxes {
		box.expire(t, now)
	}
}
