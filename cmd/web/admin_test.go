package main_test

import (
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
)

// operatorsPages are those that a token guards.
func operatorsPages() []string {
	return []string{"/ops", "/metrics", "/admin/asynq/", "/admin/asynq/api/queues", "/admin/pprof/", "/admin/pprof/heap", "/admin/pprof/profile?seconds=1"}
}

// TestOperatorsPagesAreShut whatever a request says of itself, and whatever
// address and name the program has: nothing opens because evidence of a stranger
// is missing.
func TestOperatorsPagesAreShut(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		nil,
		{"--addr=127.0.0.1:0"},
		{"--addr=localhost:0"},
		{"--public-url=http://localhost:8080"},
		{"--public-url=https://reports.example"},
		{"--dev", "--demo"},
		{"--admin-token", "correct horse battery"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			w := start(t, args...)
			for name, edit := range map[string]func(*http.Request){
				"plain":            nil,
				"localhost":        func(r *http.Request) { r.Host = "localhost" },
				"another name":     func(r *http.Request) { r.Host = "evil.example" },
				"forwarded":        func(r *http.Request) { r.Header.Set("X-Forwarded-For", "127.0.0.1") },
				"no password":      func(r *http.Request) { r.SetBasicAuth("admin", "") },
				"wrong password":   func(r *http.Request) { r.SetBasicAuth("admin", "wrong") },
				"no bearer":        func(r *http.Request) { r.Header.Set("Authorization", "Bearer ") },
				"forged cookie":    func(r *http.Request) { r.Header.Set("Cookie", "lastmile_admin=9999999999.00") },
				"no link":          func(r *http.Request) { r.URL.RawQuery = "token=" },
				"forged link":      func(r *http.Request) { r.URL.RawQuery = "token=00000000000000000000000000000000" },
				"session's cookie": func(r *http.Request) { r.Header.Set("Cookie", "lastmile_admin="+strings.Repeat("A", 52)) },
			} {
				for _, path := range operatorsPages() {
					if got := w.status(path, edit); got != http.StatusUnauthorized {
						t.Errorf("%s, %s: got status %d, want 401", path, name, got)
					}
				}
			}
			for _, path := range []string{"/ops", "/admin/asynq/api/queues/default:pause"} {
				if got := w.do(http.DefaultClient, http.MethodPost, path, nil).status; got != http.StatusUnauthorized {
					t.Errorf("POST %s: got status %d, want 401", path, got)
				}
			}
		})
	}
}

// TestLinkOfTheOperator opens the pages once, and leaves a cookie.
func TestLinkOfTheOperator(t *testing.T) {
	t.Parallel()
	w := start(t)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Jar: jar}
	res := w.do(client, http.MethodGet, "/admin/pprof/heap?debug=1&token="+url.QueryEscape(w.token), nil)
	if to := res.header.Get("Location"); res.status != http.StatusSeeOther || to != "/admin/pprof/heap?debug=1" {
		t.Fatalf("got status %d to %q, want 303 to the address without the token", res.status, to)
	}
	for _, path := range operatorsPages() {
		if got := w.do(client, http.MethodGet, path, nil); got.status >= http.StatusBadRequest {
			t.Errorf("%s with the cookie: got status %d", path, got.status)
		}
	}
	if res := w.do(http.DefaultClient, http.MethodPost, "/ops?token="+w.token, nil); res.status != http.StatusUnauthorized {
		t.Errorf("a POST with the token in its address: got status %d, want 401", res.status)
	}
	if other := start(t); other.token == w.token {
		t.Error("two programs that share nothing print the same token")
	}
}

func TestAdminToken(t *testing.T) {
	t.Parallel()
	const token = "correct horse battery"
	w := start(t, "--admin-token", token)
	bearer := func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }
	for _, path := range operatorsPages() {
		if got := w.status(path, bearer); got >= http.StatusBadRequest {
			t.Errorf("%s with the token: got status %d, want 200", path, got)
		}
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Jar: jar}
	if res := w.do(client, http.MethodGet, "/ops", func(r *http.Request) { r.SetBasicAuth("ann", token) }); res.status != http.StatusOK {
		t.Fatalf("with the password: got status %d", res.status)
	}
	if res := w.do(client, http.MethodGet, "/ops", nil); res.status != http.StatusOK {
		t.Errorf("with the cookie: got status %d", res.status)
	}
	foreign := func(r *http.Request) {
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		r.Header.Set("Origin", "https://evil.test")
	}
	if res := w.do(client, http.MethodPost, "/ops", foreign); res.status != http.StatusForbidden {
		t.Errorf("a POST of another site with the cookie: got status %d, want 403", res.status)
	}
	if c := w.do(http.DefaultClient, http.MethodGet, "/ops", bearer).header.Get("Set-Cookie"); !strings.Contains(c, "HttpOnly; SameSite=Strict") {
		t.Errorf("the operator's cookie is %q", c)
	}
	if strings.Contains(w.Log(), token) {
		t.Error("the token is in the log")
	}
}
