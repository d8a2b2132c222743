package browser_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/chromedp/chromedp"
	"go.uber.org/goleak"

	"lastmile/internal/browser"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTabsShareCookiesAndIsolatedOnesDoNot(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "seen", Value: "yes"})
		_, err := r.Cookie("seen")
		fmt.Fprintf(w, "<p>%t</p>", err == nil)
	}))
	t.Cleanup(server.Close)

	first := browser.New(t)
	browser.Do(first, t, chromedp.Navigate(server.URL))
	browser.WaitFor(first, t, `document.querySelector("p").textContent === "false"`)

	second := browser.Tab(first, t)
	browser.Do(second, t, chromedp.Navigate(server.URL))
	if got := browser.Eval[string](second, t, `Promise.resolve(document.body.innerText.trim())`); got != "true" {
		t.Errorf("second tab sees the cookie: %s, want true", got)
	}

	other := browser.Isolated(first, t)
	browser.Do(other, t, chromedp.Navigate(server.URL))
	if got := browser.Eval[string](other, t, `document.body.innerText.trim()`); got != "false" {
		t.Errorf("isolated tab sees the cookie: %s, want false", got)
	}
}
