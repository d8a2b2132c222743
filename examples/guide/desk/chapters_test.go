package main

import (
	"log/slog"
	"testing"

	"go.uber.org/goleak"

	"lastmile"
	"lastmile/devredis"
	"lastmile/live/livetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs the order desk as main does.
func start(t *testing.T) *lastmile.App {
	t.Helper()
	desk := &Desk{}
	app, err := lastmile.New(t.Context(), lastmile.Config{Setup: desk.Setup, Development: devredis.Open, Logger: slog.New(slog.DiscardHandler)})
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
	if plain = plain.Submit("button", map[string]string{"item": "Cup"}); plain.Status != 200 {
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
