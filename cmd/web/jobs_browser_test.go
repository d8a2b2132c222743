package main_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"lastmile/cmd/internal/programtest"
	"lastmile/internal/browser"
	"lastmile/internal/redistest"
	"lastmile/jobs"
	"lastmile/push"
	"lastmile/push/redisstream"
)

type work struct {
	Name string `json:"name"`
}

// worker runs jobs that fail once, those named "hang" until they are cancelled.
func worker(t *testing.T, server *redistest.Server) (enqueue func(name string, opts ...jobs.Option)) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	rdb := server.Client(t)
	transport, err := redisstream.New(rdb, redisstream.Config{Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	publisher, err := push.NewPublisher(transport, push.PublisherConfig{Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	pool, err := jobs.NewPool(rdb, publisher, jobs.PoolConfig{ClientConfig: jobs.ClientConfig{Logger: log}})
	if err != nil {
		t.Fatal(err)
	}
	kind := jobs.Define[work, work]("mail.send", jobs.MaxRetry(1), jobs.RetryBackoff(time.Millisecond, time.Millisecond))
	kind.Handle(pool, func(ctx context.Context, j *jobs.Job[work]) (work, error) {
		switch {
		case j.Args.Name == "hang":
			j.Progress(0.4, "waiting for the mail server")
			<-ctx.Done()
			return work{}, ctx.Err()
		case j.Args.Name == "bad" && j.Gen == 1:
			return work{}, fmt.Errorf("connection refused by <mail.example>: %w", errors.ErrUnsupported)
		}
		return j.Args, nil
	})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- pool.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return func(name string, opts ...jobs.Option) {
		t.Helper()
		if _, err := kind.With(pool.Client()).Enqueue(t.Context(), work{name}, append(opts, jobs.ID(name))...); err != nil {
			t.Fatal(err)
		}
	}
}

// chip is the state that the page's list shows of a job.
func chip(id, state string) string {
	return fmt.Sprintf(`document.querySelector('#job-%s .chip')?.textContent === %q`, id, state)
}

// TestBrowserJobs is an operator with the jobs page: it follows what happens
// without a click, finds, shows, cancels and retries, and fits on a phone.
func TestBrowserJobs(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Config{})
	enqueue := worker(t, server)
	p := programtest.Start(t, nil, "--addr=127.0.0.1:0", "--log-format=json", "--redis-url=redis://"+server.Addr())
	address, _ := p.WaitLine("listening")["url"].(string)
	w := &web{p, t, address, ""}
	w.waitReady()
	link, _ := p.WaitLine("operator's pages open with this link")["url"].(string)

	ctx := browser.New(t)
	browser.Quiet(ctx, t)
	browser.Do(ctx, t, chromedp.Navigate(link), chromedp.Navigate(address+"/ops/jobs"))
	browser.WaitFor(ctx, t, `document.body.textContent.includes('No job')`)
	enqueue("good")
	enqueue("bad")
	enqueue("hang")
	enqueue("later", jobs.ProcessIn(time.Hour), jobs.Queue("night"))
	for id, state := range map[string]string{"good": "completed", "bad": "failed", "hang": "running", "later": "scheduled"} {
		browser.WaitFor(ctx, t, chip(id, state))
	}
	browser.Eval[string](ctx, t, `document.querySelector('#job-bad button[value=Show]').click(), ''`)
	browser.WaitFor(ctx, t, `document.querySelectorAll('#attempts li').length === 2 && document.querySelector('#job').textContent.includes('connection refused by <mail.example>')`)
	browser.WaitFor(ctx, t, `document.querySelector('#job').textContent.includes('attempt 2 of 2')`)
	screenshot(ctx, t, "jobs-desktop.png")
	browser.Do(ctx, t, chromedp.EmulateViewport(390, 844))
	browser.WaitFor(ctx, t, `document.documentElement.scrollWidth <= innerWidth`)
	screenshot(ctx, t, "jobs-phone.png")
	browser.Do(ctx, t, chromedp.EmulateViewport(1280, 900))

	browser.Eval[string](ctx, t, `document.querySelector('#job button[value=Retry]').click(), ''`)
	browser.WaitFor(ctx, t, chip("bad", "completed")+` && document.querySelector('#job').textContent.includes('"name": "bad"')`)
	browser.Eval[string](ctx, t, `document.querySelector('#job-hang button[value=Cancel]').click(), ''`)
	browser.WaitFor(ctx, t, chip("hang", "cancelled"))
	browser.Eval[string](ctx, t, `(() => { const s = document.querySelector('#state'); s.value = 'scheduled'; s.dispatchEvent(new Event('change', {bubbles: true})); return ''; })()`)
	browser.WaitFor(ctx, t, `document.querySelectorAll('#jobs li').length === 1 && `+chip("later", "scheduled"))
	browser.Eval[string](ctx, t, `(() => { document.querySelector('#state').value = ''; const q = document.querySelector('#queue'); q.value = 'default'; q.form.querySelector('button').click(); return ''; })()`)
	browser.WaitFor(ctx, t, `document.querySelectorAll('#jobs li').length === 3`)
}

// screenshot keeps a picture of the page where LASTMILE_SCREENSHOTS says.
func screenshot(ctx context.Context, t *testing.T, name string) {
	t.Helper()
	dir := os.Getenv("LASTMILE_SCREENSHOTS")
	if dir == "" {
		return
	}
	picture, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name), picture, 0o600)
	}
	if err != nil {
		t.Error(err)
	}
}
