package reports_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/cmd/internal/filestore"
	"lastmile/live/livetest"
)

// TestFigures: the least and the most are shown as they are in the file, a mean with
// few digits has the others beside it, and what was taken for missing is told.
func TestFigures(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t, filestore.Config{})
		b := livetest.NewBrowser(t)
		kind, body := form(t, "a.csv", "lon,near,code,n\n"+
			"52.52,1000000000.001,NA,1\n13.405,1000000000.002,DE,NA\n-33.86,1000000000.004,NO,12345\n151.2,1000000000.005,SE,2\n")
		if status, page := post(b, w, kind, body); status != 303 {
			t.Fatalf("status %d: %s", status, page)
		}
		w.Work()
		time.Sleep(time.Minute)
		page := b.Get(w.Mux, "/reports")
		for _, want := range []string{
			`data-label="Least">-33.86<`, `data-label="Most">151.2<`, `data-label="Median" title="32.9625">32.96<`,
			`data-label="Least">1,000,000,000.001<`, `data-label="Most">1,000,000,000.005<`, `data-label="Median">1,000,000,000.003<`,
			`data-label="Most">12,345<`, "NA taken for missing",
		} {
			if !strings.Contains(page.HTML, want) {
				t.Errorf("no %s in\n%s", want, page.HTML)
			}
		}
		if strings.Count(page.HTML, "taken for missing") != 1 {
			t.Error("a code is taken for missing")
		}
	})
}

// TestReportBeingReadStays: another one that is done does not take its place.
func TestReportBeingReadStays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t, filestore.Config{})
		b := livetest.NewBrowser(t)
		p := b.Open(w.Mux, "/reports")
		w.Work()
		send := func(name, content string) {
			t.Helper()
			kind, body := form(t, name, content)
			if status, page := post(b, w, kind, body); status != 303 {
				t.Fatalf("status %d: %s", status, page)
			}
			time.Sleep(time.Minute)
		}
		send("first.csv", "x\n1\n2\n")
		if got := p.TextOf("#report"); got != "first.csv" {
			t.Errorf("the first report is shown as %q", got)
		}
		send("second.csv", "x\n3\n")
		if got := p.TextOf("#report"); got != "first.csv" || !strings.Contains(p.Text(), "second.csv") {
			t.Errorf("while the first one is read, %q is shown", got)
		}
		send("torn.csv", "x,y\n1,2\n3\n")
		if !strings.Contains(p.Text(), "failed") || p.Has("button[value=Retry]") {
			t.Errorf("a file with a fault may be tried again:\n%s", p.Text())
		}
	})
}
