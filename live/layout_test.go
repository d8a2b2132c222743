package live_test

import (
	"html/template"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"lastmile/live"
	"lastmile/live/livetest"
)

// TestLayoutKnowsWhoLooks: the user, the language, the address and the state, in
// a page and in the answer to a form.
func TestLayoutKnowsWhoLooks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := startNode(t, memStore(t), live.Config{Authenticator: named{}})
		v := viewWith(t, n, signups{}, signup{Done: 3}, signupHTML, live.ViewConfig{Layout: template.Must(template.New("layout").Parse(
			`<!doctype html><title>x</title>{{.Head}}<nav>{{.UserID}}|{{.Request.Language}}|{{.Request.Path}}|{{.Request.Query.Get "tab"}}|{{.State.Done}}|{{.State.Email}}</nav>{{.Content}}`))})
		b := livetest.NewBrowser(t)
		for body, want := range map[string]string{
			"":                                       "<nav>a&lt;nn|de-CH|/form|2|3|</nav>",
			"live-action=Join&how=value&email=typed": "<nav>a&lt;nn|de-CH|/form|2|3|typed</nav>",
		} {
			method := http.MethodGet
			if body != "" {
				method = http.MethodPost
			}
			r, err := http.NewRequestWithContext(t.Context(), method, "http://live.test/form?tab=2", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("User", "a<nn")
			r.Header.Set("Accept-Language", "de-CH")
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			if _, html := b.Do(v, r); !strings.Contains(html, want) { //nolint:bodyclose // Do closes it
				t.Errorf("%s: want %s in %s", method, want, html)
			}
		}
	})
}
