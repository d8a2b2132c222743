package live_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
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

// Mount is called for every new page. A redirect answers the request.
func (AccountPage) Mount(s Account, ctx *live.Context) (Account, error) {
	if s.User = ctx.UserID(); s.User == "" {
		return s, ctx.Redirect("/login")
	}
	return s, nil
}

// Login names who a request is from. A login may be a cookie that a middleware
// has checked; here it is a header.
type Login struct{ secret []byte }

// Identify gives all browsers of a user one session, that nobody can guess.
func (l Login) Identify(r *http.Request) (live.Identity, error) {
	user := r.Header.Get("X-User")
	if user == "" {
		return live.Identity{}, nil // the anonymous session of a cookie
	}
	mac := hmac.New(sha256.New, l.secret)
	mac.Write([]byte(user))
	return live.Identity{UserID: user, Session: hex.EncodeToString(mac.Sum(nil))}, nil
}

// An Authenticator tells who looks at a page.
func ExampleAuthenticator() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	hub := exampleHub(t, live.Config{Authenticator: Login{secret: []byte("of the program")}})
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
		r.Header.Set("X-User", "ann")
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
