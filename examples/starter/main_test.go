package main

import (
	"strings"
	"testing"

	"lastmile"
	"lastmile/devredis"
	"lastmile/live/livetest"
)

// TestCount opens the page, clicks, and waits for what the job says.
func TestCount(t *testing.T) {
	t.Parallel()
	app, err := lastmile.New(t.Context(), lastmile.Config{Development: devredis.Open, Setup: setup})
	if err != nil {
		t.Fatal(err)
	}
	livetest.Run(t, app.Run)

	page := livetest.Open(t, app, "/")
	page.Click("button", map[string]any{"to": "5"})
	page.WaitText("counted to 5")
	if html := livetest.NewBrowser(t).Get(app, "/").HTML; strings.Contains(html, "counted to") {
		t.Errorf("a stranger sees it too: %s", html)
	}
}
