package live_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
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

func (g guest) OnConnect(s plain, ctx *live.Context) (plain, error) {
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
	onBoth(t, func(t *testing.T, s store) {
		one, two := startNode(t, s, live.Config{}), startNode(t, s, live.Config{})
		v1, v2 := view(t, one, newListing(), list{}, listHTML), view(t, two, newListing(), list{}, listHTML)
		b := livetest.NewBrowser(t)
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
	onBoth(t, func(t *testing.T, s store) {
		n := startNode(t, s, live.Config{})
		log := &journal{}
		c := &noisy{log: log}
		v := view(t, n, c, list{}, listHTML)
		b := livetest.NewBrowser(t)
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
		for i := range 500 {
			trigger(t, session, "Put", put(i))
			synctest.Wait()
		}
		if got := p.State().Frames; got > 200 {
			t.Errorf("%d frames were sent to a browser that confirms none", got)
		}
		p.Mute(false)
		p.Reconnect(v)
		p.Wait("all items", func() bool { return strings.Count(p.HTML(), "<li>") == 500 })
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
	onBoth(t, func(t *testing.T, s store) {
		flaky := &flakyStates{store: s}
		n := startNode(t, flaky, live.Config{})
		v := view(t, n, counting{}, counter{}, counterHTML)
		p := livetest.Open(t, v, "/")
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

func TestLimitsNameFieldAndBound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := startNode(t, memStore(t), live.Config{MaxMessageBytes: 1000, MessageRate: 2, MessageBurst: 5, MaxStateBytes: 2000, MaxSessionConns: 2})
		v := viewWith(t, n, newListing(), list{}, listHTML, live.ViewConfig{PushOnly: []string{"Tally"}})
		b := livetest.NewBrowser(t)
		p := b.Open(v, "/")
		for _, tt := range []struct {
			action string
			data   map[string]any
			code   string
			text   string
		}{
			{"Rename", map[string]any{"title": strings.Repeat("x", 1500)}, "too_large", "at most 1000"},
			{strings.Repeat("X", 200), nil, "invalid", `field "a" has 200 bytes, at most 128`},
			{"Nope", nil, "unknown_action", `"Nope"`},
			{"Mount", nil, "unknown_action", `"Mount"`},
			{"Tally", nil, "unknown_action", `"Tally"`},
		} {
			p.Send(tt.action, tt.data)
			p.Wait(tt.code, func() bool {
				errs := p.State().Errors
				return len(errs) > 0 && errs[len(errs)-1].Code == tt.code && strings.Contains(errs[len(errs)-1].Message, tt.text)
			})
			time.Sleep(3 * time.Second)
		}
		var last *livetest.Error
		for range 8 {
			last = p.Try("Rename", map[string]any{"title": "x"})
		}
		if last == nil || last.Code != "rate_limited" || !strings.Contains(last.Message, "2 actions a second (5 at once)") {
			t.Errorf("too many actions: got %v", last)
		}
		time.Sleep(5 * time.Second)
		for i := range 5 { // the state must not grow without bound
			last = p.Try("Put", put(strings.Repeat("y", 600)))
			if i < 2 && last != nil {
				t.Errorf("Put %d: %v", i, last)
			}
			time.Sleep(time.Second)
		}
		if last == nil || last.Code != "error" {
			t.Errorf("a state over its bound: got %v", last)
		}
		b.Open(v, "/")
		p3 := b.Load(v, "/")
		if err := p3.TryConnect(v); err == nil || !strings.Contains(err.Error(), "503") {
			t.Errorf("a third connection of the session: got %v, want 503", err)
		}
	})
}

func TestFloodIsCut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := startNode(t, memStore(t), live.Config{})
		v := view(t, n, counting{}, counter{}, counterHTML)
		p := livetest.Open(t, v, "/")
		for range 1000 {
			p.Send("Add", nil)
		}
		if code := p.WaitClosed(); code != 1008 {
			t.Errorf("closed with %d, want 1008", code)
		}
	})
}

func TestForeignOriginIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := startNode(t, memStore(t), live.Config{AllowedOrigins: []string{"https://friend.test"}})
		v := view(t, n, counting{}, counter{}, counterHTML)
		synctest.Wait()
		for origin, want := range map[string]int{"https://evil.test": 403, "https://friend.test": 101, "http://live.test": 101, "null": 403} {
			if got := dialFrom(t, v, origin); got != want {
				t.Errorf("origin %s: status %d, want %d", origin, got, want)
			}
		}
	})
}

func TestTokensAreBound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := memStore(t)
		n := startNode(t, s, live.Config{})
		v := view(t, n, counting{}, counter{}, counterHTML)
		other := viewNamed(t, n, "other", counting{}, counter{}, counterHTML)
		b := livetest.NewBrowser(t)
		p := b.Open(v, "/")
		p.Click("Add", nil)
		doc := b.Peek(v, "/")
		if id := sessionOf(t, n, b).ID(); strings.Contains(doc.HTML, id) || strings.Contains(p.HTML(), id) {
			t.Error("the session's ID is in the page")
		}
		// Another session, and another view, cannot use the token.
		stolen := dataOf(doc.HTML).Token
		thief := livetest.NewBrowser(t)
		for name, v := range map[string]http.Handler{"session": v, "view": other} {
			if name == "view" {
				thief = b
			}
			if got := remounts(t, thief, v, stolen); !got {
				t.Errorf("the token is taken in another %s", name)
			}
		}
		if remounts(t, b, v, stolen) {
			t.Error("the token is not taken where it belongs")
		}
		if r := b.Peek(v, "/?_live=ack&t=abc"); r.Status != http.StatusForbidden {
			t.Errorf("a forged acknowledgement: status %d", r.Status)
		}
	})
}

func TestSessionClosed(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s store) {
		n := startNode(t, s, live.Config{})
		v := view(t, n, counting{}, counter{}, counterHTML)
		b := livetest.NewBrowser(t)
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

func TestTopics(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, s store) {
		cfg := live.Config{Topics: func(who live.Identity, topic string) error {
			if !strings.HasPrefix(topic, "room:") {
				return errors.New("no such room")
			}
			return nil
		}}
		one, two := startNode(t, s, cfg), startNode(t, s, cfg)
		v1, v2 := view(t, one, chat{}, plain{}, `{{.N}}`), view(t, two, chat{}, plain{}, `{{.N}}`)
		p1, p2 := livetest.Open(t, v1, "/"), livetest.Open(t, v2, "/")
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
		p2.Reconnect(v1) // subscriptions are part of what is resumed
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

func TestMountSeesTheRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := startNode(t, memStore(t), live.Config{})
		v := view(t, n, reading{}, list{}, listHTML)
		mux := http.NewServeMux()
		mux.Handle("/reports/{id}", v)
		b := livetest.NewBrowser(t)
		p := b.Open(mux, "/reports/7?q=x+y")
		if got := p.TextOf("h1"); got != "7 x y" {
			t.Errorf("the page shows %q", got)
		}
		if d := b.Peek(mux, "/reports/0"); d.Status != http.StatusSeeOther || d.Header.Get("Location") != "/login" {
			t.Errorf("Redirect in Mount: %d to %q", d.Status, d.Header.Get("Location"))
		}
		if d := b.Peek(mux, "/reports/-1"); d.Status != http.StatusInternalServerError || strings.Contains(d.HTML, "broken") {
			t.Errorf("an error in Mount: %d %q", d.Status, d.HTML)
		}
	})
}

type reading struct{}

func (reading) Mount(s list, ctx *live.Context) (list, error) {
	switch id := ctx.Request().PathValue("id"); id {
	case "0":
		return s, ctx.Redirect("/login")
	case "-1":
		return s, errors.New("broken")
	default:
		s.Title = id + " " + ctx.Request().Query().Get("q")
		return s, nil
	}
}

func TestAuthenticator(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := startNode(t, memStore(t), live.Config{Authenticator: byHeader{}})
		v := view(t, n, greeting{}, list{}, listHTML)
		b := livetest.NewBrowser(t)
		if d := b.Peek(v, "/?user="); d.Status != http.StatusUnauthorized {
			t.Errorf("a refused request: status %d", d.Status)
		}
		if got := b.Peek(v, "/?user=ann").Text(); !strings.Contains(got, "ann") {
			t.Errorf("the page shows %q", got)
		}
		if d := b.Peek(v, "/?user=short&session=1234"); d.Status != http.StatusUnauthorized {
			t.Errorf("a session that can be guessed: status %d", d.Status)
		}
	})
}

type byHeader struct{}

func (byHeader) Identify(r *http.Request) (live.Identity, error) {
	q := r.URL.Query()
	if q.Get("user") == "" {
		return live.Identity{}, errors.New("nobody")
	}
	return live.Identity{UserID: q.Get("user"), Session: q.Get("session")}, nil
}

type greeting struct{}

func (greeting) Mount(s list, ctx *live.Context) (list, error) {
	s.Title = ctx.UserID()
	return s, nil
}

func TestTemplateThatFailsKeepsThePage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := startNode(t, memStore(t), live.Config{})
		v := view(t, n, counting{}, counter{}, `<p>n={{.N}}</p>{{if gt .N 2}}{{if lt .N 5}}{{index "x" .N}}{{end}}{{end}}`)
		p := livetest.Open(t, v, "/")
		p.Click("Add", map[string]any{"by": 2})
		p.WaitText("n=2")
		p.Send("Add", map[string]any{"by": 1})
		p.Wait("an error", func() bool { return len(p.State().Errors) == 1 })
		if got := p.Text(); got != "n=2" {
			t.Errorf("the page shows %q", got)
		}
		p.Click("Add", map[string]any{"by": 3})
		p.WaitText("n=6")
	})
}

func TestEscapingThroughPatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const text = `<a href="{{.Title}}">x</a><button onclick="f('{{.A}}')">y</button><p style="color: {{.B}}">z</p>` +
			`<script>var v = {{.Title}};</script><textarea>{{.A}}</textarea><img srcset="{{.B}}" alt={{.A}}>`
		n := startNode(t, memStore(t), live.Config{})
		v := view(t, n, hostile{}, list{}, text)
		b := livetest.NewBrowser(t)
		p := b.Open(v, "/")
		for _, evil := range []string{
			"javascript:alert(1)", `');alert(1);//`, "</script><script>alert(1)</script>", "red; background: url(//evil)",
			`"><img src=x onerror=alert(1)>`, "</textarea><b>", "expression(alert(1))", "`${x}`", "a b=c",
		} {
			p.Click("Set", map[string]any{"v": evil})
			if got, want := p.HTML(), render(t, text, list{Title: evil, A: evil, B: evil}); got != want {
				t.Errorf("%q through a patch:\n got %s\nwant %s", evil, got, want)
			}
		}
	})
}

type hostile struct{}

func (hostile) Set(s list, ctx *live.Context) (list, error) {
	v := ctx.GetString("v")
	s.Title, s.A, s.B = v, v, v
	return s, nil
}

func TestContextData(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := startNode(t, memStore(t), live.Config{})
		r := &binding{}
		v := view(t, n, r, plain{}, `{{.N}}`)
		b := livetest.NewBrowser(t)
		p := b.Open(v, "/")
		p.Click("Read", map[string]any{
			"text": "a", "int": 7, "float": 1.5, "yes": true, "on": "on", "form": "42", "list": []string{"x", "y"}, "big": json.Number("9007199254740993"),
		})
		want := `a 7 1.5 true true 42 x 9007199254740993 false 7 {42 true 1.5 [x y]}`
		if r.got != want {
			t.Errorf("got  %s\nwant %s", r.got, want)
		}
		b.Post(v, "/", url.Values{"live-action": {"Read"}, "form": {"42"}, "on": {"on"}, "float": {"1.5"}, "list": {"x", "y"}})
		if want := ` 0 1.5 false true 42 x 0 false 0 {42 true 1.5 [x y]}`; r.got != want {
			t.Errorf("form: got  %s\nwant %s", r.got, want)
		}
		if err := r.ctx.Publish(r.ctx.SelfTopic(), "Read", nil); !errors.Is(err, live.ErrEnded) {
			t.Errorf("Publish after the action: got %v", err)
		}
		if r.ctx.Err() == nil {
			t.Error("the context has not ended with the action")
		}
	})
}

type binding struct {
	got string
	ctx *live.Context
}

func (r *binding) Read(s plain, ctx *live.Context) (plain, error) {
	var v struct {
		Form  int
		On    bool
		Float float64
		List  []string
	}
	if err := ctx.Bind(&v); err != nil {
		return s, err
	}
	r.ctx = ctx
	r.got = fmt.Sprint(ctx.GetString("text"), " ", ctx.GetInt("int"), " ", ctx.GetFloat("float"), " ", ctx.GetBool("yes"), " ", ctx.GetBool("on"), " ",
		ctx.GetInt("form"), " ", ctx.GetString("list"), " ", ctx.GetInt("big"), " ", ctx.Has("absent"), " ", ctx.GetInt("int"), " ", v)
	return s, nil
}
