package live_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/live"
	"lastmile/live/livetest"
)

// form is a page that works without JavaScript.
type form struct {
	Name string `live:"persist"`
	Seen int
}

type forming struct{}

func (forming) Save(s form, ctx *live.Context) (form, error) {
	s.Name = ctx.GetString("name")
	ctx.SetFlash("info", "Saved <"+s.Name+">")
	return s, nil
}

func (forming) Fail(s form, ctx *live.Context) (form, error) {
	s.Name = "never"
	ctx.SetFlash("info", "tried")
	return s, errors.New("secret detail")
}

func (forming) Away(s form, ctx *live.Context) (form, error) {
	return s, ctx.Redirect("/elsewhere?x=1")
}

func (forming) Seen(s form, _ *live.Context) (form, error) {
	s.Seen++
	return s, nil
}

func (forming) Secret(s form, _ *live.Context) (form, error) {
	s.Name = "pushed"
	return s, nil
}

const formHTML = `{{define "title"}}{{if .Name}}{{.Name}} & co{{else}}Nobody{{end}}{{end}}<p>name={{.Name}} seen={{.Seen}}</p>
<form method="post"><input name="name" value="{{.Name}}"><button id="save" name="live-action" value="Save">Save</button>
<button id="fail" name="live-action" value="Fail">Fail</button></form>
<form method="post"><input type="hidden" name="live-action" value="Away"><button id="away">Away</button></form>`

func TestWithoutJavaScript(t *testing.T) {
	t.Parallel()
	onBoth(t, func(e env) {
		t, s := e.t, e.store
		n := startNode(t, s, live.Config{})
		v := view(t, n, forming{}, form{}, formHTML)
		b := e.browser()
		d := b.Get(v, "/form?tab=2")
		if got := d.Text(); !strings.Contains(got, "name= seen=0") {
			t.Fatalf("first page shows %q", got)
		}
		d = d.Submit("#save", map[string]string{"name": "Ann"})
		if got := d.Text(); !strings.Contains(got, "Saved <Ann>") || !strings.Contains(got, "name=Ann") {
			t.Errorf("after Save the page shows %q", got)
		}
		if !strings.Contains(d.HTML, "<title>Ann &amp; co</title>") {
			t.Errorf("no title of the template in:\n%s", d.HTML)
		}
		if got := b.Get(v, "/form").Text(); strings.Contains(got, "Saved") {
			t.Errorf("a flash is shown twice: %q", got)
		}
		d = d.Submit("#fail", nil)
		if got := d.Text(); !strings.Contains(got, "name=Ann") || !strings.Contains(got, "tried") || !strings.Contains(got, "did not work") || strings.Contains(got, "secret detail") {
			t.Errorf("after a failed action the page shows %q", got)
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://live.test/form", strings.NewReader("live-action=Away"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		res, _ := b.Do(v, r) //nolint:bodyclose // Do closes it
		if got := res.Header.Get("Location"); res.StatusCode != http.StatusSeeOther || got != "/elsewhere?x=1" {
			t.Errorf("Redirect answered %d to %q", res.StatusCode, got)
		}
	})
}

func TestFormsThatAreRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := startNode(t, memStore(t), live.Config{MaxMessageBytes: 100, AllowedOrigins: []string{"https://friend.test"}})
		v := viewWith(t, n, forming{}, form{}, formHTML, live.ViewConfig{PushOnly: []string{"Secret"}})
		for _, tt := range []struct {
			name, origin, body string
			status             int
			want               string
		}{
			{"fine", "http://live.test", "live-action=Save&name=x", http.StatusSeeOther, ""},
			{"friend", "https://friend.test", "live-action=Save&name=x", http.StatusSeeOther, ""},
			{"stranger", "https://evil.test", "live-action=Save&name=x", http.StatusForbidden, "cross-origin"},
			{"no action", "http://live.test", "name=x", http.StatusBadRequest, `"live-action"`},
			{"unknown action", "http://live.test", "live-action=Nope", http.StatusBadRequest, "no such action"},
			{"lifecycle", "http://live.test", "live-action=Mount", http.StatusBadRequest, "no such action"},
			{"push only", "http://live.test", "live-action=Secret", http.StatusBadRequest, "no such action"},
			{"too large", "http://live.test", "live-action=Save&name=" + strings.Repeat("x", 200), http.StatusRequestEntityTooLarge, "100 bytes"},
			{"long name", "http://live.test", "live-action=" + strings.Repeat("x", 60), http.StatusBadRequest, "no such action"},
		} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://live.test/", strings.NewReader(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Origin", tt.origin)
			res, body := livetest.NewBrowser(t).Do(v, r) //nolint:bodyclose // Do closes it
			if res.StatusCode != tt.status || !strings.Contains(body, tt.want) {
				t.Errorf("%s: got %d %q, want %d with %q", tt.name, res.StatusCode, body, tt.status, tt.want)
			}
		}
	})
}

func TestRedirectStaysOnTheSite(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := startNode(t, memStore(t), live.Config{})
		v := view(t, n, forming{}, form{}, formHTML)
		for _, path := range []string{"//evil.test/x", `/\evil.test`, "/ok?a=1"} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://live.test/", strings.NewReader(url.Values{"live-action": {"Save"}}.Encode()))
			if err != nil {
				t.Fatal(err)
			}
			r.URL.Path, r.URL.RawPath = "", ""
			r.URL.Opaque = path
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			res, _ := livetest.NewBrowser(t).Do(v, r) //nolint:bodyclose // Do closes it
			if got := res.Header.Get("Location"); strings.HasPrefix(got, "//") || strings.Contains(got, `\`) || !strings.HasPrefix(got, "/") {
				t.Errorf("POST %s leads to %q", path, got)
			}
		}
	})
}

func TestParkedPushesMeetTheNextPage(t *testing.T) {
	t.Parallel()
	onBoth(t, func(e env) {
		t, s := e.t, e.store
		n := startNode(t, s, live.Config{})
		c := newListing()
		v := view(t, n, c, list{}, listHTML)
		b := e.browser()
		session := sessionOf(t, n, b)
		trigger(t, session, "Put", put("a"))
		trigger(t, session, "Tally", nil)
		trigger(t, session, "Put", put("b"))

		if got := b.Peek(v, "/").Text(); !strings.Contains(got, "count=1") || !strings.Contains(got, "a b") {
			t.Errorf("the first page shows %q", got)
		}
		// That page never arrived, as far as anybody knows: the next one starts
		// anew, but for the persisted fields, which hold their push already.
		if got := b.Peek(v, "/").Text(); !strings.Contains(got, "count=1 a= b= a b") {
			t.Errorf("the second page shows %q", got)
		}
		b.Get(v, "/") // this one's picture says that it arrived
		time.Sleep(time.Second)
		if got := b.Get(v, "/").Text(); !strings.Contains(got, "count=1 a= b=") || strings.HasSuffix(got, "b") {
			t.Errorf("after a page has arrived the next one shows %q", got)
		}
	})
}

func TestUnconfirmedPageLosesNothing(t *testing.T) {
	t.Parallel()
	onBoth(t, func(e env) {
		t, s := e.t, e.store
		n := startNode(t, s, live.Config{})
		v := view(t, n, newListing(), list{}, listHTML)
		b := e.browser()
		session := sessionOf(t, n, b)
		trigger(t, session, "Put", put("a"))
		if got := b.Load(v, "/").Text(); !strings.HasSuffix(got, "a") {
			t.Errorf("the first page shows %q", got)
		}
		p := b.Open(v, "/")
		waitItems(t, p, "a")
		time.Sleep(time.Second)
		waitItems(t, b.Open(v, "/"), "")
		p.Reconnect(v)
		waitItems(t, p, "a")
	})
}

func TestFailingParkedPushWaitsForTheSocket(t *testing.T) {
	t.Parallel()
	onBoth(t, func(e env) {
		t, s := e.t, e.store
		n := startNode(t, s, live.Config{})
		c := newListing()
		c.err = errors.New("not yet")
		v := view(t, n, c, list{}, listHTML)
		b := e.browser()
		session := sessionOf(t, n, b)
		trigger(t, session, "Put", put("a"))
		c.fails["b"] = 5
		trigger(t, session, "Put", put("b"))
		trigger(t, session, "Put", put("c"))
		p := b.Load(v, "/")
		if got := p.Text(); !strings.Contains(got, "a= b= a") || strings.Contains(got, "c") && strings.HasSuffix(got, "c") {
			t.Errorf("the page shows %q, want only what came before the failing push", got)
		}
		p.Connect(v)
		waitItems(t, p, "a b c")
		if got := strings.Join(c.ran.all(), " "); got != "a b b b b b b c" {
			t.Errorf("ran %q", got)
		}
	})
}

// chatty says something at every turn.
type chatty struct{}

func (chatty) Mount(s form, ctx *live.Context) (form, error) {
	ctx.SetFlash("info", "mounted;")
	return s, nil
}

func (chatty) Told(s form, ctx *live.Context) (form, error) {
	s.Seen++
	ctx.SetFlash("info", "pushed;")
	return s, nil
}

func (chatty) Fail(s form, ctx *live.Context) (form, error) {
	for range 20 {
		ctx.SetFlash("info", "failing;")
	}
	return s, errors.New("no luck")
}

func (chatty) Save(s form, ctx *live.Context) (form, error) {
	ctx.SetFlash("info", "saved;")
	return s, nil
}

func (chatty) Away(s form, _ *live.Context) (form, error) { return s, nil }

// TestFormShowsEachMessageOnce: the page after a form mounts anew and says what
// it has to say itself; the form says what its action did, however much.
func TestFormShowsEachMessageOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := startNode(t, memStore(t), live.Config{})
		v := view(t, n, chatty{}, form{}, formHTML)
		b := livetest.NewBrowser(t)
		d := b.Get(v, "/form")
		trigger(t, sessionOf(t, n, b), "Told", nil)
		if d = d.Submit("#save", nil); strings.Count(d.Text(), "mounted;") != 1 || strings.Count(d.Text(), "pushed;") != 1 || !strings.Contains(d.Text(), "saved;") {
			t.Errorf("after a form the page shows %q", d.Text())
		}
		if d = d.Submit("#fail", nil); !strings.Contains(d.Text(), "failing;") || !strings.Contains(d.Text(), "did not work") {
			t.Errorf("after a form that fails the page shows %q", d.Text())
		}
	})
}
