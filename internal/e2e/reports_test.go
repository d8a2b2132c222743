package e2e_test

import (
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"lastmile/internal/browser"
)

// TestBrowserReports drives the Reports application in two tabs that are
// connected to different nodes.
func TestBrowserReports(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	ctx := browser.New(t)
	one := openTab(t, ctx, c.webs[0].addr)
	one.shootAll("reports-empty")
	two := openTab(t, browser.Tab(ctx, t), c.webs[1].addr)
	browser.Quiet(one.ctx, t)
	browser.Quiet(two.ctx, t)

	one.startSample()
	one.waitMoving(20)
	two.waitMoving(20)
	one.shootAll("reports-running")
	one.waitDone()
	two.waitDone()
	for _, p := range []*tab{one, two} {
		p.checkOneEnd()
		p.checkForward()
	}
	one.shootAll("reports-done")
	logTicks(t, two.seen().Frames)

	one.cancelAndRetry(two)
	one.upload()
}

// hero takes README's picture: a job under way above a finished report.
func (p *tab) hero() {
	p.t.Helper()
	p.shoot("hero", 1280, "light")
	png, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		p.t.Fatalf("screenshot: %v", err)
	}
	p.keep("hero", png)
}

// cancelTries is how many jobs of ten seconds a busy machine may finish before
// its browser has pressed a button.
const cancelTries = 10

// cancelAndRetry ends a job in one tab, which the other sees, and runs it again.
func (p *tab) cancelAndRetry(other *tab) {
	p.t.Helper()
	if *screenshots != "" {
		p.startSample()
		p.waitMoving(10)
		p.hero()
		p.waitDone()
	}
	for try := 1; !p.cancelled(); try++ {
		if try == cancelTries {
			p.t.Fatalf("%d jobs were over before they could be cancelled", try)
		}
	}
	browser.WaitFor(other.ctx, p.t, `document.querySelector('.list .chip').textContent === 'cancelled'`)
	browser.Eval[string](p.ctx, p.t, `document.querySelector('.list button[value=Retry]').click(), ''`)
	p.waitDone()
}

// cancelled starts a job and cancels it as soon as it moves. It reports false
// when the job was over first.
func (p *tab) cancelled() bool {
	p.t.Helper()
	const rows = `document.querySelectorAll('.list .chip').length`
	before := browser.Eval[int](p.ctx, p.t, rows)
	p.startSample()
	browser.WaitFor(p.ctx, p.t, fmt.Sprintf(`%s > %d && (document.querySelector('.list progress')?.value > 5 || document.querySelector('.list .chip').textContent === 'done')`, rows, before))
	browser.Eval[string](p.ctx, p.t, `document.querySelector('.list button[value=Cancel]')?.click(), ''`)
	browser.WaitFor(p.ctx, p.t, `['cancelled', 'done'].includes(document.querySelector('.list .chip').textContent)`)
	return p.label() == "cancelled"
}

// logTicks puts the sizes of the frames that moved the progress on record.
func logTicks(t *testing.T, frames []string) {
	t.Helper()
	var sizes []int
	example := ""
	for _, f := range frames {
		if strings.Contains(f, " rows") && len(f) < 500 {
			sizes, example = append(sizes, len(f)), f
		}
	}
	if len(sizes) == 0 {
		t.Error("no frame moved the progress")
		return
	}
	sum := 0
	for _, n := range sizes {
		sum += n
	}
	t.Logf("report: %d progress ticks, %d bytes each on average, such as %s", len(sizes), sum/len(sizes), example)
}

// upload sends files through the form, good and broken ones. Each brings a new
// page. The old one may show the job's end before that: what is sent from it
// while the new one loads goes the way of every page that is being left.
func (p *tab) upload() {
	p.t.Helper()
	for _, tt := range []struct{ name, content, want string }{
		{"small.csv", "city,people\nBern,134591\nBasel,173232\n", "done"},
		{"broken.csv", "a,b\n1,2\n3,\"4\n5,6\n", "line 3"},
	} {
		browser.Eval[string](p.ctx, p.t, fmt.Sprintf(`(() => {
			const input = document.querySelector('#file'), files = new DataTransfer();
			files.items.add(new File([%q], %q, {type: 'text/csv'}));
			input.files = files.files;
			window.left = true;
			input.form.requestSubmit();
			return '';
		})()`, tt.content, tt.name))
		browser.WaitFor(p.ctx, p.t, `!window.left && seen.frames.length > 0`)
		browser.WaitFor(p.ctx, p.t, fmt.Sprintf(`[...document.querySelectorAll('.list li')].some((li) => li.textContent.includes(%q) && li.textContent.includes(%q))`, tt.name, tt.want))
	}
}

// TestReportsWithoutJavaScript uses the application as a plain web site.
func TestReportsWithoutJavaScript(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	client := newVisitor(t)
	base := c.proxy.URL() + "/reports"
	if status, body, err := get(t.Context(), client, base); status != http.StatusOK || !strings.Contains(body, "Nothing yet") {
		t.Fatalf("first page: %d, %v:\n%s", status, err, body)
	}
	post(t, client, base, url.Values{"live-action": {"Sample"}})
	body := waitPage(t, client, base, ">done<")
	for _, want := range []string{"10,000", "svg class=\"chart\"", "Wildlife Species"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	t.Logf("report: page with a report: %d bytes of HTML", len(body))
}

func newVisitor(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{DisableKeepAlives: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Jar: jar, Transport: transport}
}

// post sends a form and follows its redirect.
func post(t *testing.T, client *http.Client, address string, form url.Values) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := res.Body.Close(); err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("post: %s, %v", res.Status, err)
	}
}
