package live_test

import (
	"fmt"
	"net/http"

	"lastmile/internal/exampletest"
	"lastmile/live"
	"lastmile/live/livetest"
)

// Account is the state of a page behind a login.
type Account struct{ User string }

// AccountPage has the page's actions.
type AccountPage struct{}

// Mount is called for every new page, before anything of it is shown. Whom it
// sends elsewhere gets no page, whichever way he comes, and can call no action.
func (AccountPage) Mount(s Account, ctx *live.Context) (Account, error) {
	if s.User = ctx.UserID(); s.User == "" {
		return s, ctx.Redirect("/login")
	}
	return s, nil
}

// Logins knows what the login cookies are worth. A program has them in a store
// that all its nodes share.
type Logins map[string]string

// Identify is asked for each page, form and connection, and again about those
// that are open. Nobody has the empty user; each user of a browser has a session of
// their own.
func (l Logins) Identify(r *http.Request) (live.Identity, error) {
	cookie, err := r.Cookie("login")
	if err != nil {
		return live.Identity{}, nil //nolint:nilerr // a stranger
	}
	return live.Identity{UserID: l[cookie.Value]}, nil
}

// An Authenticator tells who looks at a page.
func ExampleAuthenticator() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	hub := exampleHub(t, live.Config{Authenticator: Logins{"L0NG-AND-RAND0M": "ann"}})
	view := exampleView(t, hub, AccountPage{}, Account{}, `<p>{{.User}}</p>`, live.ViewConfig{})

	browser := livetest.NewBrowser(t)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/account", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	stranger, _ := browser.Do(view, r) //nolint:bodyclose // Do has read and closed it
	fmt.Println(stranger.StatusCode, stranger.Header.Get("Location"))

	signedIn := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.AddCookie(&http.Cookie{Name: "login", Value: "L0NG-AND-RAND0M"}) // as her browser does
		view.ServeHTTP(w, r)
	})
	fmt.Println(livetest.Open(t, signedIn, "/account").Text())
	// Output:
	// 303 /login
	// ann
}

// Disconnect ends the pages of a session on all nodes.
func ExampleHub_Disconnect() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	hub := exampleHub(t, live.Config{})
	view := exampleView(t, hub, AccountPage{}, Account{}, `<p>{{.User}}</p>`, live.ViewConfig{})
	mux := http.NewServeMux()
	mux.Handle("/account", view)
	mux.HandleFunc("POST /sign-out", func(w http.ResponseWriter, r *http.Request) {
		session, err := hub.SessionOf(w, r)
		if err == nil {
			// Here the login would be deleted: first the change, then
			err = hub.Disconnect(r.Context(), live.Identity{Session: session.ID()})
		}
		if err != nil {
			http.Error(w, "please try again", http.StatusServiceUnavailable)
			return
		}
		http.Redirect(w, r, "/", http.StatusSeeOther)
	})

	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "/sign-out", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	res, _ := livetest.NewBrowser(t).Do(mux, r) //nolint:bodyclose // Do has read and closed it
	fmt.Println(res.StatusCode, res.Header.Get("Location"))
	// Output:
	// 303 /
}
