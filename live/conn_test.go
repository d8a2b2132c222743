package live_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/live"
	"lastmile/live/livetest"
	"lastmile/push"
)

// guest notes who comes and goes.
type guest struct{ log *journal }

func (g guest) OnConnect(s plain, _ *live.Context) (plain, error) {
	g.log.add("connect")
	s.N++
	return s, nil
}

func (g guest) OnDisconnect(s plain, ctx *live.Context) {
	g.log.add(fmt.Sprintf("%s %d", ctx.Reason(), s.N))
}

func (g guest) Big(s plain, _ *live.Context) (plain, error) {
	s.N++
	return s, nil
}

func TestOnDisconnectKnowsStateAndReason(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := startNode(t, memStore(t), live.Config{})
		log := &journal{}
		v := view(t, n, guest{log}, plain{}, `{{.N}}`)
		p := livetest.Open(t, v, "/")
		p.WaitText("1")
		p.Close()
		p.Connect(v)
		p.WaitText("2")
		p.Drop()
		p.Connect(v)
		p.WaitText("3")
		synctest.Wait()
		n.stop()
		if code := p.WaitClosed(); code != 1012 {
			t.Errorf("a stopping node closes with %d, want 1012", code)
		}
		want := []string{"connect", "closed 1", "connect", "lost 2", "connect", "shutdown 3"}
		if got := log.all(); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestDrainedConnectionsGoOnElsewhere(t *testing.T) {
	t.Parallel()
	onAll(t, func(e env) {
		t, s := e.t, e.store
		one, two := startNode(t, s, live.Config{}), startNode(t, s, live.Config{})
		v1, v2 := view(t, one, newListing(), list{}, listHTML), view(t, two, newListing(), list{}, listHTML)
		b := e.browser()
		p := b.Open(v1, "/")
		session := sessionOf(t, two, b)
		trigger(t, session, "Put", put(1))
		waitItems(t, p, "1")
		stopped := make(chan struct{})
		go func() {
			one.stop()
			close(stopped)
		}()
		p.WaitClosed()
		if err := p.TryConnect(v1); err == nil {
			t.Error("a draining node takes connections")
		}
		trigger(t, session, "Put", put(2))
		p.Connect(v2)
		waitItems(t, p, "1 2")
		if got := p.State().Mounts; got != 0 {
			t.Errorf("mounted anew %d times", got)
		}
		<-stopped
	})
}

func TestSlowBrowserIsCutAndLosesNothing(t *testing.T) {
	t.Parallel()
	onAll(t, func(e env) {
		t, s := e.t, e.store
		n := startNode(t, s, live.Config{})
		log := &journal{}
		c := &noisy{log: log}
		v := view(t, n, c, list{}, listHTML)
		b := e.browser()
		p := b.Load(v, "/")
		ws := dial(t, b, v, p) // says hello and never reads
		session := sessionOf(t, n, b)
		for i := range 50 {
			trigger(t, session, "Put", put(i))
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(15 * time.Second)
		if got := log.all(); !slices.Equal(got, []string{"slow 50"}) {
			t.Errorf("OnDisconnect saw %q, want the reason slow and all pushes applied meanwhile", got)
		}
		_ = ws.CloseNow() // it is gone
		p.Connect(v)
		p.Wait("all items", func() bool { return strings.Count(p.HTML(), "<li>") == 50 })
	})
}

type noisy struct {
	listing
	log *journal
}

func (c *noisy) Put(s list, ctx *live.Context) (list, error) {
	s.Items = append(s.Items, ctx.GetString("item"))
	return s, nil
}

func (c *noisy) OnDisconnect(s list, ctx *live.Context) {
	c.log.add(fmt.Sprintf("%s %d", ctx.Reason(), len(s.Items)))
}

func TestBusyBrowserGetsCoalescedFrames(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := startNode(t, memStore(t), live.Config{})
		v := view(t, n, newListing(), list{}, listHTML)
		b := livetest.NewBrowser(t)
		p := b.Open(v, "/")
		session := sessionOf(t, n, b)
		p.Mute(true)
		for i := range 300 {
			trigger(t, session, "Put", put(i))
			synctest.Wait()
		}
		if got := p.State().Frames; got > 200 {
			t.Errorf("%d frames were sent to a browser that confirms none", got)
		}
		p.Mute(false)
		p.Reconnect(v)
		p.Wait("all items", func() bool { return strings.Count(p.HTML(), "<li>") == 300 })
	})
}

func TestSilentConnectionIsCut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := startNode(t, memStore(t), live.Config{})
		log := &journal{}
		v := view(t, n, guest{log}, plain{}, `{{.N}}`)
		b := livetest.NewBrowser(t)
		ws := dial(t, b, v, b.Load(v, "/"))
		go func() {
			for {
				if _, _, err := ws.Read(t.Context()); err != nil {
					return
				}
			}
		}()
		time.Sleep(89 * time.Second)
		if got := log.all(); len(got) != 1 {
			t.Errorf("after 89 s: %q", got)
		}
		time.Sleep(20 * time.Second)
		if got := log.all(); !slices.Equal(got, []string{"connect", "lost 1"}) {
			t.Errorf("after 109 s: %q", got)
		}
		_ = ws.CloseNow() // it has ended
	})
}

func TestClicksAreNotRunTwice(t *testing.T) {
	t.Parallel()
	onAll(t, func(e env) {
		t, s := e.t, e.store
		flaky := &flakyStates{store: s}
		n := startNode(t, flaky, live.Config{})
		v := view(t, n, counting{}, counter{}, counterHTML)
		p := e.browser().Open(v, "/")
		p.Click("Add", nil)
		p.WaitText("n=1")
		// The store takes the commit and its answer is lost, again and again.
		flaky.loseAnswers(3)
		p.Click("Add", nil)
		p.WaitText("n=2")
		p.Click("Save", nil)
		flaky.loseAnswers(2)
		p.Click("Save", nil)
		p.WaitText("n=2 last= saved=2")
		// The store is away for a while: the click waits, nothing is shown.
		flaky.down(true)
		number := p.Send("Add", nil)
		time.Sleep(10 * time.Second)
		if strings.Contains(p.Text(), "n=3") {
			t.Error("what is not stored is shown")
		}
		flaky.down(false)
		if err := p.Answer(number); err != nil {
			t.Errorf("the click failed: %v", err)
		}
		p.WaitText("n=3")
		// The connection breaks while the click is stored.
		flaky.down(true)
		p.Send("Add", nil)
		time.Sleep(time.Second)
		p.Drop()
		flaky.down(false)
		p.Connect(v)
		p.WaitText("n=4")
		time.Sleep(time.Second)
		p.WaitText("n=4")
	})
}

func TestSessionClosed(t *testing.T) {
	t.Parallel()
	onAll(t, func(e env) {
		t, s := e.t, e.store
		n := startNode(t, s, live.Config{})
		v := view(t, n, counting{}, counter{}, counterHTML)
		b := e.browser()
		p := b.Open(v, "/")
		session := sessionOf(t, n, b)
		if err := s.CloseSession(t.Context(), session.ID()); err != nil {
			t.Fatal(err)
		}
		if code := p.WaitClosed(); code != 4002 {
			t.Errorf("closed with %d, want 4002", code)
		}
		if err := session.TriggerAction("Note", nil); !errors.Is(err, push.ErrSessionClosed) {
			t.Errorf("TriggerAction: got %v", err)
		}
	})
}
