package ops_test

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/cmd/internal/filestore"
	"lastmile/cmd/web/ops"
	"lastmile/cmd/web/webtest"
	"lastmile/live"
	"lastmile/live/livetest"
	"lastmile/push"
)

type fussyState struct{ Taken int }

// fussy refuses what is pushed to it until it is told to take it.
type fussy struct{ take bool }

func (f *fussy) Deliver(s fussyState, ctx *live.Context) (fussyState, error) {
	if !f.take {
		return s, fmt.Errorf("%w: not today", push.ErrReject)
	}
	s.Taken += ctx.GetInt("n")
	return s, nil
}

type world struct {
	*webtest.World
	fussy   *fussy
	browser *livetest.Browser
	session push.Session   // of the browser
	page    *livetest.Page // of the fussy view
	ops     *livetest.Page
}

// start opens a page with as many dead letters, and the operator's page.
func start(t *testing.T, dead int) *world {
	t.Helper()
	w := &world{World: webtest.New(t, filestore.Config{}), fussy: &fussy{}, browser: livetest.NewBrowser(t)}
	view, err := live.NewView(w.Hub, "fussy", w.fussy, fussyState{}, template.Must(template.New("f").Parse(`<p id="taken">{{.Taken}}</p>`)), live.ViewConfig{})
	if err != nil {
		t.Fatal(err)
	}
	w.Mux.Handle("/fussy", view)
	queues := func(context.Context) ([]ops.Queue, error) {
		return []ops.Queue{{Name: "critical", Pending: 7, Paused: true}}, nil
	}
	o, page, err := ops.New(ops.Deps{Hub: w.Hub, Store: w.Transport, Dead: w.Transport.DeadLetters(), Queues: queues, UI: w.UI, Node: w.Node.ID(), Embedded: true, Log: w.Log})
	if err != nil {
		t.Fatal(err)
	}
	w.Mux.Handle("/ops", page)
	w.Run()
	livetest.Run(t, o.Run)
	first := w.browser.Get(w.Mux, "/fussy")
	cookie, err := http.ParseSetCookie(first.Header.Get("Set-Cookie"))
	if err != nil {
		t.Fatal(err)
	}
	id, _, _ := strings.Cut(cookie.Value, ".") // behind it is the signature
	w.session = w.Publisher.Session(id)
	w.page = w.browser.Open(w.Mux, "/fussy")
	for n := range dead {
		w.send(t, n+1)
	}
	w.ops = livetest.Open(t, w.Mux, "/ops")
	return w
}

// send pushes to the fussy page and waits until that is dead.
func (w *world) send(t *testing.T, n int) {
	t.Helper()
	before, err := w.Transport.DeadLetters().Count(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.session.TriggerAction("Deliver", map[string]any{"n": n, "note": "<b>"}); err != nil {
		t.Fatal(err)
	}
	w.page.Wait("the dead letter", func() bool {
		now, err := w.Transport.DeadLetters().Count(t.Context())
		return err == nil && now > before
	})
}

func TestDeadLetters(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t, 2)
		for _, want := range []string{"Deliver", "rejected", "not today", "critical", "paused", w.Node.ID(), "it is embedded"} {
			if !strings.Contains(w.ops.Text(), want) {
				t.Errorf("the page lacks %q:\n%s", want, w.ops.Text())
			}
		}
		if strings.Contains(w.ops.HTML(), w.session.ID()) {
			t.Error("the page shows a session ID in full")
		}
		w.ops.Click("button[value=Show]", nil)
		if text := w.ops.TextOf("#letter"); !strings.Contains(text, `"note": "<b>"`) {
			t.Errorf("the letter's data is not shown:\n%s", text)
		}
		w.fussy.take = true
		w.ops.Click("#letter button[value=Replay]", nil)
		w.page.Wait("the replayed push", func() bool { return w.page.TextOf("#taken") == "1" })
		if n := strings.Count(w.ops.HTML(), `id="dead-`); n != 1 {
			t.Errorf("%d letters are left, want 1", n)
		}
		w.ops.Click("button[value=Purge]", nil)
		if n, err := w.Transport.DeadLetters().Count(t.Context()); err != nil || n != 1 {
			t.Errorf("the first click on Purge left %d letters, %v, want 1", n, err)
		}
		w.ops.Click("button[value=Purge]", nil)
		if n, err := w.Transport.DeadLetters().Count(t.Context()); err != nil || n != 0 {
			t.Errorf("the second click on Purge left %d letters, %v, want none", n, err)
		}
		w.ops.WaitText("None. Pushes that")
	})
}

func TestFilter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t, 1)
		w.ops.Click("Filter", map[string]any{"reason": "expired"})
		if !strings.Contains(w.ops.Text(), "None of this reason") {
			t.Errorf("filtered by another reason:\n%s", w.ops.Text())
		}
		w.ops.Click("Filter", map[string]any{"reason": "rejected"})
		if !strings.Contains(w.ops.Text(), "not today") {
			t.Errorf("filtered by its reason:\n%s", w.ops.Text())
		}
		if err := w.ops.Try("Show", map[string]any{"id": "nobody"}); err != nil || len(w.ops.State().Flashes) != 1 {
			t.Errorf("a letter that is gone: %v, %v", err, w.ops.State().Flashes)
		}
	})
}

// The page follows what happens without being touched.
func TestRefresh(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t, 0)
		time.Sleep(time.Second)
		w.send(t, 1)
		w.ops.WaitText("not today")
	})
}

func TestStoreInTrouble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t, 0)
		broken := errors.New("connection refused")
		queues := func(context.Context) ([]ops.Queue, error) { return nil, broken }
		hub, err := live.New(live.Deps{Node: w.Node, Publisher: w.Publisher, States: w.Transport.States()}, live.Config{Secret: make([]byte, 32), Logger: w.Log})
		if err != nil {
			t.Fatal(err)
		}
		_, page, err := ops.New(ops.Deps{Hub: hub, Store: w.Transport, Dead: w.Transport.DeadLetters(), Queues: queues, UI: w.UI, Node: "n", Log: w.Log})
		if err != nil {
			t.Fatal(err)
		}
		if d := livetest.NewBrowser(t).Peek(page, "/ops"); d.Status < 500 {
			t.Errorf("got status %d, want a server error", d.Status)
		}
	})
}
