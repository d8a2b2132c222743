package reports_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/cmd/internal/filestore"
	"lastmile/cmd/internal/profilejob"
	"lastmile/cmd/internal/sample"
	"lastmile/cmd/web/reports"
	"lastmile/cmd/web/webtest"
	"lastmile/jobs"
	"lastmile/jobs/jobstest"
	"lastmile/live/livetest"
)

// start serves the application in a bubble.
func start(t *testing.T, files filestore.Config) *webtest.World {
	t.Helper()
	w := webtest.New(t, files)
	err := reports.Register(w.Mux, reports.Deps{Hub: w.Hub, Jobs: w.Kit.Client, Files: w.Files, UI: w.UI, Log: w.Log, Demo: true})
	if err != nil {
		t.Fatal(err)
	}
	w.Run()
	return w
}

func waitLabel(p *livetest.Page, label string) {
	p.Wait("a report that is "+label, func() bool { return p.Has(".chip") && p.TextOf(".chip") == label })
}

// The whole chain in fake time: a click, a job that takes ten seconds, progress
// in two tabs, a report in both.
func TestSampleInEveryTab(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t, filestore.Config{})
		w.Work()
		browser := livetest.NewBrowser(t)
		one, two := browser.Open(w.Mux, "/reports"), browser.Open(w.Mux, "/reports")
		one.Click("button[value=Sample]", map[string]any{"slow": "10"})
		begun := time.Now()
		for _, p := range []*livetest.Page{one, two} {
			p.Wait("progress", func() bool { return strings.Contains(p.Text(), " rows") && p.Has("progress") })
		}
		for _, p := range []*livetest.Page{one, two} {
			waitLabel(p, "done")
			p.Wait("the report", func() bool { return p.Has("#open .chart path") })
			if text := p.TextOf("#open"); !strings.Contains(text, "10,000") || !strings.Contains(text, "Wildlife Species") {
				t.Errorf("report lacks its figures:\n%s", text)
			}
		}
		if took := time.Since(begun); took < 9*time.Second || took > 20*time.Second {
			t.Errorf("the job took %s, want about ten seconds", took)
		}
		one.Click("button[value=Close]", nil)
		if one.Has("#open") || !two.Has("#open") {
			t.Error("closing the report in one tab: want it gone there and kept in the other")
		}
		one.Click("a[live-click=Show]", nil)
		if !one.Has("#open") {
			t.Error("the report does not open again")
		}
		one.Click("button[value=Remove]", nil)
		two.WaitText("Nothing yet")
		for _, p := range []*livetest.Page{one, browser.Open(w.Mux, "/reports")} {
			if p.Has(".chip") {
				t.Errorf("the removed report is still listed:\n%s", p.Text())
			}
		}
	})
}

func TestFailingTriesAreShown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t, filestore.Config{})
		w.Work()
		p := livetest.Open(t, w.Mux, "/reports")
		p.Click("button[value=Sample]", map[string]any{"flaky": "2"})
		for _, want := range []string{"Try 1 of 6 failed", "Try 2 of 6 failed"} {
			p.WaitText(want)
			if !strings.Contains(p.Text(), "Next attempt at") {
				t.Errorf("the page does not tell when the next attempt is:\n%s", p.Text())
			}
		}
		waitLabel(p, "done")
	})
}

func TestCancelAndRetry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t, filestore.Config{})
		w.Work()
		p := livetest.Open(t, w.Mux, "/reports")
		p.Click("button[value=Sample]", map[string]any{"slow": "15"})
		p.WaitText(" rows")
		p.Click("button[value=Cancel]", nil)
		waitLabel(p, "cancelled")
		p.Click("button[value=Retry]", nil)
		waitLabel(p, "done")
	})
}

// The page says what it asked the workers for, and shows what becomes of it when
// the worker dies in the middle and another one takes over.
func TestWorkerDies(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t, filestore.Config{})
		first := w.Work()
		browser := livetest.NewBrowser(t)
		p := browser.Open(w.Mux, "/reports")
		p.Click("button[value=Sample]", map[string]any{"slow": "20"})
		p.WaitText(" rows")
		job := jobstest.RequireEnqueued(w.Kit, profilejob.Kind, "", func(a profilejob.Args) bool { return a.Slow == 20 && a.File == "" })
		first.Crash()
		died := time.Now()
		w.Work()
		p.Wait("that there is no sign of life", func() bool { return strings.Contains(p.Text(), "no sign of life") })
		if took := time.Since(died); took > 15*time.Second {
			t.Errorf("the page tells it after %v, want at most 15s", took)
		}
		info := w.Kit.Wait(job.ID) // the other worker takes it over
		waitLabel(p, "done")
		if info.State != jobs.StateCompleted || info.Attempt != 1 {
			t.Errorf("the job is %s in attempt %d, want completed in the first, as a death is none", info.State, info.Attempt)
		}
		if !browser.Open(w.Mux, "/reports").Has("#open .chart path") {
			t.Error("a fresh page lacks the report")
		}
	})
}

// What the page does while nobody works, with the job run for real afterwards.
func TestPageEnqueues(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t, filestore.Config{})
		p := livetest.Open(t, w.Mux, "/reports")
		p.Click("button[value=Sample]", map[string]any{"flaky": "1"})
		job := jobstest.RequireEnqueued(w.Kit, profilejob.Kind, "", nil)
		if args, err := profilejob.Kind.Args(job); err != nil || args.Flaky != 1 || args.Size != int64(len(sample.CSV)) || job.State != jobs.StateQueued {
			t.Errorf("the page enqueued %+v with %+v, %v", job, args, err)
		}
		w.Work()
		w.Kit.Drain()
		waitLabel(p, "done")
	})
}

// Another session's job can be neither cancelled nor shown by its ID.
func TestJobsOfOthersAreOutOfReach(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t, filestore.Config{})
		w.Work()
		mine, other := livetest.Open(t, w.Mux, "/reports"), livetest.Open(t, w.Mux, "/reports")
		mine.Click("button[value=Sample]", map[string]any{"slow": "5"})
		mine.WaitText(" rows")
		_, rest, _ := strings.Cut(mine.HTML(), `id="job-`)
		id, _, _ := strings.Cut(rest, `"`)
		for _, action := range []string{"Cancel", "Retry", "Remove", "Show"} {
			if err := other.Try(action, map[string]any{"id": id}); err != nil {
				t.Errorf("%s: %+v", action, err)
			}
		}
		waitLabel(mine, "done")
		if other.Has(".chip") || other.Has("#open") {
			t.Errorf("a stranger's job is shown:\n%s", other.Text())
		}
		if err := other.Try("ReportDone", map[string]any{"rows": 1}); err == nil {
			t.Error("a browser may send ReportDone")
		}
	})
}

// Without JavaScript: form, redirect, reload. The job ends while no page is
// open, and the next one shows the report.
func TestWithoutJavaScript(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t, filestore.Config{})
		b := livetest.NewBrowser(t)
		page := b.Get(w.Mux, "/reports").Submit("button[value=Sample]", nil)
		if !strings.Contains(page.Text(), "waiting") {
			t.Errorf("after the form:\n%s", page.Text())
		}
		w.Work()
		time.Sleep(time.Minute)
		if page = b.Get(w.Mux, "/reports"); !page.Has("#open .chart path") || !strings.Contains(page.Text(), "done") {
			t.Errorf("after the job:\n%s", page.Text())
		}
		if page = page.Submit("button[value=Close]", nil); !strings.Contains(page.Text(), "done") {
			t.Errorf("after a second form:\n%s", page.Text())
		}
	})
}

// A worker that never comes back: the job is still listed by a fresh page, and
// another worker finishes it.
func TestListSurvivesWithoutWorker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t, filestore.Config{})
		b := livetest.NewBrowser(t)
		p := b.Open(w.Mux, "/reports")
		p.Click("button[value=Sample]", nil)
		waitLabel(p, "waiting")
		p.Close()
		p = b.Open(w.Mux, "/reports")
		waitLabel(p, "waiting")
		w.Work()
		waitLabel(p, "done")
	})
}

func TestUnknownReportInAddress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := start(t, filestore.Config{})
		page := livetest.NewBrowser(t).Get(w.Mux, "/reports?report=nobody")
		if page.Status != http.StatusOK || page.Has("#open") {
			t.Errorf("got status %d:\n%s", page.Status, page.HTML)
		}
	})
}
