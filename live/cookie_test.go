package live_test

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"lastmile/live"
	"lastmile/live/livetest"
	"lastmile/push"
)

// named is an Authenticator that believes the header User.
type named struct{}

func (named) Identify(r *http.Request) (live.Identity, error) {
	return live.Identity{UserID: r.Header.Get("User")}, nil
}

// asked returns the session of a request with cookies, and those that the answer
// sets.
func asked(t *testing.T, hub *live.Hub, url, user string, cookies ...*http.Cookie) (session string, set []*http.Cookie) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	r.Header.Set("User", user)
	for _, c := range cookies {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	s, err := hub.SessionOf(w, r)
	if err != nil {
		t.Fatal(err)
	}
	return s.ID(), w.Result().Cookies()
}

// TestSessionsOfOthersCannotBeBroughtAlong lists cookies that no node has made:
// each gets a new session.
func TestSessionsOfOthersCannotBeBroughtAlong(t *testing.T) {
	t.Parallel()
	hub := newHub(t)
	session, set := asked(t, hub, "http://live.test/", "")
	good := set[0]
	id, mac, _ := strings.Cut(good.Value, ".")
	if again, fresh := asked(t, hub, "http://live.test/", "", good); again != session || len(fresh) > 0 {
		t.Fatalf("its own cookie: session %s and %d new cookies, want %s and none", again, len(fresh), session)
	}
	elsewhere, err := live.New(goodDeps(t), live.Config{Logger: quiet(), Secret: []byte(strings.Repeat("x", 32))})
	if err != nil {
		t.Fatal(err)
	}
	_, foreign := asked(t, elsewhere, "http://live.test/", "")
	for name, value := range map[string]string{
		"the form of an ID":       strings.Repeat("A", 52),
		"long":                    strings.Repeat("A", 128),
		"unsigned":                id,
		"an empty signature":      id + ".",
		"a short signature":       id + "." + mac[:20],
		"another's signature":     strings.Repeat("A", 52) + "." + mac,
		"signature of another ID": id[1:] + "." + mac,
		"more behind":             good.Value + ".x",
		"other alphabet":          id + "." + mac[:42] + "=",
		"lower case":              strings.ToLower(id) + "." + mac,
		"of another secret":       foreign[0].Value,
		"empty":                   "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, fresh := asked(t, hub, "http://live.test/", "", &http.Cookie{Name: good.Name, Value: value})
			if got == session || strings.Contains(value, got) || len(fresh) != 1 {
				t.Errorf("session %s and %d new cookies, want one of its own", got, len(fresh))
			}
		})
	}
	if got, _ := asked(t, hub, "http://live.test/", "", &http.Cookie{Name: good.Name, Value: "planted"}, good); got != session {
		t.Error("a planted cookie before the good one hides it")
	}
}

// TestUsersOfOneBrowserShareNothing: a browser keeps its cookie when its user
// signs out and another one signs in.
func TestUsersOfOneBrowserShareNothing(t *testing.T) {
	t.Parallel()
	hub, err := live.New(goodDeps(t), live.Config{Logger: quiet(), Secret: secret(), Authenticator: named{}})
	if err != nil {
		t.Fatal(err)
	}
	nobody, cookies := asked(t, hub, "http://live.test/", "")
	seen := map[string]string{nobody: "nobody"}
	for _, user := range []string{"alice", "bob", "alicebob", strings.Repeat("long", 1000)} {
		session, set := asked(t, hub, "http://live.test/", user, cookies...)
		if len(set) > 0 || len(session) > push.MaxIDLen || seen[session] != "" {
			t.Errorf("%.10s has the session of %q and %d new cookies", user, seen[session], len(set))
		}
		seen[session] = user
		if again, _ := asked(t, hub, "http://live.test/", user, cookies...); again != session {
			t.Errorf("%.10s has another session at the next request", user)
		}
	}
	_, other := asked(t, hub, "http://live.test/", "")
	if session, _ := asked(t, hub, "http://live.test/", "alice", other...); seen[session] != "" {
		t.Error("alice has one session in two browsers")
	}
}

// TestCookiesUnderTLSAreTheHostsOwn: no subdomain and nobody on the way can set
// them.
func TestCookiesUnderTLSAreTheHostsOwn(t *testing.T) {
	t.Parallel()
	hub := newHub(t)
	_, plain := asked(t, hub, "http://live.test/", "")
	_, tls := asked(t, hub, "https://live.test/", "")
	if c := tls[0]; c.Name != "__Host-lastmile" || !c.Secure || !c.HttpOnly || c.Path != "/" || c.Domain != "" {
		t.Errorf("under TLS the cookie is %v", c)
	}
	if c := plain[0]; c.Name != "lastmile" || c.Secure {
		t.Errorf("without TLS the cookie is %v", c)
	}
	planted := &http.Cookie{Name: "lastmile", Value: plain[0].Value}
	if _, set := asked(t, hub, "https://live.test/", "", planted); len(set) == 0 {
		t.Error("under TLS a cookie without the prefix was taken")
	}
}

// TestFlashesAreTheSitesOwn: a planted cookie puts no words into its mouth.
func TestFlashesAreTheSitesOwn(t *testing.T) {
	t.Parallel()
	n := startNode(t, memStore(t), live.Config{Secret: secret()})
	v := view(t, n, chatty{}, form{}, formHTML)
	words := `[["error","Call 555 now"]]`
	for name, value := range map[string]string{
		"unsigned":       base64.RawURLEncoding.EncodeToString([]byte(words)),
		"zero signature": base64.RawURLEncoding.EncodeToString(append(make([]byte, 32), words...)),
		"short":          base64.RawURLEncoding.EncodeToString([]byte("x")),
		"no base64":      "%%%",
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://live.test/form", nil)
		r.AddCookie(&http.Cookie{Name: "lastmile_flash", Value: value})
		w := httptest.NewRecorder()
		v.ServeHTTP(w, r)
		if w.Code != http.StatusOK || strings.Contains(w.Body.String(), "Call 555") {
			t.Errorf("%s: status %d, and the page shows the words: %v", name, w.Code, strings.Contains(w.Body.String(), "Call 555"))
		}
	}
}

// switched is an Authenticator whose user changes, in one session if it says so.
type switched struct {
	mu   sync.Mutex
	user string
	one  bool // one session for all
}

func (a *switched) to(user string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.user = user
}

func (a *switched) Identify(*http.Request) (live.Identity, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	id := live.Identity{UserID: a.user}
	if a.one {
		id.Session = strings.Repeat("s", 32)
	}
	return id, nil
}

// balance shows whose it is.
type balance struct{ Of string }

type bank struct{}

func (bank) Mount(s balance, ctx *live.Context) (balance, error) {
	s.Of = ctx.UserID()
	return s, nil
}

// TestTabOfAFormerUser: a tab is open, its user signs out and another one signs
// in, and the tab reconnects. It must not show the one's page to the other,
// whether they have sessions of their own or, by the program's fault, one.
func TestTabOfAFormerUser(t *testing.T) {
	t.Parallel()
	for name, one := range map[string]bool{"sessions of the cookie": false, "one session for all": true} {
		for _, next := range []string{"bob", ""} {
			t.Run(name+" to "+next, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					who := &switched{user: "alice", one: one}
					n := startNode(t, memStore(t), live.Config{Secret: secret(), Authenticator: who})
					v := view(t, n, bank{}, balance{}, `<p>balance of {{.Of}}.</p>`)
					p := livetest.NewBrowser(t).Open(v, "/")
					p.WaitText("balance of alice.")
					p.Drop()
					who.to(next)
					p.Connect(v)
					p.WaitText("balance of " + next + ".")
				})
			})
		}
	}
}
