// Package cookie keeps the session of a browser in a signed cookie. Live pages
// use it, and an application without live pages can: with the same secrets and
// name both see the same session.
//
//	sessions, err := cookie.New(cookie.Config{Secrets: [][]byte{secret}})
//	id := sessions.Session(w, r, "") // in any handler
package cookie

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"lastmile/push"
)

// DefaultName is the cookie's name, unless the configuration says otherwise.
const DefaultName = "lastmile"

// age is how long a session lives in a browser that does not come back.
const age = 365 * 24 * time.Hour

// The purposes keep what is signed for one thing from being taken for another.
const (
	cookiePurpose = "live cookie 1"
	userPurpose   = "live session of a user 1"
)

// Config tunes Sessions.
type Config struct {
	// Secrets sign the cookies, each at least 32 bytes: the first one makes them,
	// all are accepted. Sessions of users are made with the first one alone.
	// Required; all nodes share them.
	Secrets [][]byte
	// Name is the cookie's. Under TLS the prefix __Host- comes before it. Defaults
	// to DefaultName.
	Name string
}

// Sessions tells the sessions of browsers. It is safe for concurrent use.
type Sessions struct {
	secrets [][]byte
	name    string
}

// New checks cfg and fills its defaults.
func New(cfg Config) (*Sessions, error) {
	if len(cfg.Secrets) == 0 {
		return nil, errors.New("cookie: Config: no Secrets")
	}
	for i, s := range cfg.Secrets {
		if len(s) < 32 {
			return nil, fmt.Errorf("cookie: Config: Secrets[%d] has %d bytes, at least 32 are needed", i, len(s))
		}
	}
	name := cmp.Or(cfg.Name, DefaultName)
	if err := (&http.Cookie{Name: name, Value: "x"}).Valid(); err != nil { //nolint:gosec // it is only checked
		return nil, fmt.Errorf("cookie: Config: Name: %w", err)
	}
	return &Sessions{secrets: slices.Clone(cfg.Secrets), name: name}, nil
}

// Session returns the session of a request, and sets the cookie when the browser
// has none: call it before writing the body. Each user of a browser has a session
// of their own: what one has done there is not the next one's, nor of who is
// signed out, for whom user is "".
func (s *Sessions) Session(w http.ResponseWriter, r *http.Request, user string) string {
	id := s.browser(w, r)
	if user == "" {
		return id
	}
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sign(s.secrets[0], userPurpose, id, user))
}

// Authenticate is Session for browsers where nobody signs in. It never fails; it
// has the form of pushhttp's Authenticator.
func (s *Sessions) Authenticate(w http.ResponseWriter, r *http.Request) (session string, err error) {
	return s.Session(w, r, ""), nil
}

// browser returns what the browser's cookie says, or sets one. It takes only what
// a node with the same secret has made: nobody can plant a session that they
// know.
func (s *Sessions) browser(w http.ResponseWriter, r *http.Request) string {
	name := HostName(r, s.name)
	for _, c := range r.CookiesNamed(name) {
		if id, mac, _ := strings.Cut(c.Value, "."); s.signed(id, mac) {
			return id
		}
	}
	id := push.NewID() + push.NewID() // at least 256 bits
	value := id + "." + base64.RawURLEncoding.EncodeToString(sign(s.secrets[0], cookiePurpose, id))
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // Secure under TLS; plain http is for development
		Name: name, Value: value, Path: "/", MaxAge: int(age.Seconds()),
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: Secure(r),
	})
	// Whoever asks again while this request is served gets the same answer.
	r.AddCookie(&http.Cookie{Name: name, Value: value}) //nolint:gosec // not sent anywhere
	return id
}

// signed says whether one of the secrets has signed the ID of a browser.
func (s *Sessions) signed(id, mac string) bool {
	sum, err := base64.RawURLEncoding.DecodeString(mac)
	return err == nil && slices.ContainsFunc(s.secrets, func(secret []byte) bool {
		return hmac.Equal(sum, sign(secret, cookiePurpose, id))
	})
}

// sign computes a signature over parts that cannot run into each other.
func sign(secret []byte, parts ...string) []byte {
	mac := hmac.New(sha256.New, secret)
	var n [8]byte
	for _, p := range parts {
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		mac.Write(n[:])
		mac.Write([]byte(p))
	}
	return mac.Sum(nil)
}

// HostName is a cookie's name in this request. Under TLS it has the prefix
// __Host-: browsers take such a cookie from this very host alone, so neither a
// subdomain nor somebody on the way can plant one.
func HostName(r *http.Request, name string) string {
	if !Secure(r) || strings.HasPrefix(name, "__") {
		return name
	}
	return "__Host-" + name
}

// Secure tells whether the browser came by TLS, ended here or at a proxy. A
// browser that lies about it only hurts itself.
func Secure(r *http.Request) bool {
	return r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https"
}
