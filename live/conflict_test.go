package live_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"lastmile/live"
	"lastmile/push"
)

// rivalStates is a store in which another tab wins the race for the persisted
// fields as often as it is told, and in which nothing can be buried for a while.
type rivalStates struct {
	store
	mu        sync.Mutex
	wins      int
	noBurials bool
	away      bool
}

func (r *rivalStates) set(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f()
}

func (r *rivalStates) Commit(ctx context.Context, c push.Commit) (push.CommitResult, error) {
	r.mu.Lock()
	away, wins := r.away, r.wins > 0 && c.View != nil && c.View.State != nil
	if wins {
		r.wins--
	}
	r.mu.Unlock()
	if away {
		return push.CommitResult{}, errAway
	}
	if wins {
		v, err := r.LoadView(ctx, c.Conn.Session, c.Conn.View)
		if err != nil {
			return push.CommitResult{}, err
		}
		if v.State == nil {
			v.State = []byte(`{"fields":{}}`)
		}
		_, err = r.store.Commit(ctx, push.Commit{
			Conn: push.ConnRecord{Session: c.Conn.Session, View: c.Conn.View}, View: &v, ViewTTL: time.Hour,
		})
		if err != nil {
			return push.CommitResult{}, err
		}
	}
	return r.store.Commit(ctx, c)
}

func (r *rivalStates) DeadLetter(ctx context.Context, session string, seq push.Seq, b push.Failure) error {
	r.mu.Lock()
	refused := r.noBurials
	r.mu.Unlock()
	if refused {
		return errAway
	}
	return r.store.DeadLetter(ctx, session, seq, b)
}

// shouting publishes with every push.
type shouting struct{}

func (shouting) Shout(s list, ctx *live.Context) (list, error) {
	s.Count++
	return s, ctx.Publish(ctx.SelfTopic(), "Heard", nil)
}

// TestTopicMessageOfAPushThatRanAgain: a push that runs again because another
// tab was faster has published once.
func TestTopicMessageOfAPushThatRanAgain(t *testing.T) {
	t.Parallel()
	onBoth(t, func(e env) {
		t, rival := e.t, &rivalStates{store: e.store}
		n := startNode(t, rival, live.Config{})
		ears := viewNamed(t, n, "ears", chat{}, plain{}, `{{.N}}`)
		mouth := viewNamed(t, n, "mouth", shouting{}, list{}, listHTML)
		b := e.browser()
		listener, speaker := b.Open(ears, "/"), b.Open(mouth, "/")
		rival.set(func() { rival.wins = 1 })
		trigger(t, sessionOf(t, n, b), "Shout", nil)
		speaker.WaitText("count=1")
		listener.WaitText("1")
		time.Sleep(time.Second)
		if got := listener.Text(); got != "1" {
			t.Errorf("heard %s times, want once", got)
		}
	})
}

// tangled's pushes note how often they ran, and tell of the second time.
type tangled struct {
	mu     sync.Mutex
	runs   map[string]int
	second func(action string)
}

func (c *tangled) ran(action string) {
	c.mu.Lock()
	c.runs[action]++
	n := c.runs[action]
	c.mu.Unlock()
	if n == 2 {
		c.second(action)
	}
}

func (c *tangled) Put(s list, ctx *live.Context) (list, error) {
	c.ran("Put")
	s.Items = append(s.Items, ctx.GetString("item"))
	return s, nil
}

func (c *tangled) Tally(s list, _ *live.Context) (list, error) {
	c.ran("Tally")
	s.Count++
	return s, nil
}

func (c *tangled) Bad(s list, _ *live.Context) (list, error) {
	return s, fmt.Errorf("never: %w", push.ErrReject)
}

// TestBurialThatWaitsDoesNotOvertake: pushes run again while one behind them
// waits to be buried. A crash in between must not lose any of them.
func TestBurialThatWaitsDoesNotOvertake(t *testing.T) {
	t.Parallel()
	onBoth(t, func(e env) {
		t, rival := e.t, &rivalStates{store: e.store, noBurials: true, wins: 1}
		one, two := startNode(t, rival, live.Config{}), startNode(t, e.store, live.Config{})
		c := &tangled{runs: map[string]int{}, second: func(action string) {
			if action == "Put" {
				time.Sleep(time.Second) // the commit of what went before is due
			} else {
				rival.set(func() { rival.away = true }) // the process dies
			}
		}}
		v1, v2 := view(t, one, c, list{}, listHTML), view(t, two, newListing(), list{}, listHTML)
		b := e.browser()
		p := b.Open(v1, "/")
		session := sessionOf(t, one, b)
		trigger(t, session, "Put", put(1))
		trigger(t, session, "Tally", nil)
		trigger(t, session, "Bad", nil)
		time.Sleep(time.Second) // stored, in vain: another tab was faster
		rival.set(func() { rival.noBurials = false })
		time.Sleep(10 * time.Second)
		p.Drop()
		one.kill()
		p.Connect(v2)
		waitItems(t, p, "1")
		p.WaitText("count=1")
	})
}

// greeter counts connections, for the tab and for the session.
type greeter struct{ *listing }

func (greeter) OnConnect(s list, _ *live.Context) (list, error) {
	s.Title += "c"
	s.A += "c"
	return s, nil
}

// TestOnConnectOutlivesAConflict: what OnConnect did stays when another tab has
// changed the persisted fields meanwhile.
func TestOnConnectOutlivesAConflict(t *testing.T) {
	t.Parallel()
	for _, missed := range []bool{false, true} {
		t.Run(fmt.Sprintf("missed=%t", missed), func(t *testing.T) {
			t.Parallel()
			onBoth(t, func(e env) {
				t, rival := e.t, &rivalStates{store: e.store}
				n := startNode(t, rival, live.Config{})
				v := view(t, n, greeter{newListing()}, list{}, listHTML)
				b := e.browser()
				p := b.Open(v, "/")
				p.WaitText("a=c ")
				p.Drop()
				want := "count=0 a=cc "
				if missed {
					trigger(t, sessionOf(t, n, b), "Tally", nil)
					want = "count=1 a=cc "
				}
				time.Sleep(time.Second)
				rival.set(func() { rival.wins = 1 })
				p.Connect(v)
				p.WaitText(want)
				if got := p.TextOf("h1"); got != "cc" {
					t.Errorf("the tab's own field is %q, want what both connections made it", got)
				}
			})
		})
	}
}
