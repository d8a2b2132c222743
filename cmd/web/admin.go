package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net"
	"net/http"
	"net/http/pprof"
	"slices"
	"strconv"
	"strings"
	"time"
)

// admin guards the operator's pages. With a token it asks for it, as the
// password of any user or as a bearer token; without one it opens only for this
// machine, and only while the program listens to nobody else and has no public
// name.
type admin struct {
	token    string
	loopback bool
	secret   []byte
}

const (
	adminCookie = "lastmile_admin"
	adminTTL    = 12 * time.Hour
)

// guard lets the operator through to next.
func (a *admin) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case a.allowed(r):
			if a.token != "" && !a.validCookie(r) {
				// Not every browser sends a password with a WebSocket.
				a.setCookie(w, r)
			}
			next.ServeHTTP(w, r)
		case a.token != "":
			w.Header().Set("WWW-Authenticate", `Basic realm="Lastmile operations", charset="UTF-8"`)
			http.Error(w, "the admin token is needed, as the password of any user", http.StatusUnauthorized)
		default:
			http.Error(w, "closed: start the program with --admin-token, or with a loopback --addr and --public-url", http.StatusForbidden)
		}
	})
}

// allowed tells whether the request is the operator's.
func (a *admin) allowed(r *http.Request) bool {
	if a.token == "" {
		return a.loopback && fromHere(r)
	}
	given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		_, given, _ = r.BasicAuth()
	}
	return subtle.ConstantTimeCompare([]byte(given), []byte(a.token)) == 1 || a.validCookie(r)
}

// fromHere tells a request of this machine: the peer, the name that it used
// (else any web site could reach us by a name that it points here), and no
// proxy in between.
func fromHere(r *http.Request) bool {
	peer, _, err := net.SplitHostPort(r.RemoteAddr)
	host := r.Host
	if h, _, err := net.SplitHostPort(r.Host); err == nil {
		host = h
	}
	forwarded := slices.ContainsFunc(proxyHeaders(), func(name string) bool { return r.Header.Get(name) != "" })
	return err == nil && isLoopback(peer) && isLoopback(strings.Trim(host, "[]")) && !forwarded
}

// proxyHeaders are what proxies add to the requests that they pass on.
func proxyHeaders() []string {
	return []string{"Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip"}
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
func (a *admin) sign(until string) string {
	mac := hmac.New(sha256.New, a.secret)
	mac.Write([]byte("admin " + a.token + " " + until))
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
