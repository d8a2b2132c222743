package home_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/cmd/internal/filestore"
	"lastmile/cmd/web/home"
	"lastmile/cmd/web/webtest"
	"lastmile/jobs/jobstest"
	"lastmile/live/livetest"
)

// start serves the page in a bubble, with two workers.
func start(t *testing.T) (w *webtest.World, first, second *jobstest.Worker) {
	t.Helper()
	w = webtest.New(t, filestore.Config{})
	follow, err := home.Register(w.Mux, home.Deps{Hub: w.Hub, Jobs: w.Kit.Client, UI: w.UI, Log: w.Log})
	if err != nil {
		t.Fatal(err)
	}
	w.Run()
	livetest.Run(t, follow)
	return w, w.Work(), w.Work()
}

// count counts the hops that look so.
func count(p *livetest.Page, state string) int {
	return strings.Count(p.HTML(), `class="hop `+state+`"`)
}

// TestTrip sends a job, and follows it to the page and to one that is loaded later.
func TestTrip(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, _, _ := start(t)
		b := livetest.NewBrowser(t)
		p := b.Open(w.Mux, "/")
		if n := count(p, "done"); n != 0 || p.TextOf("#applied") != "Applied 0 of 0" {
			t.Errorf("at first: %d hops done, %s", n, p.TextOf("#applied"))
		}
		p.Click("button.primary", nil)
		p.WaitText("has it")
		if done, now := count(p, "done"), count(p, "now"); done != 1 || now != 1 {
			t.Errorf("under way: %d hops done, %d now", done, now)
		}
		p.WaitText("Applied 1 of 1")
		if n := count(p, "done"); n != 10 {
			t.Errorf("arrived: %d hops done", n)
		}
		p.WaitText("2.00 s of work")
		b.Open(w.Mux, "/").WaitText("Applied 1 of 1")
	})
}

// TestDeath: the strip tells of the death of the worker, and the result comes once.
func TestDeath(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, first, second := start(t)
		p := livetest.Open(t, w.Mux, "/")
		p.Click("button.primary", nil)
		p.WaitText("has it")
		first.Crash()
		second.Crash()
		w.Work()
		p.WaitText("another one takes over")
		if n := count(p, "broken"); n != 1 {
			t.Errorf("%d hops are broken", n)
		}
		p.WaitText("It runs again")
		p.WaitText("Applied 1 of 1")
		time.Sleep(time.Minute)
		if got := p.TextOf("#applied"); got != "Applied 1 of 1" {
			t.Errorf("a minute later: %s", got)
		}
	})
}

// TestNothingToBreak: outside the demonstration the page has no buttons, and says so
// to who sends the action all the same.
func TestNothingToBreak(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, _, _ := start(t)
		p := livetest.Open(t, w.Mux, "/")
		if p.Has("#break") || !strings.Contains(p.Text(), "make demo") {
			t.Errorf("the page:\n%s", p.Text())
		}
		if err := p.Try("Break", map[string]any{"process": "web-1", "do": "kill"}); err == nil || !strings.Contains(err.Message, "nothing to break") {
			t.Errorf("the action: %v", err)
		}
	})
}
