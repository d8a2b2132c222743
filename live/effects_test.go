package live_test

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/live"
	"lastmile/live/livetest"
)

func TestTopics(t *testing.T) {
	t.Parallel()
	onAll(t, func(e env) {
		t, s := e.t, e.store
		cfg := live.Config{Topics: func(_ live.Identity, topic string) error {
			if !strings.HasPrefix(topic, "room:") {
				return errors.New("no such room")
			}
			return nil
		}}
		one, two := startNode(t, s, cfg), startNode(t, s, cfg)
		v1, v2 := view(t, one, chat{}, plain{}, `{{.N}}`), view(t, two, chat{}, plain{}, `{{.N}}`)
		p1, p2 := e.browser().Open(v1, "/"), e.browser().Open(v2, "/")
		if err := p1.Try("Join", map[string]any{"topic": "secret"}); err == nil {
			t.Error("a topic that the ACL refuses can be joined")
		}
		p1.Click("Join", map[string]any{"topic": "room:1"})
		p2.Click("Join", map[string]any{"topic": "room:1"})
		p1.Click("Say", map[string]any{"topic": "room:1"})
		p2.WaitText("1")
		if got := p1.Text(); got != "0" {
			t.Errorf("the sender got its own message: %s", got)
		}
		time.Sleep(time.Second) // what nobody repeats has to be stored first
		p2.Reconnect(v1)        // subscriptions are part of what is resumed
		p1.Click("Say", map[string]any{"topic": "room:1"})
		p2.WaitText("2")
		if err := two.hub.Publish(t.Context(), "room:1", "Heard", nil); err != nil {
			t.Fatal(err)
		}
		p1.WaitText("1")
		p2.WaitText("3")
		p1.Click("Leave", map[string]any{"topic": "room:1"})
		p2.Click("Say", map[string]any{"topic": "room:1"})
		time.Sleep(time.Second)
		if got := p1.Text(); got != "1" {
			t.Errorf("who has left still hears: %s", got)
		}
	})
}

type chat struct{}

func (chat) Mount(s plain, ctx *live.Context) (plain, error) {
	return s, ctx.Subscribe(ctx.SelfTopic())
}

func (chat) Join(s plain, ctx *live.Context) (plain, error) {
	return s, ctx.Subscribe(ctx.GetString("topic"))
}

func (chat) Leave(s plain, ctx *live.Context) (plain, error) {
	return s, ctx.Unsubscribe(ctx.GetString("topic"))
}

func (chat) Say(s plain, ctx *live.Context) (plain, error) {
	return s, ctx.Publish(ctx.GetString("topic"), "Heard", nil)
}

func (chat) Tell(s plain, ctx *live.Context) (plain, error) {
	return s, ctx.Publish(ctx.SelfTopic(), "Heard", nil)
}

func (chat) Heard(s plain, _ *live.Context) (plain, error) {
	s.N++
	return s, nil
}

func TestSelfTopicReachesTheOtherTabs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := startNode(t, memStore(t), live.Config{})
		v := view(t, n, chat{}, plain{}, `{{.N}}`)
		b := livetest.NewBrowser(t)
		p1, p2, stranger := b.Open(v, "/"), b.Open(v, "/"), livetest.Open(t, v, "/")
		p1.Click("Tell", nil)
		p2.WaitText("1")
		time.Sleep(time.Second)
		if p1.Text() != "0" || stranger.Text() != "0" {
			t.Errorf("sender %s, stranger %s: want 0", p1.Text(), stranger.Text())
		}
	})
}

func TestTitleFlashEventsAndNavigation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := startNode(t, memStore(t), live.Config{})
		v := view(t, n, effecting{}, plain{}, `{{define "title"}}N & {{.N}}{{end}}<b>{{.N}}</b>`)
		p := livetest.Open(t, v, "/")
		if got := p.State().Title; got != "N & 0" {
			t.Errorf("title %q", got)
		}
		p.Click("Act", nil)
		got := p.State()
		if got.Title != "N & 1" || !slices.Equal(got.Flashes, [][2]string{{"info", "<done>"}}) ||
			len(got.Events) != 1 || got.Events[0].Name != "chart" || string(got.Events[0].Detail) != `{"n":1}` || got.Location != "" {
			t.Errorf("after Act: %+v", got)
		}
		p.Click("Go", nil)
		if got := p.State().Location; got != "/there" {
			t.Errorf("location %q", got)
		}
		if err := p.Try("GoWrong", nil); err == nil {
			t.Error("Redirect to javascript: did not fail")
		}
	})
}

type effecting struct{}

func (effecting) Act(s plain, ctx *live.Context) (plain, error) {
	s.N++
	ctx.SetFlash("info", "<done>")
	return s, ctx.Emit("chart", map[string]int{"n": s.N})
}

func (effecting) Go(s plain, ctx *live.Context) (plain, error) { return s, ctx.Navigate("/there") }

func (effecting) GoWrong(s plain, ctx *live.Context) (plain, error) {
	for _, bad := range []string{"//evil.test", `/\evil.test`, "https://evil.test", "javascript:alert(1)", ""} {
		if err := ctx.Navigate(bad); !errors.Is(err, live.ErrNavigate) {
			return s, nil
		}
	}
	return s, ctx.Redirect("javascript:alert(1)")
}

// TestTopicThatIsNoLongerAllowed: a page that reconnects asks for its topics
// again, as a stranger would have to.
func TestTopicThatIsNoLongerAllowed(t *testing.T) {
	t.Parallel()
	onAll(t, func(e env) {
		t, s := e.t, e.store
		var closed, broken atomic.Bool
		n := startNode(t, s, live.Config{Topics: func(_ live.Identity, topic string) error {
			if broken.Load() {
				panic("no list of members")
			}
			if closed.Load() && topic == "room:1" {
				return errors.New("members only")
			}
			return nil
		}})
		v := view(t, n, chat{}, plain{}, `{{.N}}`)
		p := e.browser().Open(v, "/")
		p.Click("Join", map[string]any{"topic": "room:1"})
		p.Click("Join", map[string]any{"topic": "room:2"})
		hear := func(topic string) {
			if err := n.hub.Publish(t.Context(), topic, "Heard", nil); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		hear("room:1")
		p.WaitText("1")
		closed.Store(true)
		for range 2 {
			p.Reconnect(v)
			hear("room:1")
			if got := p.Text(); got != "1" {
				t.Errorf("who may not still hears: %s", got)
			}
		}
		hear("room:2")
		p.WaitText("2")
		broken.Store(true)
		p.Reconnect(v)
		hear("room:2")
		p.WaitText("2")
	})
}

// overeager acts on the page before it fails.
type overeager struct{ chat }

func (overeager) OnConnect(s plain, ctx *live.Context) (plain, error) {
	ctx.SetFlash("error", "closed today")
	return s, errors.Join(ctx.Publish("room:1", "Heard", nil), ctx.Subscribe("room:1"), ctx.Navigate("/there"), errors.New("no luck"))
}

// TestFailedOnConnectLeavesNoTrace: as with every action, only its messages get
// through.
func TestFailedOnConnectLeavesNoTrace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := startNode(t, memStore(t), live.Config{Topics: func(live.Identity, string) error { return nil }})
		room, hasty := viewNamed(t, n, "room", chat{}, plain{}, `{{.N}}`), viewNamed(t, n, "hasty", overeager{}, plain{}, `{{.N}}`)
		listener := livetest.Open(t, room, "/")
		listener.Click("Join", map[string]any{"topic": "room:1"})
		p := livetest.Open(t, hasty, "/")
		p.Wait("its error", func() bool { return len(p.State().Errors) == 1 })
		if err := n.hub.Publish(t.Context(), "room:1", "Heard", nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if got := p.State(); got.Location != "" || p.Text() != "0" || len(got.Flashes) != 1 {
			t.Errorf("the page shows %q and has seen %+v", p.Text(), got)
		}
		if got := listener.Text(); got != "1" {
			t.Errorf("%s messages came, want the one that was published", got)
		}
	})
}
