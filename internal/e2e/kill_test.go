package e2e_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"lastmile/internal/browser"
	"lastmile/internal/patience"
)

// TestKillWorkerMidJob: the worker dies by SIGKILL in the middle of a job. The
// page is told that nothing is heard of it, another worker does it again, and
// the page gets exactly one completion.
func TestKillWorkerMidJob(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	p := openTab(t, browser.New(t), c.proxy.Addr())
	p.startSample()
	p.waitMoving(20)
	job := c.onlyJob()
	c.worker.Kill()
	killed := time.Now()
	// It was the last one: the web nodes watch too.
	browser.WaitFor(p.ctx, t, `seen.labels.includes("no sign of life")`)
	t.Logf("report: the tab was told that the job stalled %v after its worker was killed", time.Since(killed).Round(time.Second))
	c.startWorker()
	p.waitDone()
	t.Logf("report: completed %v after its worker was killed", time.Since(killed).Round(time.Second))
	p.checkOneEnd()
	if c.ask(&job, "show", job.ID); job.State != "completed" || job.Attempt != 1 || job.Gen != 1 {
		t.Errorf("the job is %+v, want it completed in the first attempt, as a death is none", job)
	}
}

// TestKillWebNode: the web node that holds the tab's connection dies by SIGKILL
// while a job runs. The tab goes on over the other one.
func TestKillWebNode(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	p := openTab(t, browser.New(t), c.proxy.Addr())
	p.startSample()
	p.waitMoving(10)
	for _, n := range c.webs { // one after the other, so that one of them held it
		browser.Eval[float64](p.ctx, t, `window.before = seen.frames.length`)
		held := c.proxy.Open(n.addr) > 0
		n.Kill()
		killed := time.Now()
		browser.WaitFor(p.ctx, t, `seen.frames.length > before`)
		if held {
			t.Logf("report: a frame %v after its web node was killed", time.Since(killed).Round(time.Millisecond))
		}
		c.startWeb(n)
		c.waitReady(n)
	}
	p.waitDone()
	p.checkOneEnd()
	p.checkForward()
}

// TestClosedBrowserFindsResult: everything that looks at the session is closed,
// the job ends, and the next page has the result in its first HTML.
func TestClosedBrowserFindsResult(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	ctx := browser.New(t)
	p := openTab(t, browser.Tab(ctx, t), c.proxy.Addr())
	p.startSample()
	p.waitMoving(10)
	job := c.onlyJob()
	if err := chromedp.Cancel(p.ctx); err != nil {
		t.Fatalf("close the tab: %v", err)
	}
	patience.UntilSaid(t, "the end of the job", func() (bool, string) {
		c.ask(&job, "show", job.ID)
		return job.State == "completed", job.State
	})
	again := openTab(t, ctx, c.proxy.Addr())
	if got := again.seen().Labels; !slices.Equal(got, []string{"done"}) {
		t.Errorf("the page opened with %q, want done at once", got)
	}
	again.waitDone()
}

// TestRestartRedisMidJob: Redis dies by SIGKILL in the middle of a job and comes
// back with its append-only file. Nothing accepted is lost.
func TestRestartRedisMidJob(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	p := openTab(t, browser.New(t), c.proxy.Addr())
	p.startSample()
	for _, percent := range []float64{10, 50} {
		p.waitMoving(percent)
		c.redis.Kill()
		c.redis.Restart()
	}
	p.waitDone()
	p.checkOneEnd()
	p.checkForward()
}

// TestJobOutlivesItsPage: a job is started without JavaScript, every process is
// killed, and the result is on the page when all is back.
func TestJobOutlivesItsPage(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	client := newVisitor(t)
	base := c.proxy.URL() + "/reports"
	post(t, client, base, url.Values{"live-action": {"Sample"}, "slow": {"10"}})
	waitPage(t, client, base, "<progress")
	for _, n := range c.webs {
		n.Kill()
	}
	c.worker.Kill()
	c.redis.Kill()
	c.redis.Restart()
	for _, n := range c.webs {
		c.startWeb(n)
	}
	c.startWorker()
	for _, n := range c.webs {
		c.waitReady(n)
	}
	body := waitPage(t, client, base, ">done<")
	if n := strings.Count(body, ">done<"); n != 1 {
		t.Errorf("the page lists %d reports that are done, want 1", n)
	}
}

// waitPage fetches a page until it holds a text.
func waitPage(t *testing.T, client *http.Client, address, want string) string {
	t.Helper()
	var body string
	patience.UntilSaid(t, "a page with "+want, func() (bool, string) {
		var err error
		_, body, err = get(t.Context(), client, address)
		return err == nil && strings.Contains(body, want), body
	})
	return body
}
