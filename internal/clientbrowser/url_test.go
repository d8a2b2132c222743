package clientbrowser_test

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"testing"

	"github.com/chromedp/chromedp"

	"lastmile/internal/browser"
	"lastmile/live"
	"lastmile/push/mempush"
)

// book is turned by its address.
type book struct{}

type bookState struct {
	Page int
	Seen string
}

func (book) OnURL(s bookState, ctx *live.Context) (bookState, error) {
	s.Page, _ = strconv.Atoi(ctx.Request().Query().Get("page"))
	return s, nil
}

func (book) Turn(s bookState, ctx *live.Context) (bookState, error) {
	if s.Seen = ctx.GetString("note"); s.Seen == "elsewhere" {
		return s, errors.New("no")
	}
	return s, ctx.PatchURL("?page=" + strconv.Itoa(s.Page+1))
}

func (book) Later(s bookState, ctx *live.Context) (bookState, error) {
	return s, ctx.Session().TriggerAction("Pushed", nil)
}

func (book) Pushed(s bookState, ctx *live.Context) (bookState, error) {
	return s, ctx.PatchURL("/book?page=40&q=$%26'x'")
}

const bookPage = `<p id="page">page {{.Page}}</p><button id="turn" live-click="Turn">turn</button><button id="later" live-click="Later">later</button>
<form method="post"><input name="note" id="note"><button id="form" name="live-action" value="Turn">form</button></form>
<a id="top" href="#top">top</a>`

// bookLayout has a base that is not the page's address, before all else.
const bookLayout = `<!doctype html><html><head><base href="/elsewhere/">{{.Head}}<title>{{.Title}}</title></head><body>{{.Content}}</body></html>`

// TestBrowserAddress: the address follows what the page shows, and the page its
// address: back, forward, reload, a shared link, the back/forward cache.
func TestBrowserAddress(t *testing.T) {
	t.Parallel()
	store, err := mempush.New(mempush.Config{})
	if err != nil {
		t.Fatal(err)
	}
	n := startConfigured(t, store, "127.0.0.1:0", live.Config{}, func(hub *live.Hub) (http.Handler, error) {
		view, err := live.NewView(hub, "book", book{}, bookState{}, template.Must(template.New("book").Parse(bookPage)),
			live.ViewConfig{Layout: template.Must(template.New("layout").Parse(bookLayout))})
		mux := http.NewServeMux()
		mux.Handle("/book", view)
		mux.HandleFunc("/other", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<!doctype html><p>other")) })
		return mux, err
	})
	tab := browser.New(t)
	at := func(where context.Context, page int, query string) {
		t.Helper()
		browser.WaitFor(where, t, fmt.Sprintf(`document.querySelector("#page")?.textContent === "page %d" && location.pathname === "/book" && location.search === %q`, page, query))
	}
	do := func(script string) { t.Helper(); browser.Eval[any](tab, t, script+`; 0`) }
	browser.Do(tab, t, chromedp.Navigate("http://"+n.addr+"/book"))
	browser.WaitFor(tab, t, `window.live?.connected`)
	do(`window.same = true`)
	before := browser.Eval[int](tab, t, `history.length`)
	do(`turn.click()`)
	at(tab, 1, "?page=1")
	do(`turn.click()`)
	at(tab, 2, "?page=2")
	do(`note.value = "typed"; note.dispatchEvent(new Event("input", { bubbles: true })); later.click()`)
	at(tab, 40, "?page=40&q=%24%26%27x%27")
	if got := browser.Eval[int](tab, t, `history.length`); got != before+3 {
		t.Errorf("%d entries in the history, want %d", got-before, 3)
	}
	do(`history.back()`)
	at(tab, 2, "?page=2")
	do(`history.go(-2)`)
	at(tab, 0, "")
	do(`history.forward()`)
	at(tab, 1, "?page=1")
	do(`location.hash = "top"`) // is the browser's alone
	do(`history.back()`)
	at(tab, 1, "?page=1")
	if !browser.Eval[bool](tab, t, `window.same && note.value === "typed"`) {
		t.Error("the page was loaded again, or what was typed is gone")
	}
	do(`form.click()`)
	at(tab, 2, "?page=2")

	// Reload, and a link for somebody else.
	browser.Do(tab, t, chromedp.Reload())
	at(tab, 2, "?page=2")
	browser.WaitFor(tab, t, `window.live?.connected && !window.same`)
	stranger := browser.Isolated(tab, t)
	browser.Do(stranger, t, chromedp.Navigate(browser.Eval[string](tab, t, `location.href`)))
	at(stranger, 2, "?page=2")

	// Back into entries of the document before the reload, and from another page.
	do(`history.back()`)
	at(tab, 1, "?page=1")
	do(`turn.click()`)
	at(tab, 2, "?page=2")
	do(`location.href = "/other"`)
	browser.WaitFor(tab, t, `location.pathname === "/other"`)
	do(`history.back()`)
	at(tab, 2, "?page=2")
	browser.WaitFor(tab, t, `window.live?.connected`)
	do(`turn.click()`)
	at(tab, 3, "?page=3")
	do(`history.back()`)
	at(tab, 2, "?page=2")
}
