package main

import (
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"time"

	"github.com/redis/go-redis/v9"

	"lastmile/live"
)

// loginKey is where the login of a request's cookie is kept.
func loginKey(r *http.Request) string {
	cookie, err := r.Cookie("login")
	if err != nil {
		return "desk:login:"
	}
	return "desk:login:" + cookie.Value
}

// Identify says who a request is from: nobody has the empty user.
func (d *Desk) Identify(r *http.Request) (live.Identity, error) {
	user, err := d.app.Redis().Get(r.Context(), loginKey(r)).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return live.Identity{}, fmt.Errorf("%w: %w", live.ErrIdentityUnknown, err) // 503, and asked again
	}
	return live.Identity{UserID: user}, nil
}

// clerks lets nobody else come to a page.
func (d *Desk) clerks(page http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, err := d.Identify(r)
		switch {
		case err != nil:
			http.Error(w, "try again", http.StatusServiceUnavailable)
		case who.UserID == "":
			http.Redirect(w, r, "/sign-in", http.StatusSeeOther)
		default:
			page.ServeHTTP(w, r)
		}
	})
}

// Mount is called for each new page, before it is shown.
func (*ListPage) Mount(s List, ctx *live.Context) (List, error) {
	s.User = ctx.UserID()
	return s, nil
}

var signInPage = template.Must(template.New("sign-in").Parse(`<!doctype html><html lang="en"><title>Sign in</title>
<form method="post" action="/sign-in">
  <p><label>Name <input name="user" required></label></p>
  <p><label>Password <input name="password" type="password" required></label></p>
  <p>{{.}} <button>Sign in</button></p>
</form></html>`))

// signIn is an ordinary handler: only an answer to a request can set a cookie.
func (d *Desk) signIn(w http.ResponseWriter, r *http.Request) {
	user, password := r.FormValue("user"), r.FormValue("password")
	if user == "" || d.password == "" || subtle.ConstantTimeCompare([]byte(password), []byte(d.password)) == 0 {
		w.WriteHeader(http.StatusUnprocessableEntity)
		_ = signInPage.Execute(w, "That is not right.") // the browser is gone: nobody to tell
		return
	}
	cookie := rand.Text() + rand.Text()
	if err := d.app.Redis().Set(r.Context(), "desk:login:"+cookie, user, 12*time.Hour).Err(); err != nil {
		http.Error(w, "try again", http.StatusServiceUnavailable)
		return
	}
	https := r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" // as the proxy says
	http.SetCookie(w, &http.Cookie{Name: "login", Value: cookie, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: https})
	http.Redirect(w, r, "/orders", http.StatusSeeOther)
}

// signOut deletes the login first, and then ends the pages that are open.
func (d *Desk) signOut(w http.ResponseWriter, r *http.Request) {
	session, err := d.app.Hub().SessionOf(w, r)
	if err == nil {
		err = d.app.Redis().Del(r.Context(), loginKey(r)).Err()
	}
	if err == nil {
		err = d.app.Hub().Disconnect(r.Context(), live.Identity{Session: session.ID()})
	}
	if err != nil {
		http.Error(w, "try again", http.StatusServiceUnavailable)
		return
	}
	http.Redirect(w, r, "/sign-in", http.StatusSeeOther)
}

func (d *Desk) users() error {
	ours := http.NewCrossOriginProtection() // no other site's forms
	d.app.Handle("GET /sign-in", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = signInPage.Execute(w, "") // the browser is gone: nobody to tell
	}))
	d.app.Handle("POST /sign-in", ours.Handler(http.HandlerFunc(d.signIn)))
	d.app.Handle("POST /sign-out", ours.Handler(http.HandlerFunc(d.signOut)))
	return nil
}
