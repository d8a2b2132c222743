package live_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/live"
	"lastmile/live/livetest"
	"lastmile/push"
)

var errDead = errors.New("the process has ended")

// mortal is the store as one process sees it: once that has ended, nothing it
// does has an effect.
type mortal struct {
	store
	dead atomic.Bool
	// counted are the starts that counted.
	counted atomic.Int64
}

func (m *mortal) alive() error {
	if m.dead.Load() {
		return errDead
	}
	return nil
}

func (m *mortal) CreateConn(ctx context.Context, r push.ConnRecord, ttl time.Duration) error {
	if err := m.alive(); err != nil {
		return err
	}
	return m.store.CreateConn(ctx, r, ttl)
}

func (m *mortal) TakeConn(ctx context.Context, session, conn string, ttl time.Duration) (push.ConnRecord, error) {
	if err := m.alive(); err != nil {
		return push.ConnRecord{}, err
	}
	return m.store.TakeConn(ctx, session, conn, ttl)
}

func (m *mortal) Commit(ctx context.Context, c push.Commit) (push.CommitResult, error) {
	if err := m.alive(); err != nil {
		return push.CommitResult{}, err
	}
	return m.store.Commit(ctx, c)
}

func (m *mortal) Ack(ctx context.Context, session string, a push.Ack) error {
	return errors.Join(m.alive(), m.unless(func() error { return m.store.Ack(ctx, session, a) }))
}

func (m *mortal) CountStart(ctx context.Context, session string, seq push.Seq, most int) (int, error) {
	if err := m.alive(); err != nil {
		return 0, err
	}
	before, err := m.store.CountStart(ctx, session, seq, most)
	if err == nil && before < most {
		m.counted.Add(1)
	}
	return before, err
}

func (m *mortal) ClearStarts(ctx context.Context, session string, seq push.Seq) error {
	return errors.Join(m.alive(), m.unless(func() error { return m.store.ClearStarts(ctx, session, seq) }))
}

func (m *mortal) DeadLetter(ctx context.Context, session string, seq push.Seq, b push.Failure) error {
	return errors.Join(m.alive(), m.unless(func() error { return m.store.DeadLetter(ctx, session, seq, b) }))
}

func (m *mortal) unless(do func() error) error {
	if m.dead.Load() {
		return nil
	}
	return do()
}

// fatal's action takes its time, and ends its process for some items.
type fatal struct {
	process *mortal
	kills   func(item string) bool
	takes   time.Duration

	mu      sync.Mutex
	started []string
}

func (f *fatal) Put(s list, ctx *live.Context) (list, error) {
	item := ctx.GetString("item")
	f.mu.Lock()
	f.started = append(f.started, item)
	f.mu.Unlock()
	time.Sleep(f.takes)
	if f.kills(item) {
		f.process.dead.Store(true)
	}
	if err := f.process.alive(); err != nil {
		return s, err
	}
	s.Items = append(s.Items, item)
	s.A += item + ","
	return s, nil
}

// fleet are pages whose processes end one after the other.
type fleet struct {
	t        *testing.T
	store    store
	kills    func(item string) bool
	takes    time.Duration
	sessions []push.Session
	pages    []*livetest.Page
	of       []int // session of each page
	pushed   []map[string]push.Receipt
	want     []string
}

// newFleet opens one to three pages for each session, and closes them.
func newFleet(e env, sessions int, kills func(string) bool) *fleet {
	e.t.Helper()
	f := &fleet{t: e.t, store: e.store, kills: kills, takes: 30 * time.Millisecond}
	n := startNode(e.t, e.store, live.Config{})
	v := view(e.t, n, newListing(), list{}, listHTML)
	for i := range sessions {
		b := livetest.NewBrowser(e.t)
		for range 1 + i%3 {
			f.pages, f.of = append(f.pages, b.Open(v, "/")), append(f.of, i)
		}
		f.sessions = append(f.sessions, sessionOf(e.t, n, b))
		f.pushed, f.want = append(f.pushed, map[string]push.Receipt{}), append(f.want, "")
	}
	for _, p := range f.pages {
		p.Drop()
	}
	n.stop()
	return f
}

// push pushes an item that nobody is there for.
func (f *fleet) push(session int, item string) {
	f.t.Helper()
	r, err := f.sessions[session].Trigger(f.t.Context(), "Put", put(item))
	if err != nil {
		f.t.Fatal(err)
	}
	f.pushed[session][item] = r
	if !f.kills(item) {
		f.want[session] = strings.TrimPrefix(f.want[session]+" "+item, " ")
	}
}

// process brings all pages to a new process and reports whether it ended before
// they showed everything.
func (f *fleet) process(cfg live.Config) (died bool, started []string) {
	f.t.Helper()
	m := &mortal{store: f.store}
	n := startNode(f.t, m, cfg)
	c := &fatal{process: m, kills: f.kills, takes: f.takes}
	v := view(f.t, n, c, list{}, listHTML)
	synctest.Wait() // the hub runs
	for _, p := range f.pages {
		if err := p.TryConnect(v); err != nil {
			f.t.Fatal(err)
		}
	}
	for range 10_000 {
		if m.dead.Load() || f.shown() {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	died = m.dead.Load()
	if !died {
		time.Sleep(time.Second) // stored and acknowledged
	}
	for _, p := range f.pages {
		p.Drop()
	}
	n.stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	return died, c.started
}

func (f *fleet) shown() bool {
	for i, p := range f.pages {
		if items(p) != f.want[f.of[i]] {
			return false
		}
	}
	return true
}

// starts returns how many starts of an item are counted.
func (f *fleet) starts(session int, item string) int {
	f.t.Helper()
	n, err := f.store.CountStart(f.t.Context(), f.sessions[session].ID(), f.pushed[session][item].Seq, 0)
	if err != nil {
		f.t.Fatal(err)
	}
	return n
}

func deadly(item string) bool { return strings.HasPrefix(item, "killer") }

// check requires the dead letters, and everything else on the pages.
func (f *fleet) check(killers ...string) {
	f.t.Helper()
	var buried []string
	for _, l := range deadLetters(f.t, f.store) {
		var data struct{ Item string }
		if err := json.Unmarshal(l.Entry.Data, &data); err != nil {
			f.t.Fatal(err)
		}
		buried = append(buried, data.Item)
		if l.Reason != push.ReasonCrashLoop || l.Attempts != 4 {
			f.t.Errorf("dead letter %s: %s after %d starts, want crash-loop after 4", buried[len(buried)-1], l.Reason, l.Attempts)
		}
	}
	slices.Sort(buried)
	slices.Sort(killers)
	if !slices.Equal(buried, killers) {
		f.t.Errorf("dead letters %v, want %v", buried, killers)
	}
	for i, p := range f.pages {
		if got := items(p); got != f.want[f.of[i]] {
			f.t.Errorf("a page of session %d shows %q, want %q", f.of[i], got, f.want[f.of[i]])
		}
	}
}
