package e2e_test

import (
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"lastmile/internal/browser"
	"lastmile/internal/patience"
)

var screenshots = flag.String("screenshots", "", "directory for screenshots; empty keeps none")

// tab is a browser's tab on the Reports page.
type tab struct {
	t   *testing.T
	ctx context.Context
}

// record notes, from the first script on, each label and each percentage that
// the first report of the list shows, the page's frames, and its stale marks.
const record = `(() => {
	const seen = window.seen = {labels: [], percents: [], frames: []};
	const note = (list, value) => { if (value !== undefined && value !== list[list.length - 1]) list.push(value); };
	const look = () => {
		note(seen.labels, document.querySelector('.list .chip')?.textContent);
		note(seen.percents, document.querySelector('.list progress')?.value);
	};
	document.addEventListener('DOMContentLoaded', () => {
		look();
		new MutationObserver(look).observe(document.body, {subtree: true, childList: true, characterData: true, attributes: true});
	});
	window.WebSocket = class extends WebSocket {
		constructor(...args) {
			super(...args);
			this.addEventListener('message', (e) => seen.frames.push(e.data));
		}
	};
})()`

// seen is what record noted.
type seen struct {
	Labels   []string  `json:"labels"`
	Percents []float64 `json:"percents"`
	Frames   []string  `json:"frames"`
}

// openTab opens the Reports page of a node or of the proxy.
func openTab(t *testing.T, ctx context.Context, addr string) *tab { //nolint:revive // t first, as everywhere in tests
	t.Helper()
	p := &tab{t: t, ctx: ctx}
	p.do(func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, target, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: record})
		return chromedp.Void{}, err
	}, chromedp.Navigate("http://"+addr+"/reports"))
	p.waitConnected()
	return p
}

func (p *tab) do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	browser.Do(p.ctx, p.t, steps...)
}

// waitConnected waits until the page has had its first frame.
func (p *tab) waitConnected() {
	p.t.Helper()
	browser.WaitFor(p.ctx, p.t, `seen.frames.length > 0`)
}

// startSample starts the sample's job, stretched to ten seconds.
func (p *tab) startSample() {
	p.t.Helper()
	sample := `document.querySelector('button[value=Sample]')`
	browser.Eval[bool](p.ctx, p.t, sample+`.form.querySelector('input[name=slow]').checked = true`)
	browser.Eval[string](p.ctx, p.t, sample+`.click(), ''`)
}

// label is the state that the first report of the list shows.
func (p *tab) label() string {
	p.t.Helper()
	return browser.Eval[string](p.ctx, p.t, `document.querySelector('.list .chip')?.textContent ?? ''`)
}

// waitMoving waits until the first report is under way beyond a percentage.
func (p *tab) waitMoving(percent float64) {
	p.t.Helper()
	browser.WaitFor(p.ctx, p.t, `document.querySelector('.list progress')?.value > `+strconv.FormatFloat(percent, 'f', -1, 64))
}

// waitDone waits until the first report is done, and shown.
func (p *tab) waitDone() {
	p.t.Helper()
	patience.UntilSaid(p.t, "the report", func() (bool, string) {
		label := p.label()
		return label == "done", label
	})
	browser.WaitFor(p.ctx, p.t, `document.querySelector('#open svg.chart path')`)
}

func (p *tab) seen() seen {
	p.t.Helper()
	return browser.Eval[seen](p.ctx, p.t, `seen`)
}

// checkOneEnd checks that the tab saw exactly one end, and nothing after it.
func (p *tab) checkOneEnd() {
	p.t.Helper()
	s := p.seen()
	done := 0
	for _, l := range s.Labels {
		if l == "done" {
			done++
		}
	}
	if done != 1 || s.Labels[len(s.Labels)-1] != "done" {
		p.t.Errorf("the tab showed %q, want one end, last", s.Labels)
	}
	if n := countActions(s.Frames, "done"); n > 1 {
		p.t.Errorf("%d frames say that the job is done", n)
	}
}

// countActions counts the frames with a text as a value of its own.
func countActions(frames []string, text string) int {
	n := 0
	for _, f := range frames {
		var m struct {
			Patch json.RawMessage `json:"p"`
		}
		if json.Unmarshal([]byte(f), &m) == nil {
			n += strings.Count(string(m.Patch), `"`+text+`"`)
		}
	}
	return n
}

// checkForward checks that progress never went back.
func (p *tab) checkForward() {
	p.t.Helper()
	if s := p.seen(); len(s.Percents) < 3 || !slices.IsSorted(s.Percents) {
		p.t.Errorf("progress %v, want several rising values", s.Percents)
	}
}

// shoot takes a screenshot of the whole page at a width, in a colour scheme,
// and checks that nothing sticks out sideways.
func (p *tab) shoot(name string, width int64, scheme string) {
	p.t.Helper()
	p.do(chromedp.EmulateViewport(width, 900), func(ctx context.Context, target *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, target, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return chromedp.Void{}, err
	})
	browser.Eval[bool](p.ctx, p.t, `Promise.allSettled(document.getAnimations().map((a) => a.finished)).then(() => true)`)
	if sideways := browser.Eval[float64](p.ctx, p.t, `document.documentElement.scrollWidth - innerWidth`); sideways > 0 {
		p.t.Errorf("%s at %d px is %v px too wide", name, width, sideways)
	}
	png, err := chromedp.Run(p.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		p.t.Fatalf("screenshot: %v", err)
	}
	p.keep(name+"-"+strconv.FormatInt(width, 10)+"-"+scheme, png)
}

// keep stores a screenshot where the flag says.
func (p *tab) keep(name string, png []byte) {
	p.t.Helper()
	if *screenshots == "" {
		return
	}
	if err := os.MkdirAll(*screenshots, 0o750); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(*screenshots, name+".png"), png, 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// shootAll takes the four screenshots that a layout is judged by.
func (p *tab) shootAll(name string) {
	p.t.Helper()
	for _, width := range []int64{390, 1280} {
		for _, scheme := range []string{"light", "dark"} {
			p.shoot(name, width, scheme)
		}
	}
}
