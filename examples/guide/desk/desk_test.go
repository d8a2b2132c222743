package main

import (
	"log/slog"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"lastmile"
	"lastmile/jobs"
	"lastmile/jobs/jobstest"
	"lastmile/live"
	"lastmile/live/livetest"
)

// run runs the whole program on the kit's Redis until the test ends.
func run(t *testing.T, kit *jobstest.Kit) (*Desk, *lastmile.App) {
	t.Helper()
	desk := &Desk{password: "secret"}
	app, err := lastmile.New(t.Context(), lastmile.Config{
		Setup: desk.Setup, Redis: kit.Redis, Logger: slog.New(slog.DiscardHandler),
		Live: live.Config{Topics: topics, Authenticator: desk},
	})
	if err != nil {
		t.Fatal(err)
	}
	livetest.Run(t, app.Run)
	return desk, app
}

// An order goes its way: from the form to the list, through a job, and back.
func TestOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, app := run(t, jobstest.New(t))
		visitor := livetest.Open(t, app, "/")
		visitor.Submit("form", map[string]any{"item": "Tea", "pieces": "100"})

		browser := livetest.NewBrowser(t)
		browser.Post(app, "/sign-in", url.Values{"user": {"ann"}, "password": {"secret"}})
		list := browser.Open(app, "/orders")
		if failed := list.Try("Pack", map[string]any{"order": "of somebody's dreams"}); failed == nil {
			t.Error("there is no such order, and nothing was said")
		}
		list.Click("button[value=Pack]", nil)
		list.WaitText("running")
		list.Drop() // the clerk's network is gone for a minute
		time.Sleep(time.Minute)
		list.Reconnect(app)
		list.WaitText("Tea 100 sent")
		visitor.WaitText("Tea is on its way.")
	})
}

// An order that is not there yet is tried again, and packed when it is.
func TestLateOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		kit := jobstest.New(t)
		desk, _ := run(t, kit)
		h, err := packing.With(kit.Client).Enqueue(t.Context(), "late")
		if err != nil {
			t.Fatal(err)
		}
		kit.WaitState(h.ID, jobs.StateRetrying)
		if err := desk.put(t.Context(), Order{ID: "late", Item: "Cup", Pieces: 1, Session: "a session of the test"}); err != nil {
			t.Fatal(err)
		}
		if job := kit.Wait(h.ID); job.State != jobs.StateCompleted || job.Attempt != 2 {
			t.Errorf("%s after %d attempts: %s", job.State, job.Attempt, job.Error)
		}
	})
}
