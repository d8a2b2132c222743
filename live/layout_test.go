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

// TestLayoutWithABase: the page's own scripts and its acknowledgement stay where
// they are, wherever the layout's <base> is.
func TestLayoutWithABase(t *testing.T) {
	t.Parallel()
	const relative, whole = ` src="?_live=client.`, ` src="/a%20b?_live=client.`
	for _, tt := range []struct{ layout, want string }{
		{`<head>{{.Head}}</head>{{.Content}}`, relative},
		{`<head>{{.Head}}<base href="/else/"></head>{{.Content}}`, relative},
		{`<head><base href="/else/">{{.Head}}</head>{{.Content}}`, whole},
		{"<head><BASE\nhref=/else/>{{.Head}}</head>{{.Content}}", whole},
		{`<head><base/>{{.Head}}</head>{{.Content}}`, whole},
		{`<head><basefont>{{.Head}}</head>{{.Content}}`, relative},
		{`<head><title>base</title>{{.Head}}</head>{{.Content}}<base href="/else/">`, relative},
	} {
		t.Run(tt.layout, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := startNode(t, memStore(t), live.Config{})
				layout := template.Must(template.New("layout").Parse(tt.layout))
				v, err := live.NewView(n.hub, "x", desk{}, plain{}, template.Must(template.New("x").Parse(`<p live-disable>{{.N}}</p>`)), live.ViewConfig{Layout: layout})
				if err != nil {
					t.Fatal(err)
				}
				r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://live.test/a%20b?q=1", nil)
				if err != nil {
					t.Fatal(err)
				}
				_, html := livetest.NewBrowser(t).Do(v, r) //nolint:bodyclose // Do closes it
				if !strings.Contains(html, tt.want) || strings.Count(html, "src=\"?_live=") != strings.Count(html, relative)*2 {
					t.Errorf("want %s, twice, in %s", tt.want, html)
				}
			})
		})
	}
}
