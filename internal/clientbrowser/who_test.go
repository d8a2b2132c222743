package clientbrowser_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"lastmile/internal/browser"
	"lastmile/live"
	"lastmile/push/mempush"
)

// logins is an application's own sign-in. Its nodes share it, as they would a
// table of a database. docs/recipes/sign-in.md is about this code.
type logins struct {
	hub   *live.Hub
	table *loginTable
}

// login is whose a cookie is, and the session that the browser had before.
type login struct{ user, before string }

type loginTable struct {
	mu   sync.Mutex
	rows map[string]login
}

func (l *loginTable) get(_ context.Context, cookie string) (login, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.rows[cookie], nil
}

func (l *loginTable) put(cookie string, who login) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rows[cookie] = who
}

func (l *loginTable) remove(cookie string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.rows, cookie)
}

func (l *loginTable) expire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.rows)
}

// Identify says whose the login cookie is by now.
func (l *loginTable) Identify(r *http.Request) (live.Identity, error) {
	who, err := l.get(r.Context(), cookieOf(r))
	if err != nil {
		return live.Identity{}, fmt.Errorf("%w: %w", live.ErrIdentityUnknown, err) // 503, and asked again
	}
	return live.Identity{UserID: who.user}, nil // nobody has the empty user
}

func cookieOf(r *http.Request) string {
	if c, err := r.Cookie("login"); err == nil {
		return c.Value
	}
	return ""
}

func (l logins) signOut(w http.ResponseWriter, r *http.Request) {
	before, err := l.hub.SessionOf(w, r) // the user's, in this browser
	if err == nil {
		l.table.remove(cookieOf(r)) // first the change, then Disconnect
		err = l.hub.Disconnect(r.Context(), live.Identity{Session: before.ID()})
	}
	l.home(w, r, err)
}

func (l logins) signIn(w http.ResponseWriter, r *http.Request) {
	before, err := l.hub.SessionOf(w, r) // nobody's, or the former user's
	if err != nil {
		l.home(w, r, err)
		return
	}
	l.table.remove(cookieOf(r))
	cookie := rand.Text() + rand.Text()
	l.table.put(cookie, login{user: r.FormValue("user"), before: before.ID()})
	http.SetCookie(w, &http.Cookie{Name: "login", Value: cookie, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: r.TLS != nil})
	http.Redirect(w, r, "/welcome", http.StatusSeeOther)
}

// welcome comes with the new cookie, so the browser's other tabs have it too.
func (l logins) welcome(w http.ResponseWriter, r *http.Request) {
	who, err := l.table.get(r.Context(), cookieOf(r))
	if err == nil && who.before != "" {
		err = l.hub.Disconnect(r.Context(), live.Identity{Session: who.before})
	}
	l.home(w, r, err)
}

func (logins) home(w http.ResponseWriter, r *http.Request, err error) {
	if err != nil {
		http.Error(w, "Please try again.", http.StatusServiceUnavailable)
		return
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// vault is a page of whoever looks at it; strangers are refused what it does.
type vault struct{}

type vaultState struct {
	Of   string
	Said []string
}

func (vault) Mount(s vaultState, ctx *live.Context) (vaultState, error) {
	s.Of = ctx.UserID()
	return s, nil
}

func (vault) Say(s vaultState, ctx *live.Context) (vaultState, error) {
	if ctx.UserID() == "" {
		return s, errors.New("sign in first")
	}
	s.Said = append(s.Said, ctx.GetString("text"))
	return s, nil
}

const vaultPage = `<p id="of">{{.Of}}</p><ul>{{range .Said}}<li>{{.}}</li>{{end}}</ul><input id="text" name="text" live-change="Say">`

// TestBrowserTwoTabsOnTwoNodes: what one tab does about its user reaches the
// other one, which is on another node and does nothing.
func TestBrowserTwoTabsOnTwoNodes(t *testing.T) {
	t.Parallel()
	store, err := mempush.New(mempush.Config{})
	if err != nil {
		t.Fatal(err)
	}
	who := &loginTable{rows: map[string]login{}}
	var urls []string
	for range 2 {
		n := startConfigured(t, store, "127.0.0.1:0", live.Config{Authenticator: who, IdentifyEvery: 500 * time.Millisecond},
			func(hub *live.Hub) (http.Handler, error) {
				v, err := live.NewView(hub, "vault", vault{}, vaultState{}, template.Must(template.New("vault").Parse(vaultPage)), live.ViewConfig{})
				mux := http.NewServeMux()
				mux.Handle("/{$}", v)
				l := logins{hub, who}
				mux.HandleFunc("/sign-in", l.signIn)
				mux.HandleFunc("/welcome", l.welcome)
				mux.HandleFunc("/sign-out", l.signOut)
				return mux, err
			})
		urls = append(urls, "http://"+n.addr)
	}
	ctx := browser.New(t)
	one, two := ctx, browser.Tab(ctx, t)
	browser.Do(one, t, chromedp.Navigate(urls[0]+"/"))
	browser.Do(two, t, chromedp.Navigate(urls[1]+"/"))
	both := func(user string) {
		t.Helper()
		for _, at := range []context.Context{one, two} {
			browser.WaitFor(at, t, `window.live?.connected && document.querySelector("#of")?.textContent === "`+user+`"`)
		}
	}
	both("")
	browser.Do(one, t, chromedp.Navigate(urls[0]+"/sign-in?user=alice"))
	both("alice")
	// What alice has typed and not sent is never bob's.
	browser.Do(two, t, chromedp.SendKeys("#text", "of alice"))
	browser.Do(one, t, chromedp.Navigate(urls[0]+"/sign-in?user=bob"))
	both("bob")
	if got := browser.Eval[string](two, t, `[...document.querySelectorAll("li")].map((li) => li.textContent).join() + document.querySelector("#text").value`); got != "" {
		t.Errorf("bob's page has %q of alice", got)
	}
	browser.Do(two, t, chromedp.Navigate(urls[1]+"/sign-out"))
	both("")
	browser.Do(two, t, chromedp.Navigate(urls[1]+"/sign-in?user=carol"))
	both("carol")
	who.expire() // they expire: nobody calls Disconnect
	both("")
}
