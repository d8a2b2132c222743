package main

import (
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"lastmile"
	"lastmile/devredis"
	"lastmile/live"
	"lastmile/live/livetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs the order desk as main does.
func start(t *testing.T) *lastmile.App {
	t.Helper()
	desk := &Desk{password: "of the desk"}
	app, err := lastmile.New(t.Context(), lastmile.Config{
		Setup: desk.Setup, Development: devredis.Open, Logger: slog.New(slog.DiscardHandler),
		Live: live.Config{Topics: topics, Authenticator: desk},
	})
	if err != nil {
		t.Fatal(err)
	}
	livetest.Run(t, app.Run)
	return app
}

// What is wrong stands at its field, with and without JavaScript, and what is
// right is ordered once.
func TestForm(t *testing.T) {
	t.Parallel()
	app := start(t)
	page := livetest.Open(t, app, "/")
	failed := page.Try("Order", map[string]any{"item": "Tea", "pieces": "many"})
	if failed == nil || failed.Message != "Not ordered yet." {
		t.Fatalf("got %v", failed)
	}
	if got := page.TextOf("b"); got != "From 1 to 100." {
		t.Errorf("the field says %q", got)
	}
	page.Submit("form", map[string]any{"item": "Tea", "pieces": "2"})
	if flashes := page.State().Flashes; len(flashes) != 1 || flashes[0] != [2]string{"info", "Ordered: Tea"} {
		t.Errorf("got %v", flashes)
	}

	plain := livetest.NewBrowser(t).Get(app, "/").Submit("button", map[string]string{"item": " ", "pieces": "2"})
	if plain.Status != 422 || !plain.Has("input[value=2]") {
		t.Errorf("without JavaScript: %d\n%s", plain.Status, plain.HTML)
	}
	if plain = plain.Submit("button", map[string]string{"item": "Cup", "pieces": "2"}); plain.Status != 200 {
		t.Errorf("the second try: %d\n%s", plain.Status, plain.HTML)
	}
}

// The address is enough to see the same again.
func TestMenu(t *testing.T) {
	t.Parallel()
	app := start(t)
	page := livetest.Open(t, app, "/menu")
	page.Submit("form", map[string]any{"find": "TEA"})
	if got := page.Address(); got != "/menu?find=TEA" {
		t.Errorf("the address is %q", got)
	}
	if got := page.TextOf("ul"); got != "Black tea Green tea Teapot" {
		t.Errorf("found %q", got)
	}
	page.Back()
	page.WaitText("Spoon")
	browser := livetest.NewBrowser(t)
	if doc := browser.Get(app, "/menu?find=spoon"); doc.Has("a[href=/?item=Cup]") || !doc.Has("a[href=/?item=Spoon]") {
		t.Errorf("opened by its address:\n%s", doc.HTML)
	}
	if doc := browser.Get(app, "/?item=Spoon"); !doc.Has("input[value=Spoon]") {
		t.Errorf("the form for an item:\n%s", doc.HTML)
	}
}

// signIn returns a browser of a clerk.
func signIn(t *testing.T, app *lastmile.App) *livetest.Browser {
	t.Helper()
	browser := livetest.NewBrowser(t)
	doc := browser.Post(app, "/sign-in", url.Values{"user": {"ann"}, "password": {"of the desk"}})
	if doc.Status != http.StatusOK || !strings.Contains(doc.Text(), "Orders") {
		t.Fatalf("signed in: %d\n%s", doc.Status, doc.HTML)
	}
	return browser
}

// The list shows what is ordered while it is open, and is in its address.
func TestList(t *testing.T) {
	t.Parallel()
	app := start(t)
	clerk := signIn(t, app)
	list, sent := clerk.Open(app, "/orders"), clerk.Open(app, "/orders?show=sent")
	form := livetest.Open(t, app, "/")
	for range pageSize + 1 {
		form.Submit("form", map[string]any{"item": "Tea", "pieces": "2"})
	}
	form.Submit("form", map[string]any{"item": "Cup", "pieces": "1"})
	list.WaitText("Cup")
	list.WaitText("Next page")
	if got := sent.TextOf("table"); got != "No orders." {
		t.Errorf("sent: %q", got)
	}
	list.Click("button[value=new]", nil)
	if got := list.Address(); got != "/orders?show=new" {
		t.Errorf("the address is %q", got)
	}
	if doc := clerk.Get(app, "/orders?page=1&show=new"); strings.Count(doc.HTML, "<tr") != 2 || strings.Contains(doc.HTML, "Next page") {
		t.Errorf("the second page:\n%s", doc.HTML)
	}
	list.Reconnect(app)
	list.WaitText("Cup")
}

// Who has not signed in sees no orders, and who signs out sees them no more.
func TestSignIn(t *testing.T) {
	t.Parallel()
	app := start(t)
	stranger := livetest.NewBrowser(t)
	if doc := stranger.Get(app, "/orders"); doc.Header.Get("Location") != "/sign-in" {
		t.Errorf("a stranger is shown\n%s", doc.HTML)
	}
	if doc := stranger.Post(app, "/sign-in", url.Values{"user": {"ann"}, "password": {"guess"}}); doc.Status != http.StatusUnprocessableEntity {
		t.Errorf("a guess: %d", doc.Status)
	}
	act := url.Values{"live-action": {"Filter"}, "show": {"new"}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "/orders", strings.NewReader(act.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if res, body := stranger.Do(app, req); res.Header.Get("Location") != "/sign-in" { //nolint:bodyclose // Do has read and closed it
		t.Errorf("a stranger's action: %s %v\n%s", res.Status, res.Header, body)
	}
	if ws, err := stranger.Dial(app, "/orders"); err == nil {
		_ = ws.CloseNow()
		t.Error("a stranger's WebSocket is let in")
	}
	clerk := signIn(t, app)
	list := clerk.Open(app, "/orders")
	if got := list.TextOf("form"); !strings.HasPrefix(got, "ann") {
		t.Errorf("signed in: %q", got)
	}
	if doc := clerk.Post(app, "/sign-out", nil); doc.Status != http.StatusOK {
		t.Errorf("signing out: %d", doc.Status)
	}
	if code := list.WaitClosed(); code != 4004 {
		t.Errorf("the open list was closed with %d", code)
	}
	if doc := clerk.Get(app, "/orders"); doc.Header.Get("Location") != "/sign-in" {
		t.Errorf("after that:\n%s", doc.HTML)
	}
}

// A job packs, tells how far it is, can be stopped, and tells who ordered.
func TestWork(t *testing.T) {
	t.Parallel()
	app := start(t)
	clerk := signIn(t, app)
	list, form := clerk.Open(app, "/orders"), livetest.Open(t, app, "/")
	form.Submit("form", map[string]any{"item": "Tea", "pieces": "2"})
	list.WaitText("Tea")
	list.Click("button[value=Pack]", nil)
	list.WaitText("Tea 2 sent")
	form.WaitText("Tea is on its way.")

	form.Submit("form", map[string]any{"item": "Spoon", "pieces": "100"})
	list.WaitText("Spoon")
	list.Click("button[value=Pack]", nil)
	list.Wait("progress", func() bool { return list.Has("progress") })
	list.Click("button[value=Stop]", nil)
	list.WaitText("cancelled")
}

// The end of many jobs is one message.
func TestBatch(t *testing.T) {
	t.Parallel()
	app := start(t)
	clerk := signIn(t, app)
	list, form := clerk.Open(app, "/orders"), livetest.Open(t, app, "/")
	if failed := list.Try("PackAll", nil); failed == nil {
		t.Error("nothing was packed, and nothing said")
	}
	for _, item := range []string{"Cup", "Sugar", "Teapot"} {
		form.Submit("form", map[string]any{"item": item, "pieces": "1"})
		list.WaitText(item)
	}
	list.Click("PackAll", nil)
	list.Wait("the end", func() bool { return len(list.State().Flashes) > 0 })
	if got := list.State().Flashes[0]; got != [2]string{"info", "2 sent, 1 not"} {
		t.Errorf("told %v", got)
	}
}

// A page that is not live hears of the same job.
func TestTrack(t *testing.T) {
	t.Parallel()
	app := start(t)
	customer := livetest.NewBrowser(t)
	customer.Get(app, "/").Submit("button", map[string]string{"item": "Tea", "pieces": "1"})
	list := signIn(t, app).Open(app, "/orders")
	list.Click("button[value=Pack]", nil)
	for _, part := range []string{"/track.js", "/push/push.js"} {
		if doc := customer.Get(app, part); doc.Status != http.StatusOK || !strings.Contains(doc.Header.Get("Content-Type"), "javascript") {
			t.Errorf("%s: %d %v", part, doc.Status, doc.Header)
		}
	}
	if doc := customer.Get(app, "/track"); !doc.Has("#sent") {
		t.Errorf("the page:\n%s", doc.HTML)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/push/events?actions=Sent&wait=25", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/json")
	if res, body := customer.Do(app, req); !strings.Contains(body, "Tea is on its way.") { //nolint:bodyclose // Do has read and closed it
		t.Errorf("the reader: %s %s", res.Status, body)
	}
}

// Web and worker are the same program in two processes.
func TestTwoProcesses(t *testing.T) {
	t.Parallel()
	client, closeAll, err := devredis.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(closeAll)
	apps := map[lastmile.Role]*lastmile.App{}
	for _, role := range []lastmile.Role{lastmile.Web, lastmile.Worker} {
		desk := &Desk{password: "of the desk", metrics: "127.0.0.1:0"}
		apps[role], err = lastmile.New(t.Context(), lastmile.Config{
			Setup: desk.Setup, Redis: client, Role: role, Logger: slog.New(slog.DiscardHandler),
			Live: live.Config{Topics: topics, Authenticator: desk},
		})
		if err != nil {
			t.Fatal(err)
		}
		livetest.Run(t, apps[role].Run)
	}
	form := livetest.Open(t, apps[lastmile.Web], "/")
	form.Submit("form", map[string]any{"item": "Tea", "pieces": "1"})
	signIn(t, apps[lastmile.Web]).Open(apps[lastmile.Web], "/orders").Click("button[value=Pack]", nil)
	form.WaitText("Tea is on its way.")
}
