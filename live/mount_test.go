package live_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/live"
	"lastmile/live/livetest"
)

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

// TestMountedAnewHasTheSameQuery: whichever way a page connects, a Mount for it reads
// the query of its address, and nothing that the way itself asks with.
func TestMountedAnewHasTheSameQuery(t *testing.T) {
	t.Parallel()
	onAll(t, func(e env) {
		v := view(e.t, startNode(e.t, e.store, live.Config{}), querying{}, list{}, listHTML)
		p := e.browser().Open(v, "/?q=a+b&t=5&l=6")
		want := p.Text()
		p.Drop()
		time.Sleep(2 * time.Hour) // its state is gone
		p.Connect(v)
		p.Wait("the mount", func() bool { return p.State().Mounts == 1 })
		if got := p.Text(); got != want || !strings.Contains(got, "l=6&q=a+b&t=5") {
			e.t.Errorf("the page shows %q, before %q", got, want)
		}
	})
}

type querying struct{}

func (querying) Mount(s list, ctx *live.Context) (list, error) {
	s.Title = ctx.Request().Query().Encode()
	return s, nil
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
