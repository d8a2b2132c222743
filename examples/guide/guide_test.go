package guide_test

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"lastmile"
	"lastmile/devredis"
	"lastmile/examples/guide"
	"lastmile/live/livetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestChapters does what the guide says, in its order.
func TestChapters(t *testing.T) {
	t.Parallel()
	app, err := lastmile.New(t.Context(), lastmile.Config{Development: devredis.Open, Setup: guide.Setup, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	livetest.Run(t, app.Run)
	browser := livetest.NewBrowser(t)
	tab := browser.Open(app, "/")
	if got := tab.TextOf("b"); got != "0" {
		t.Errorf("the first page shows %q", got)
	}
	tab.Click("Add", nil)
	tab.WaitText("1")

	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "/tell", strings.NewReader("text=hello+there"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if res, body := browser.Do(app, req); res.StatusCode != http.StatusOK { //nolint:bodyclose // Do has read and closed it
		t.Errorf("POST /tell: %s %s", res.Status, body)
	}
	tab.WaitText("hello there")

	tab.Click("Later", nil)
	tab.WaitText("101")
}
