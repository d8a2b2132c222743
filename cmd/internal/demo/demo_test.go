package main_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"lastmile/internal/browser"
	"lastmile/internal/patience"
	"lastmile/internal/repo"
)

// built is where the programs are, built as make demo does once a test wants them.
var built = struct {
	once sync.Once
	dir  string // made and removed by TestMain
	err  error
}{}

func TestMain(m *testing.M) {
	built.dir, built.err = os.MkdirTemp("", "lastmile-demo-test-")
	code := m.Run()
	_ = os.RemoveAll(built.dir) // a temporary one
	os.Exit(code)
}

func program(t *testing.T) string {
	t.Helper()
	built.once.Do(func() {
		root, err := repo.Root()
		if err != nil || built.err != nil {
			built.err = errors.Join(err, built.err)
			return
		}
		build := exec.Command("go", "build", "-o", built.dir+"/", "./cmd/web", "./cmd/worker", "./cmd/internal/demo") // no context: all tests need it
		build.Dir = root
		if out, err := build.CombinedOutput(); err != nil {
			built.err = fmt.Errorf("%w\n%s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return filepath.Join(built.dir, "demo")
}

// demo starts the program, and returns the address that it says.
func demo(t *testing.T, args ...string) (url string) {
	t.Helper()
	cmd := exec.Command(program(t), append([]string{"--addr=127.0.0.1:0"}, args...)...) // no context: it is to end by a signal
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("the demonstration ended: %v", err)
		}
	})
	lines := bufio.NewScanner(out)
	for url == "" && lines.Scan() {
		url = strings.TrimSpace(lines.Text())
	}
	go io.Copy(io.Discard, out) //nolint:errcheck // until it ends
	return url
}

// TestBrowserDemo presses every button of the page, each while a job is under way.
// What the page was to hear of is applied once each time.
func TestBrowserDemo(t *testing.T) {
	t.Parallel()
	url := demo(t)
	ctx := browser.New(t)
	browser.Do(ctx, t, chromedp.Navigate(url))
	browser.WaitFor(ctx, t, `window.live?.connected && document.querySelectorAll('#break li .chip.completed').length === 5`)
	screenshot(ctx, t, "demo-start.png")

	sent := 0
	for _, round := range [][]string{
		{"Pause worker-1", "Pause web-1", "Resume worker-1", "Resume web-1"},
		{"Pause worker-2", "Pause web-2", "Resume web-2", "Resume worker-2"},
		{"Kill worker-1", "Kill worker-2", "Kill web-1", "Kill web-2", "Kill redis"},
	} {
		sent++
		begun := time.Now()
		browser.Eval[string](ctx, t, `(() => {
			const form = document.querySelector('[name=seconds]').form;
			form.elements.seconds.value = 3;
			form.requestSubmit(form.querySelector('button'));
			return '';
		})()`)
		browser.WaitFor(ctx, t, `document.querySelector('.strip .running') !== null && document.querySelector('.strip .completed') === null`)
		for _, button := range round {
			press(ctx, t, button)
		}
		browser.WaitFor(ctx, t, fmt.Sprintf(`document.querySelector('#applied').textContent === 'Applied %d of %d'`, sent, sent))
		t.Logf("%v: applied after %v\n%s", round, time.Since(begun).Round(10*time.Millisecond), browser.Eval[string](ctx, t, `document.querySelector('.strip').innerText`))
		screenshot(ctx, t, fmt.Sprintf("demo-%d.png", sent))
		browser.WaitFor(ctx, t, `document.querySelectorAll('#break li .chip.completed').length === 5`)
	}
	// The tiles follow, a moment later.
	browser.WaitFor(ctx, t, `[...document.querySelectorAll('#break .deaths')].map((e) => e.textContent).join() === Array(5).fill('killed 1×').join()`)
}

// press clicks a button by its label, once the page has it.
func press(ctx context.Context, t *testing.T, label string) {
	t.Helper()
	selector := fmt.Sprintf(`document.querySelector('[aria-label="%s"]')`, label)
	browser.WaitFor(ctx, t, selector+` !== null`)
	browser.Eval[string](ctx, t, selector+`.click(), ''`)
	// The strip tells that it was obeyed.
	process := label[strings.IndexByte(label, ' ')+1:]
	word := map[string]string{"Kill": "killed", "Pause": "paused", "Resume": "goes on"}[label[:strings.IndexByte(label, ' ')]]
	browser.WaitFor(ctx, t, fmt.Sprintf(`document.querySelector('.strip').innerText.includes('%s: %s')`, process, word))
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

// TestAddressMustBeOwn: the buttons are for this machine alone.
func TestAddressMustBeOwn(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), patience.Limit)
	defer cancel()
	for _, addr := range []string{":8080", "0.0.0.0:8080", "192.0.2.1:8080", "example.com:80", "127.0.0.1"} {
		cmd := exec.CommandContext(ctx, program(t), "--addr="+addr)
		if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "--addr="+addr+": must be of this machine alone") {
			t.Errorf("%s: %v\n%s", addr, err, out)
		}
	}
}
