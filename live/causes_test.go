package live_test

import (
	"errors"
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
	"lastmile/push/mempush"
)

// deed is a state that all of deeds' actions count in.
type deed struct {
	Own    int
	Shared int `live:"persist"`
}

const deedHTML = `{{define "title"}}done {{.Own}}{{end}}<p>{{.Own}} {{.Shared}}</p>`

// deeds' actions have each effect that an action can have.
type deeds struct {
	onMount, onConnect func(*live.Context) error
	fail               *int // runs of any action that fail
}

func (d *deeds) run(s deed, ctx *live.Context, effect func(*live.Context) error) (deed, error) {
	s.Own++
	s.Shared++
	err := effect(ctx)
	if d.fail != nil && *d.fail > 0 {
		*d.fail--
		return s, errors.Join(err, errors.New("not yet"))
	}
	return s, err
}

func say(ctx *live.Context) error {
	ctx.SetFlash("info", "done")
	return ctx.Emit("chart", map[string]int{"n": 1})
}

func (d *deeds) Say(s deed, ctx *live.Context) (deed, error) { return d.run(s, ctx, say) }

func (d *deeds) Go(s deed, ctx *live.Context) (deed, error) {
	return d.run(s, ctx, func(ctx *live.Context) error { return ctx.Navigate("/there") })
}

func (d *deeds) Away(s deed, ctx *live.Context) (deed, error) {
	return d.run(s, ctx, func(ctx *live.Context) error { return ctx.Redirect("https://example.test/") })
}

func (d *deeds) Mount(s deed, ctx *live.Context) (deed, error) {
	if d.onMount == nil {
		return s, ctx.Subscribe(ctx.SelfTopic())
	}
	return d.run(s, ctx, d.onMount)
}

func (d *deeds) OnConnect(s deed, ctx *live.Context) (deed, error) {
	if d.onConnect == nil {
		return s, nil
	}
	return d.run(s, ctx, d.onConnect)
}

// deedTest is what a cause has to work with: a page on one of two nodes, on a
// store in which other tabs may win races and answers may fail.
type deedTest struct {
	t        *testing.T
	store    *mempush.Transport
	rival    *rivalStates
	c        *deeds
	one, two *node
	v1, v2   *live.View[deed]
	browser  *livetest.Browser
	session  push.Session
	// shown counts what the first HTML of pages had.
	shown seen
}

// seen counts effects.
type seen struct {
	flashes, events, places int
	title                   string
}

func newDeedTest(t *testing.T) *deedTest {
	t.Helper()
	s, err := mempush.New(mempush.Config{})
	if err != nil {
		t.Fatal(err)
	}
	d := &deedTest{t: t, store: s, rival: &rivalStates{store: s}, c: &deeds{}, browser: livetest.NewBrowser(t)}
	cfg := live.Config{Topics: func(live.Identity, string) error { return nil }}
	shared := struct {
		*rivalStates
		push.Replication
	}{d.rival, s}
	d.one, d.two = startNode(t, shared, cfg), startNode(t, shared, cfg)
	d.v1, d.v2 = view(t, d.one, d.c, deed{}, deedHTML), view(t, d.two, d.c, deed{}, deedHTML)
	d.session = sessionOf(t, d.one, d.browser)
	return d
}

// load gets a page, counts what its document shows, and does not connect it.
func (d *deedTest) load(v http.Handler) *livetest.Page {
	d.t.Helper()
	p := d.browser.Load(v, "/")
	d.shown.flashes += strings.Count(p.HTML(), ">done</p>")
	d.shown.title = p.State().Title
	return p
}

func (d *deedTest) open() *livetest.Page {
	d.t.Helper()
	p := d.load(d.v1)
	p.Connect(d.v1)
	return p
}

func (d *deedTest) trigger(action string, opts ...push.Option) {
	d.t.Helper()
	if _, err := d.session.Trigger(d.t.Context(), action, nil, opts...); err != nil {
		d.t.Fatal(err)
	}
}

func countDeeds(p *livetest.Page) seen {
	s := p.State()
	got := seen{events: len(s.Events), places: len(s.Locations), title: s.Title}
	for _, f := range s.Flashes {
		if f[1] == "done" {
			got.flashes++
		}
	}
	return got
}

// TestEffectsWhateverTheCause: flashes, events, navigation and the title reach
// the page once, whatever has had the action run, and however often it ran.
func TestEffectsWhateverTheCause(t *testing.T) {
	t.Parallel()
	effects := map[string]struct {
		effect
		want seen
	}{
		"flash and event": {effect{"Say", say}, seen{flashes: 1, events: 1}},
		"navigate":        {effect{"Go", func(ctx *live.Context) error { return ctx.Navigate("/there") }}, seen{places: 1}},
		"redirect":        {effect{"Away", func(ctx *live.Context) error { return ctx.Redirect("https://example.test/") }}, seen{places: 1}},
	}
	for name, cause := range deedCauses() {
		for what, e := range effects {
			if strings.HasPrefix(name, "Mount over") && e.want.places > 0 {
				continue // there is no page then: see TestMountGuardsThePage
			}
			t.Run(name+"/"+what, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					d := newDeedTest(t)
					p := cause(d, e.effect)
					time.Sleep(time.Minute)
					got := countDeeds(p)
					got.flashes += d.shown.flashes
					e.want.title = "done 1"
					if got != e.want {
						t.Errorf("the page has seen %+v, want %+v", got, e.want)
					}
					if !strings.HasSuffix(p.Text(), "1 1") {
						t.Errorf("the page shows %q, want its action's effect once", p.Text())
					}
					p.Reconnect(d.v2)
					time.Sleep(time.Minute)
					again := countDeeds(p)
					again.flashes += d.shown.flashes
					if again != got {
						t.Errorf("after a reconnect the page has seen %+v, before %+v", again, got)
					}
				})
			})
		}
	}
}

// TestEffectsOfABacklogInAGet: what waits is applied before the first HTML, and
// its effects come with that, with the first frame, or as a redirect.
func TestEffectsOfABacklogInAGet(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDeedTest(t)
		d.rival.set(func() { d.rival.wins = 1 })
		d.trigger("Say")
		p := d.open()
		time.Sleep(time.Minute)
		for range 2 {
			got := countDeeds(p)
			got.flashes += d.shown.flashes
			if want := (seen{flashes: 1, events: 1, title: "done 1"}); got != want || d.shown.title != "done 1" {
				t.Errorf("the page has seen %+v and %+v, want %+v", got, d.shown, want)
			}
			p.Reconnect(d.v2)
			time.Sleep(time.Minute)
		}
	})
}

// TestNavigationOfABacklogInAGet: the browser is sent on once, and what else
// waited waits on.
func TestNavigationOfABacklogInAGet(t *testing.T) {
	t.Parallel()
	for action, place := range map[string]string{"Go": "/there", "Away": "https://example.test/"} {
		t.Run(action, func(t *testing.T) {
			t.Parallel()
			onBoth(t, func(e env) {
				t := e.t
				c := &deeds{}
				n := startNode(t, e.store, live.Config{})
				v := view(t, n, c, deed{}, deedHTML)
				b := e.browser()
				b.Peek(v, "/")
				session := sessionOf(t, n, b)
				for _, a := range []string{"Say", action, "Say"} {
					trigger(t, session, a, nil)
				}
				if d := b.Peek(v, "/"); d.Status != http.StatusSeeOther || d.Header.Get("Location") != place {
					t.Fatalf("the first GET: %d %q, want a redirect to %s", d.Status, d.Header.Get("Location"), place)
				}
				d := b.Get(v, "/")
				if got := strings.Count(d.HTML, ">done</p>"); d.Status != http.StatusOK || got != 2 || !strings.Contains(d.Text(), "2 3") {
					t.Errorf("the second GET: %d, %d flashes, %q, want 2 and 2 3", d.Status, got, d.Text())
				}
				if got := b.Get(v, "/"); strings.Contains(got.HTML, ">done</p>") || !strings.Contains(got.Text(), "0 3") {
					t.Errorf("the third GET: %q", got.Text())
				}
			})
		})
	}
}

// TestEffectsOfAFormAndItsBacklog: a form without JavaScript runs although a
// push waits that sends the browser elsewhere, and each says its part once.
func TestEffectsOfAFormAndItsBacklog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDeedTest(t)
		v := d.v1
		heard := livetest.Open(t, viewNamed(t, d.one, "ears", chat{}, plain{}, `{{.N}}`), "/")
		heard.Click("Join", map[string]any{"topic": "room"})
		d.browser.Get(v, "/")
		d.trigger("Say")
		doc := d.browser.Post(v, "/", url.Values{"live-action": {"Say"}})
		if got := strings.Count(doc.HTML, ">done</p>"); got != 2 || !strings.Contains(doc.Text(), "1 2") {
			t.Errorf("%d messages and %q, want that of the form and that of the push", got, doc.Text())
		}
		d.trigger("Go")
		doc = d.browser.Post(v, "/", url.Values{"live-action": {"Say"}})
		if doc.Status != http.StatusSeeOther || doc.Header.Get("Location") != "/there" {
			t.Errorf("behind the form: %d, want the push's redirect", doc.Status)
		}
		doc = d.browser.Get(v, "/")
		if got := strings.Count(doc.HTML, ">done</p>"); got != 1 || !strings.Contains(doc.Text(), "0 4") {
			t.Errorf("the page behind it: %d messages, %q", got, doc.Text())
		}
	})
}

// TestMessageOfAPushThatIsGivenUp: as after a click that fails, the messages of
// the last try are shown, and nothing else.
func TestMessageOfAPushThatIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDeedTest(t)
		p := d.open()
		fails := 100
		d.c.fail = &fails
		d.trigger("Say")
		p.Wait("the dead letter", func() bool { return len(p.State().Errors) == 1 })
		time.Sleep(time.Minute)
		if got := countDeeds(p); got != (seen{flashes: 1, title: "done 0"}) {
			t.Errorf("the page has seen %+v", got)
		}
		if got := p.State().Errors; !slices.ContainsFunc(got, func(e livetest.Error) bool { return e.Code == "dead_letter" }) {
			t.Errorf("errors: %+v", got)
		}
	})
}
