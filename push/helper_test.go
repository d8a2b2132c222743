package push_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"strconv"
	"sync"
	"testing"
	"time"

	"lastmile/push"
	"lastmile/push/mempush"
)

// faulty is a store whose hints and calls a test can bend.
type faulty struct {
	push.Transport
	// memory is what Transport is in most tests.
	memory *mempush.Transport

	mu sync.Mutex
	// hints changes what a node hears.
	hints func([]push.Notice) []push.Notice
	// reads changes what a read finds.
	reads func([]push.Entry) []push.Entry
	// mute loses the word that hints are lost.
	mute bool
	// fail holds the error of an operation.
	fail map[string]error
	// before runs ahead of an operation, after behind it.
	before, after map[string]func()
	calls         map[string]int
	acks          []push.Ack
	listener      push.Listener
}

func newFaulty(t *testing.T, cfg mempush.Config) *faulty {
	t.Helper()
	store, err := mempush.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return bend(store)
}

// bend returns a store with no faults yet.
func bend(store push.Transport) *faulty {
	memory, _ := store.(*mempush.Transport)
	return &faulty{
		Transport: store, memory: memory, fail: map[string]error{}, calls: map[string]int{},
		before: map[string]func(){}, after: map[string]func(){},
	}
}

// set changes the faults.
func (f *faulty) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *faulty) count(op string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls[op]
}

func (f *faulty) sent() []push.Ack {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]push.Ack(nil), f.acks...)
}

// enter counts a call and returns its fault.
func (f *faulty) enter(op string) error {
	f.mu.Lock()
	f.calls[op]++
	before, err := f.before[op], f.fail[op]
	f.mu.Unlock()
	if before != nil {
		before()
	}
	return err
}

func (f *faulty) leave(op string) {
	f.mu.Lock()
	after := f.after[op]
	f.mu.Unlock()
	if after != nil {
		after()
	}
}

func (f *faulty) Listen(ctx context.Context, node string, l push.Listener) error {
	if err := f.enter("listen"); err != nil {
		return err
	}
	f.set(func() { f.listener = l })
	return f.Transport.Listen(ctx, node, bent{f, l})
}

func (f *faulty) Attach(ctx context.Context, node, session string, after push.Seq) (push.Attachment, error) {
	if err := f.enter("attach"); err != nil {
		return push.Attachment{}, err
	}
	defer f.leave("attach")
	return f.Transport.Attach(ctx, node, session, after)
}

func (f *faulty) Detach(ctx context.Context, node, session string) error {
	if err := f.enter("detach"); err != nil {
		return err
	}
	return f.Transport.Detach(ctx, node, session)
}

func (f *faulty) Read(ctx context.Context, session string, after push.Seq, limit int) ([]push.Entry, error) {
	if err := f.enter("read"); err != nil {
		return nil, err
	}
	defer f.leave("read")
	entries, err := f.Transport.Read(ctx, session, after, limit)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.reads != nil {
		entries = f.reads(entries)
	}
	return entries, err
}

func (f *faulty) Ack(ctx context.Context, session string, a push.Ack) error {
	if err := f.enter("ack"); err != nil {
		return err
	}
	f.set(func() { f.acks = append(f.acks, a) })
	return f.Transport.Ack(ctx, session, a)
}

func (f *faulty) Check(ctx context.Context, node string, sessions []string) ([]push.Status, error) {
	if err := f.enter("check"); err != nil {
		return nil, err
	}
	return f.Transport.Check(ctx, node, sessions)
}

func (f *faulty) CountStart(ctx context.Context, session string, seq push.Seq, most int) (int, error) {
	if err := f.enter("count start"); err != nil {
		return 0, err
	}
	return f.Transport.CountStart(ctx, session, seq, most)
}

// bent is a listener that hears what faulty.hints lets through.
type bent struct {
	f *faulty
	l push.Listener
}

func (b bent) Notify(hints []push.Notice) {
	b.f.mu.Lock()
	bend := b.f.hints
	b.f.mu.Unlock()
	if bend != nil {
		hints = bend(append([]push.Notice(nil), hints...))
	}
	b.l.Notify(hints)
}

func (b bent) Resync() {
	b.f.mu.Lock()
	mute := b.f.mute
	b.f.mu.Unlock()
	if !mute {
		b.l.Resync()
	}
}

// deaf loses all hints.
func deaf([]push.Notice) []push.Notice { return nil }

// publish appends pushes with these IDs to the session "s".
func (f *faulty) publish(t *testing.T, ids ...string) (last push.Seq) {
	t.Helper()
	for _, id := range ids {
		r, err := f.Append(t.Context(), push.Message{ID: id, Session: "s", Action: "Act", Data: json.RawMessage(`{}`)})
		if err != nil {
			t.Fatal(err)
		}
		last = r.Seq
	}
	return last
}

// numbers returns "from" to "to" as IDs.
func numbers(from, to int) []string {
	var list []string
	for i := from; i <= to; i++ {
		list = append(list, strconv.Itoa(i))
	}
	return list
}

// startNode runs a node until the test ends, or stop is called.
func startNode(t *testing.T, store push.Transport, cfg push.NodeConfig) (n *push.Node, stop func()) {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	n, err := push.NewNode(store, cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run after a clean stop: %v", err)
		}
	})
	t.Cleanup(stop)
	return n, stop
}

// subscribe opens a feed of the session "s".
func subscribe(t *testing.T, n *push.Node, after push.Seq) *push.Feed {
	t.Helper()
	f, err := n.Subscribe(t.Context(), "s", after)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

// collect waits until the feed has yielded n pushes, and returns their IDs.
func collect(t *testing.T, f *push.Feed, n int) []string {
	t.Helper()
	var got []string
	timeout := time.After(5 * time.Minute)
	for {
		for len(got) < n {
			e, ok := f.Next()
			if !ok {
				break
			}
			got = append(got, e.ID)
		}
		if len(got) == n {
			return got
		}
		select {
		case <-f.Ready():
			if err := f.Err(); err != nil {
				t.Fatalf("feed ended after %v: %v", got, err)
			}
		case <-timeout:
			t.Fatalf("only %d of %d pushes came: %v", len(got), n, got)
		}
	}
}

// take returns what the feed yields without waiting.
func take(f *push.Feed) []string {
	var got []string
	for {
		e, ok := f.Next()
		if !ok {
			return got
		}
		got = append(got, e.ID)
	}
}
