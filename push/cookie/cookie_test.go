package cookie_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"lastmile/push/cookie"
)

var (
	older = []byte("0123456789abcdef0123456789abcdef")
	newer = []byte("another secret of at least 32 bytes")
)

func sessions(t testing.TB, secrets ...[]byte) *cookie.Sessions {
	t.Helper()
	s, err := cookie.New(cookie.Config{Secrets: secrets})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// visit asks for the session of a browser with these cookies, and returns those
// that it has afterwards.
func visit(s *cookie.Sessions, address, user string, has ...*http.Cookie) (session string, set []*http.Cookie) {
	r := httptest.NewRequest(http.MethodGet, address, nil)
	for _, c := range has {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	session = s.Session(w, r, user)
	res := w.Result()
	_ = res.Body.Close() // it has none
	return session, res.Cookies()
}

func TestSessionStays(t *testing.T) {
	t.Parallel()
	s := sessions(t, older)
	first, set := visit(s, "http://a.test/", "")
	if len(set) != 1 || !set[0].HttpOnly || set[0].SameSite != http.SameSiteLaxMode || set[0].Secure || len(first) < 32 {
		t.Fatalf("session %q, cookies %v", first, set)
	}
	if again, more := visit(s, "http://a.test/", "", set...); again != first || len(more) != 0 {
		t.Errorf("again: %q, want %q; cookies %v", again, first, more)
	}
	of, _ := visit(s, "http://a.test/", "kim", set...)
	sam, _ := visit(s, "http://a.test/", "sam", set...)
	if of == first || sam == of || sam == first {
		t.Error("users of a browser share a session")
	}
}

func TestSecureCookieIsOfThisHost(t *testing.T) {
	t.Parallel()
	_, set := visit(sessions(t, older), "https://a.test/", "")
	if len(set) != 1 || set[0].Name != "__Host-lastmile" || !set[0].Secure {
		t.Errorf("cookies %v", set)
	}
}

func TestOnlyWhatWasSignedIsTaken(t *testing.T) {
	t.Parallel()
	first, set := visit(sessions(t, older), "http://a.test/", "")
	if got, more := visit(sessions(t, newer, older), "http://a.test/", "", set...); got != first || len(more) != 0 {
		t.Error("a cookie of the former secret is refused")
	}
	for name, value := range map[string]string{
		"foreign": strings.Replace(set[0].Value, first[:1], "_", 1), "unsigned": first, "empty": "", "cut": set[0].Value[:len(set[0].Value)-1],
	} {
		if got, _ := visit(sessions(t, older), "http://a.test/", "", &http.Cookie{Name: "lastmile", Value: value}); got == first || got == value {
			t.Errorf("%s: session %q", name, got)
		}
	}
	if got, _ := visit(sessions(t, newer), "http://a.test/", "", set...); got == first {
		t.Error("a cookie of another secret is taken")
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]cookie.Config{
		"no secret": {}, "short secret": {Secrets: [][]byte{older, []byte("short")}}, "bad name": {Secrets: [][]byte{older}, Name: "a b"},
	} {
		if _, err := cookie.New(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// A browser keeps its session, and a page under TLS has a name that nobody else
// can set.
func Example() {
	sessions, err := cookie.New(cookie.Config{Secrets: [][]byte{[]byte("at least 32 bytes, the same on all nodes")}})
	if err != nil {
		fmt.Println(err)
		return
	}
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "https://example.com/", nil)
	first := sessions.Session(w, r, "")
	again, _ := sessions.Authenticate(w, r)
	fmt.Println(first == again, cookie.Secure(r), cookie.HostName(r, cookie.DefaultName))
	// Output: true true __Host-lastmile
}
