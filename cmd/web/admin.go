package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"net/http/pprof"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// admin guards the operator's pages by a token: the password of any user, a
// bearer token, or once in a link, which leaves a cookie. There is always one.
// That a request seems to come from this machine opens nothing: a proxy on this
// machine need not say that it is one.
type admin struct {
	token  string
	secret []byte
}

const (
	adminCookie = "lastmile_admin"
	adminTTL    = 12 * time.Hour
	// adminParam is the token's place in a link.
	adminParam = "token"
)

// newAdmin takes the token that is configured. Without one it makes one of the
// secret that all nodes of a deployment share, so that a link which one of them
// prints opens the pages of all.
func newAdmin(token string, secret []byte) *admin {
	a := &admin{token: token, secret: secret}
	if token == "" {
		a.token = a.mac("token")[:32]
	}
	return a
}

// link opens the operator's pages of a program at base.
func (a *admin) link(base *url.URL) string {
	u := base.JoinPath("/ops")
	u.RawQuery = url.Values{adminParam: {a.token}}.Encode()
	return u.String()
}

// guard lets the operator through to next.
func (a *admin) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		switch given := r.URL.Query(); {
		case r.Method == http.MethodGet && a.is(given.Get(adminParam)):
			// On to the address without it: that one may be seen and kept.
			a.setCookie(w, r)
			given.Del(adminParam)
			clean := url.URL{Path: r.URL.Path, RawQuery: given.Encode()}
			http.Redirect(w, r, clean.String(), http.StatusSeeOther)
		case a.validCookie(r):
			next.ServeHTTP(w, r)
		case a.bears(r):
			a.setCookie(w, r) // not every browser sends a password with a WebSocket
			next.ServeHTTP(w, r)
		default:
			w.Header().Set("WWW-Authenticate", `Basic realm="Lastmile operations", charset="UTF-8"`)
			http.Error(w, "The admin token is needed: open the link that the program prints when it starts, or give the token as the password of any user.", http.StatusUnauthorized)
		}
	})
}

// bears tells whether the request brings the token in its header.
func (a *admin) bears(r *http.Request) bool {
	given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		_, given, _ = r.BasicAuth()
	}
	return a.is(given)
}

func (a *admin) is(token string) bool {
	return subtle.ConstantTimeCompare([]byte(token), []byte(a.token)) == 1
}

func (a *admin) setCookie(w http.ResponseWriter, r *http.Request) {
	until := strconv.FormatInt(time.Now().Add(adminTTL).Unix(), 10)
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // Secure wherever TLS is; on loopback there is none
		Name: adminCookie, Value: until + "." + a.sign(until), Path: "/", MaxAge: int(adminTTL.Seconds()),
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https",
	})
}

func (a *admin) validCookie(r *http.Request) bool {
	c, err := r.Cookie(adminCookie)
	if err != nil {
		return false
	}
	until, mac, _ := strings.Cut(c.Value, ".")
	n, err := strconv.ParseInt(until, 10, 64)
	return err == nil && time.Now().Unix() < n && subtle.ConstantTimeCompare([]byte(mac), []byte(a.sign(until))) == 1
}

// sign depends on the token: a new one ends all sign-ins.
func (a *admin) sign(until string) string { return a.mac(a.token + " " + until) }

func (a *admin) mac(of string) string {
	mac := hmac.New(sha256.New, a.secret)
	mac.Write([]byte("admin " + of))
	return hex.EncodeToString(mac.Sum(nil))
}

// registerProfiles adds Go's profiles below /admin/pprof/.
func (a *admin) registerProfiles(mux *http.ServeMux) {
	mux.Handle("/admin/pprof/", a.guard(http.StripPrefix("/admin/pprof/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "":
			http.Redirect(w, r, "/admin/pprof/goroutine?debug=1", http.StatusSeeOther)
		case "profile":
			pprof.Profile(w, r)
		case "trace":
			pprof.Trace(w, r)
		default:
			pprof.Handler(r.URL.Path).ServeHTTP(w, r)
		}
	}))))
}
