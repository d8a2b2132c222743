package recipes_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"lastmile"
	"lastmile/examples/recipes"
	"lastmile/live"
	"lastmile/live/livetest"
	"lastmile/push/pushtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// run runs the recipes until the test ends.
func run(t *testing.T) *lastmile.App {
	t.Helper()
	app, err := lastmile.New(t.Context(), lastmile.Config{
		Redis: pushtest.NewRedis(t).Client(t), Setup: recipes.Setup, Live: live.Config{Topics: recipes.Topics}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	livetest.Run(t, app.Run)
	return app
}

func TestSearch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		app := run(t)
		page := livetest.Open(t, app, "/search")
		page.Click("Search", map[string]any{"find": "be"})
		if got := page.TextOf("ul"); got != "Berlin Bern Bergen" {
			t.Errorf("found %q", got)
		}
		page.Reconnect(app)
		if got := page.TextOf("ul"); got != "Berlin Bern Bergen" {
			t.Errorf("after a reconnect %q", got)
		}
		if got := livetest.NewBrowser(t).Get(app, "/search").Submit("button", map[string]string{"find": "zz"}).Status; got != http.StatusOK {
			t.Errorf("without JavaScript: %d", got)
		}
	})
}

// Who asked for the job and went elsewhere is told there.
func TestToast(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		app := run(t)
		browser := livetest.NewBrowser(t)
		page := browser.Open(app, "/exports")
		page.Click("Export", nil)
		page.Close()
		time.Sleep(time.Minute)
		if html := browser.Get(app, "/elsewhere").HTML; !strings.Contains(html, "orders.csv is ready.") {
			t.Errorf("not told:\n%s", html)
		}
		if html := browser.Get(app, "/elsewhere").HTML; strings.Contains(html, "orders.csv") {
			t.Errorf("told twice:\n%s", html)
		}
		elsewhere := browser.Open(app, "/elsewhere")
		page = browser.Open(app, "/exports")
		page.Click("Export", nil)
		elsewhere.Wait("the message", func() bool { return len(elsewhere.State().Flashes) > 0 })
	})
}

func TestPresence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		app := run(t)
		ann, bob := livetest.Open(t, app, "/presence?name=Ann"), livetest.Open(t, app, "/presence?name=Bob")
		both := func(p *livetest.Page) bool { return p.TextOf("ul") == "Ann Bob" }
		ann.Wait("both", func() bool { return both(ann) })
		bob.Wait("both", func() bool { return both(bob) })
		bob.Reconnect(app)
		bob.Wait("both", func() bool { return both(bob) })
		time.Sleep(time.Minute) // the former connection has ended by now
		if !both(ann) {
			t.Errorf("after a reconnect: %q", ann.TextOf("ul"))
		}
		bob.Close()
		ann.Wait("Ann alone", func() bool { return ann.TextOf("ul") == "Ann" })
	})
}

func TestChat(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		app := run(t)
		ann, bob := livetest.Open(t, app, "/chat"), livetest.Open(t, app, "/chat")
		ann.Submit("form", map[string]any{"text": "hello"})
		bob.WaitText("hello")
		bob.Submit("form", map[string]any{"text": "<b>hello</b>"})
		ann.WaitText("<b>hello</b>")
		if failed := ann.Try("Say", map[string]any{"text": "  "}); failed == nil {
			t.Error("nothing was said, and taken")
		}
		if got := livetest.NewBrowser(t).Get(app, "/chat").Text(); !strings.Contains(got, "hello") {
			t.Errorf("who comes later reads %q", got)
		}
	})
}

func TestWebhook(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		app := run(t)
		page := livetest.Open(t, app, "/hook")
		page.Click("Open", nil)
		call := func(path, text string) int {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader("text="+text))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set("Idempotency-Key", text)
			w := httptest.NewRecorder()
			app.ServeHTTP(w, r)
			return w.Code
		}
		for _, text := range []string{"one", "one", "two"} {
			if got := call(page.TextOf("code"), text); got != http.StatusAccepted {
				t.Errorf("%s: %d", text, got)
			}
		}
		page.WaitText("two")
		if got := page.TextOf("ol"); got != "one two" {
			t.Errorf("called %q", got)
		}
		if got := call("/hooks/guessed", "three"); got != http.StatusNotFound {
			t.Errorf("a guess: %d", got)
		}
	})
}

func TestTimer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		app := run(t)
		page := livetest.Open(t, app, "/timer")
		page.Click("button[value=Set]", map[string]any{"minutes": "10"})
		page.Click("button[value=Clear]", nil)
		page.WaitText("Not set.")
		page.Click("button[value=Set]", map[string]any{"minutes": "2"})
		time.Sleep(119 * time.Second)
		if got := page.TextOf("p"); !strings.HasPrefix(got, "Set for") {
			t.Errorf("too early: %q", got)
		}
		page.WaitText("It rang.")
	})
}
