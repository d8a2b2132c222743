package clientbrowser_test

import (
	"context"
	"fmt"
	"html/template"
	"net/http"
	"testing"

	"github.com/chromedp/chromedp"

	"lastmile/internal/browser"
	"lastmile/live"
	"lastmile/push/mempush"
)

// basket is shared by the tabs of a session; what is typed is each tab's own.
type basket struct{}

type basketState struct {
	Items int `live:"persist"`
	Text  string
}

func (basket) Put(s basketState, _ *live.Context) (basketState, error) {
	s.Items++
	return s, nil
}

const basketPage = `<p id="items">{{.Items}}</p><button id="put" live-click="Put">Put</button><input id="text" name="text">`

// TestBrowserTabsShareFields: what a click in one tab has stored, the tab beside
// it shows, and so does one on another node, with what the user types there.
func TestBrowserTabsShareFields(t *testing.T) {
	t.Parallel()
	store, err := mempush.New(mempush.Config{})
	if err != nil {
		t.Fatal(err)
	}
	var urls []string
	for range 2 {
		n := startConfigured(t, store, "127.0.0.1:0", live.Config{}, func(hub *live.Hub) (http.Handler, error) {
			return live.NewView(hub, "basket", basket{}, basketState{}, template.Must(template.New("basket").Parse(basketPage)), live.ViewConfig{})
		})
		urls = append(urls, "http://"+n.addr)
	}
	one := browser.New(t)
	beside, far := browser.Tab(one, t), browser.Tab(one, t)
	browser.Do(one, t, chromedp.Navigate(urls[0]+"/"))
	browser.Do(beside, t, chromedp.Navigate(urls[0]+"/"))
	browser.Do(far, t, chromedp.Navigate(urls[1]+"/"))
	for _, tab := range []context.Context{one, beside, far} {
		browser.WaitFor(tab, t, `window.live?.connected`)
	}
	browser.Do(far, t, chromedp.SendKeys("#text", "typed"))
	for n := 1; n <= 3; n++ {
		browser.Do(one, t, chromedp.Click("#put"))
		shows := fmt.Sprintf(`document.querySelector("#items").textContent === "%d"`, n)
		browser.WaitFor(one, t, shows)
		browser.WaitFor(beside, t, shows)
		browser.WaitFor(far, t, shows+` && document.querySelector("#text").value === "typed"`)
	}
}
