package live_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"lastmile/live"
	"lastmile/live/livetest"
	"lastmile/push"
)

// choosy refuses what it is told to, and notes what ran.
type choosy struct{ ran *journal }

func (c choosy) Take(s list, ctx *live.Context) (list, error) {
	item := ctx.GetString("item")
	c.ran.add(item)
	if strings.HasPrefix(item, "bad") {
		return s, fmt.Errorf("not this one: %w", push.ErrReject)
	}
	s.Items = append(s.Items, item)
	return s, nil
}

// take is a click on Take.
const take = `{"a":"Take","d":{"item":%q},"i":%d}`

// TestRefusalOutlivesItsConnection: a click is refused, a later one is done and
// stored, and the connection breaks before the browser hears of either.
func TestRefusalOutlivesItsConnection(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		again []string // what the browser sends on the other node, as name=number
		want  string
	}{
		{"it heard of nothing", []string{"bad=1", "good=2"}, "rejected 1, <=2"},
		{"it heard of the refusal", []string{"good=2"}, "<=2"},
		{"it heard of both", []string{"new=3"}, "<=3"},
		{"it heard of nothing, and goes on", []string{"bad=1", "good=2", "new=3"}, "rejected 1, <=2, <=3"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			onAll(t, func(e env) {
				t, s := e.t, e.store
				one, two := startNode(t, s, live.Config{}), startNode(t, s, live.Config{})
				ran1, ran2 := &journal{}, &journal{}
				v1, v2 := view(t, one, choosy{ran1}, list{}, listHTML), view(t, two, choosy{ran2}, list{}, listHTML)
				b := e.browser()
				token := dataOf(b.Load(v1, "/").HTML()).Token
				r := rawResume(t, b, v1, token)
				r.send(take, "bad", 1)
				r.send(take, "good", 2)
				r.lose()
				one.kill()
				r = rawResume(t, b, v2, token)
				if got := r.fates(); got != "" {
					t.Errorf("before it asks the browser is told %q", got)
				}
				want := []string{"good"}
				for _, m := range tt.again {
					name, number, _ := strings.Cut(m, "=")
					r.send(`{"a":"Take","d":{"item":%q},"i":%s}`, name, number)
					if name == "new" {
						want = append(want, name)
					}
				}
				if got := r.fates(); got != tt.want {
					t.Errorf("told %q, want %q", got, tt.want)
				}
				if got := ran1.all(); !slices.Equal(got, []string{"bad", "good"}) {
					t.Errorf("the first node ran %v", got)
				}
				if got := ran2.all(); !slices.Equal(got, want[1:]) {
					t.Errorf("the second node ran %v, want %v", got, want[1:])
				}
				r.lose()
				items, err := json.Marshal(want)
				if err != nil {
					t.Fatal(err)
				}
				if rec := recordOf(t, s, sessionOf(t, two, b), token); !strings.Contains(string(rec.State), string(items)) {
					t.Errorf("stored is %s, want the items %s", rec.State, items)
				}
			})
		})
	}
}

// TestRefusalBeforeACrash: the node dies before it has stored anything. Both
// clicks run anew, and the browser hears what became of them then.
func TestRefusalBeforeACrash(t *testing.T) {
	t.Parallel()
	onAll(t, func(e env) {
		t, dying := e.t, &flakyStates{store: e.store}
		one, two := startNode(t, dying, live.Config{}), startNode(t, e.store, live.Config{})
		ran1, ran2 := &journal{}, &journal{}
		v1, v2 := view(t, one, choosy{ran1}, list{}, listHTML), view(t, two, choosy{ran2}, list{}, listHTML)
		b := e.browser()
		token := dataOf(b.Load(v1, "/").HTML()).Token
		r := rawResume(t, b, v1, token)
		dying.down(true)
		r.send(take, "bad", 1)
		r.send(take, "good", 2)
		r.lose()
		one.kill()
		r = rawResume(t, b, v2, token)
		r.send(take, "bad", 1)
		r.send(take, "good", 2)
		if got := r.fates(); got != "rejected 1, <=2" {
			t.Errorf("told %q", got)
		}
		for _, ran := range []*journal{ran1, ran2} {
			if got := ran.all(); !slices.Equal(got, []string{"bad", "good"}) {
				t.Errorf("a node ran %v", got)
			}
		}
		r.lose()
		if rec := recordOf(t, e.store, sessionOf(t, two, b), token); !strings.Contains(string(rec.State), `["good"]`) {
			t.Errorf("stored is %s, want one item", rec.State)
		}
	})
}

// TestRefusalIsForgottenOnceItIsShown: what the browser has confirmed is not
// kept, and a record that holds what it heard of later costs it nothing.
func TestRefusalIsForgottenOnceItIsShown(t *testing.T) {
	t.Parallel()
	onAll(t, func(e env) {
		t, s := e.t, e.store
		n := startNode(t, s, live.Config{})
		v := view(t, n, choosy{&journal{}}, list{}, listHTML)
		b := e.browser()
		token := dataOf(b.Load(v, "/").HTML()).Token
		r := rawResume(t, b, v, token)
		r.send(take, "bad", 1)
		r.confirm()
		r.send(take, "good", 2)
		r.lose()
		r = rawResume(t, b, v, token)
		if got := r.fates(); got != "<=2" {
			t.Errorf("told %q, want the answer at once", got)
		}
		for i := uint64(3); i < 1003; i += 2 {
			r.send(take, "bad", i)
			r.confirm()
			time.Sleep(100 * time.Millisecond)
		}
		r.lose()
		if rec := recordOf(t, s, sessionOf(t, n, b), token); len(rec.State) > 200 {
			t.Errorf("the record is %s", rec.State)
		}
	})
}

// TestEveryRefusalComesBeforeItsAnswer: messages are refused in another order
// than that of their numbers.
func TestEveryRefusalComesBeforeItsAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		flaky := &flakyStates{store: memStore(t)}
		n := startNode(t, flaky, live.Config{MessageRate: 0.001, MessageBurst: 3})
		v := view(t, n, choosy{&journal{}}, list{}, listHTML)
		b := livetest.NewBrowser(t)
		token := dataOf(b.Load(v, "/").HTML()).Token
		r := rawResume(t, b, v, token)
		flaky.down(true) // so that the others wait
		r.send(take, "good", 1)
		r.send(take, "bad", 2)
		r.send(take, "good", 3)
		r.send(take, "good", 4)
		time.Sleep(10 * time.Second)
		flaky.down(false)
		time.Sleep(10 * time.Second)
		if got := r.fates(); got != "<=1, rate_limited 4, rejected 2, <=3" {
			t.Errorf("told %q", got)
		}
	})
}

// TestAnswersAreFreeOfLimits: what was done is told however fast the browser
// asks for it.
func TestAnswersAreFreeOfLimits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := startNode(t, memStore(t), live.Config{MessageRate: 0.001, MessageBurst: 3})
		v := view(t, n, choosy{&journal{}}, list{}, listHTML)
		b := livetest.NewBrowser(t)
		token := dataOf(b.Load(v, "/").HTML()).Token
		r := rawResume(t, b, v, token)
		r.send(take, "bad", 1)
		r.send(take, "good", 2)
		r.send(take, "good", 3)
		r.lose()
		r = rawResume(t, b, v, token)
		r.send(take, "bad", 1)
		for i := range 6 {
			r.send(take, "good", 2+i)
		}
		if got := r.fates(); got != "rejected 1, <=3, <=4, <=5, <=6, rate_limited 7" {
			t.Errorf("told %q", got)
		}
	})
}

// TestUnconfirmedRefusalsAreBounded: a browser that confirms nothing is cut off,
// and hears of each message in the end.
func TestUnconfirmedRefusalsAreBounded(t *testing.T) {
	t.Parallel()
	onAll(t, func(e env) {
		t, s := e.t, e.store
		n := startNode(t, s, live.Config{MessageRate: 1000, MessageBurst: 1000})
		v := view(t, n, choosy{&journal{}}, list{}, listHTML)
		b := e.browser()
		token := dataOf(b.Load(v, "/").HTML()).Token
		r := rawResume(t, b, v, token)
		const all = 200
		var err error
		for i := 0; i < all && err == nil; i++ {
			err = r.ws.Write(t.Context(), websocket.MessageText, fmt.Appendf(nil, take, "bad", i+1))
		}
		if got := r.fates(); strings.Count(got, "rejected") > 128 {
			t.Errorf("%d errors were told and none confirmed", strings.Count(got, "rejected"))
		}
		<-r.gone
		heard := len(r.all()) - 1
		r = rawResume(t, b, v, token)
		for i := heard; i < all; i++ {
			r.send(take, "bad", i+1)
			r.confirm()
		}
		if got := strings.Count(r.fates(), "rejected"); got != all-heard {
			t.Errorf("told of %d of the %d others", got, all-heard)
		}
	})
}

// TestRecordsOfOtherVersions: a record without refusals is one of an older
// version; one with what this version does not know, of a newer one.
func TestRecordsOfOtherVersions(t *testing.T) {
	t.Parallel()
	for _, state := range []string{
		`{"s":{"Items":["old"]}}`,
		`{"s":{"Items":["old"]},"r":[{"c":"rejected","m":"no","i":1,"a":"Take","zz":1}],"zz":{}}`,
		`{"s":{"Items":["old"]},"r":null}`,
	} {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			onAll(t, func(e env) {
				t, s := e.t, e.store
				n := startNode(t, s, live.Config{})
				v := view(t, n, choosy{&journal{}}, list{}, listHTML)
				b := e.browser()
				token := dataOf(b.Load(v, "/").HTML()).Token
				rec := recordOf(t, s, sessionOf(t, n, b), token)
				rec.State, rec.Client = []byte(state), 2
				if _, err := s.Commit(t.Context(), push.Commit{Conn: rec, ConnTTL: time.Hour}); err != nil {
					t.Fatal(err)
				}
				want := "<=2"
				r := rawResume(t, b, v, token)
				if strings.Contains(state, "rejected") {
					r.send(take, "x", 1)
					r.send(take, "y", 2)
					want = "rejected 1, <=2"
				}
				if got := r.fates(); got != want {
					t.Errorf("told %q, want %q", got, want)
				}
				r.send(take, "new", 3)
				r.lose()
				if rec := recordOf(t, s, sessionOf(t, n, b), token); !strings.Contains(string(rec.State), `["old","new"]`) {
					t.Errorf("stored is %s, want both items", rec.State)
				}
			})
		})
	}
}

// TestMessageThatIsTooLargeIsNamed: the browser has to know which of its
// messages was not taken, or a later answer makes it take that one for done.
func TestMessageThatIsTooLargeIsNamed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := startNode(t, memStore(t), live.Config{MaxMessageBytes: 1000})
		v := view(t, n, choosy{&journal{}}, list{}, listHTML)
		b := livetest.NewBrowser(t)
		r := rawResume(t, b, v, dataOf(b.Load(v, "/").HTML()).Token)
		r.send(take, strings.Repeat("x", 1500), 1)
		r.send(`{"i":2,"d":{"item":%q},"a":"Take"}`, strings.Repeat("x", 1500))
		r.send(take, "good", 3)
		r.send(`%s`, strings.Repeat("x", 1500))
		if got := r.fates(); got != "too_large 1, too_large 2, <=3, too_large 0" {
			t.Errorf("told %q", got)
		}
	})
}

// TestCopyOfATabClicks: a browser that duplicates a tab from its cache has two
// pages with one token. The copy numbers its messages from 1 again, and none of
// them may be taken for one of the original's.
func TestCopyOfATabClicks(t *testing.T) {
	t.Parallel()
	onAll(t, func(e env) {
		t, s := e.t, e.store
		n := startNode(t, s, live.Config{})
		ran := &journal{}
		v := view(t, n, choosy{ran}, list{}, listHTML)
		b := e.browser()
		p := b.Load(v, "/")
		original := rawResume(t, b, v, dataOf(p.HTML()).Token)
		original.send(take, "one", 1)
		original.send(take, "two", 2)
		original.confirm()
		p.Connect(v) // with the same token
		p.Click("Take", map[string]any{"item": "mine"})
		if got := ran.all(); !slices.Equal(got, []string{"one", "two", "mine"}) {
			t.Errorf("ran %v", got)
		}
		waitItems(t, p, "mine")
	})
}
