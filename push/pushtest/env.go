package pushtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"lastmile/push"
)

// env is one test's surroundings: a store, and a session of its own.
type env struct {
	Backend
	t       testing.TB
	session string
}

func newEnv(t testing.TB, b Backend) *env {
	t.Helper()
	b.fill()
	return &env{Backend: b, t: t, session: "conformance-" + push.NewID()}
}

func (e *env) ctx() context.Context { return e.t.Context() }

// must ends the test on an error.
func (e *env) must(err error) {
	e.t.Helper()
	if err != nil {
		e.t.Fatal(err)
	}
}

// is requires an error.
func (e *env) is(got, want error) {
	e.t.Helper()
	if !errors.Is(got, want) {
		e.t.Fatalf("got error %v, want %v", got, want)
	}
}

// same requires equal values.
func (e *env) same(what string, got, want any) {
	e.t.Helper()
	if diff := cmp.Diff(got, want, cmpopts.EquateEmpty(), cmpopts.EquateErrors(), wholeBytes()); diff != "" {
		e.t.Fatalf("%s (-got +want):\n%s", what, diff)
	}
}

// wholeBytes spares the comparison of large states byte by byte.
func wholeBytes() cmp.Option {
	return cmp.FilterValues(func(a, b []byte) bool { return len(a)+len(b) > 0 }, cmp.Comparer(bytes.Equal))
}

// message returns a push of the test's session.
func (e *env) message(id string) push.Message {
	return push.Message{ID: id, Session: e.session, Action: "Act", Data: json.RawMessage(`{"id":` + strconv.Quote(id) + `}`)}
}

// append stores pushes and returns their places.
func (e *env) append(ids ...string) []push.Seq {
	e.t.Helper()
	seqs := make([]push.Seq, len(ids))
	for i, id := range ids {
		seqs[i] = e.appendMessage(e.message(id)).Seq
	}
	return seqs
}

func (e *env) appendMessage(m push.Message) push.Receipt {
	e.t.Helper()
	r, err := e.Transport.Append(e.ctx(), m)
	e.must(err)
	if r.ID != m.ID || r.Seq == 0 {
		e.t.Fatalf("receipt %+v for push %q", r, m.ID)
	}
	return r
}

// replacing stores a push with a key.
func (e *env) replacing(id, key string, final bool) push.Seq {
	e.t.Helper()
	m := e.message(id)
	m.Replaces, m.Final = key, final
	return e.appendMessage(m).Seq
}

// fill appends until n pushes were stored.
func (e *env) fillBox(n int) []push.Seq {
	e.t.Helper()
	var seqs []push.Seq
	for i := range n {
		seqs = append(seqs, e.append("fill-"+strconv.Itoa(i))...)
	}
	return seqs
}

// read returns the IDs of everything in the mailbox after the cursor.
func (e *env) read(after push.Seq) []string {
	e.t.Helper()
	return ids(e.readEntries(after))
}

func (e *env) readEntries(after push.Seq) []push.Entry {
	e.t.Helper()
	const page = 7
	var all []push.Entry
	for {
		entries, err := e.Transport.Read(e.ctx(), e.session, after, page)
		e.must(err)
		all = append(all, entries...)
		if len(entries) < page {
			return all
		}
		after = entries[len(entries)-1].Seq
	}
}

// pending returns the IDs of what a fresh mount applies, and its cursor.
func (e *env) pending(after push.Seq) ([]string, push.Seq) {
	e.t.Helper()
	b, err := e.Transport.Pending(e.ctx(), e.session, after)
	e.must(err)
	return ids(b.Entries), b.Cursor
}

// wantPending requires what a fresh mount applies.
func (e *env) wantPending(after push.Seq, want ...string) {
	e.t.Helper()
	got, _ := e.pending(after)
	e.same("pending", got, want)
}

func (e *env) ack(after, upTo push.Seq, skipped ...push.Seq) {
	e.t.Helper()
	e.must(e.Transport.Ack(e.ctx(), e.session, push.Ack{Node: "nobody", After: after, UpTo: upTo, Skipped: skipped}))
}

func (e *env) attach(node string, after push.Seq) push.Attachment {
	e.t.Helper()
	a, err := e.Transport.Attach(e.ctx(), node, e.session, after)
	e.must(err)
	return a
}

// outwait lets the resume window pass, and has the store trim.
func (e *env) outwait(after push.Seq) {
	e.t.Helper()
	e.Advance(e.ResumeWindow + e.ResumeWindow/4 + time.Second)
	last := e.append("after-the-window-" + push.NewID())
	e.ack(after, last[0])
}

// letters returns the session's dead letters.
func (e *env) letters() []push.DeadLetter {
	e.t.Helper()
	list, err := e.Dead.List(e.ctx(), push.DeadQuery{Session: e.session})
	e.must(err)
	return list
}

// eventually waits for a condition, polling.
func (e *env) eventually(what string, cond func() bool) {
	e.t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline.C:
			e.t.Fatalf("timed out waiting until %s", what)
		}
	}
}

func ids(entries []push.Entry) []string {
	list := make([]string, len(entries))
	for i, e := range entries {
		list[i] = e.ID
	}
	return list
}

// recorder is a push.Listener that remembers.
type recorder struct {
	mu      sync.Mutex
	notices []push.Notice
	resyncs int
}

func (r *recorder) Notify(hints []push.Notice) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notices = append(r.notices, hints...)
}

func (r *recorder) Resync() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.resyncs++
}

// of returns the session's hints.
func (r *recorder) of(session string) []push.Notice {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []push.Notice
	for _, h := range r.notices {
		if h.Session == session {
			list = append(list, h)
		}
	}
	return list
}

func (r *recorder) ready() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.resyncs > 0
}

// listen registers a node and returns what it hears. stop ends it and waits.
func (e *env) listen() (node string, r *recorder, stop func()) {
	e.t.Helper()
	node, r = push.NewID(), &recorder{}
	ctx, cancel := context.WithCancel(e.ctx())
	done := make(chan error, 1)
	go func() { done <- e.Transport.Listen(ctx, node, r) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			e.t.Errorf("Listen after a clean stop: %v", err)
		}
	})
	e.t.Cleanup(stop)
	e.eventually("the node is registered and told to resync", r.ready)
	return node, r, stop
}
