package pushhttp_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/push/mempush"
	"lastmile/push/pushhttp"
)

func TestOrigins(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		origin, site string
		status       int
		cors         bool
	}{
		{"", "", 200, false},
		{"http://site.test", "", 200, false},
		{"http://site.test", "same-origin", 200, false},
		{"", "same-origin", 200, false},
		{"", "none", 200, false},
		{"https://friend.test", "cross-site", 200, true},
		{"https://friend.test", "", 200, true},
		{"https://evil.test", "cross-site", 403, false},
		{"https://evil.test", "", 403, false},
		{"", "cross-site", 403, false},
		{"", "same-site", 403, false},
		{"null", "", 403, false},
		{"https://friend.test.evil.test", "cross-site", 403, false},
	} {
		t.Run(tt.origin+" "+tt.site, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := inMemory(t, mempush.Config{}, pushhttp.Config{AllowedOrigins: []string{"https://friend.test"}})
				id := s.poll(alice, "?wait=0").Next
				header := map[string]string{"Accept": jsonAccept}
				for name, v := range map[string]string{"Origin": tt.origin, "Sec-Fetch-Site": tt.site} {
					if v != "" {
						header[name] = v
					}
				}
				get := s.answer(call{method: http.MethodGet, path: "events?wait=0", session: alice, header: header})
				post := s.answer(call{method: http.MethodPost, path: "ack", session: alice, body: `{"upTo":"` + id + `"}`, header: header})
				ask := s.answer(call{method: http.MethodOptions, path: "events", header: header})
				for name, status := range map[string][2]int{"GET": {get.status, tt.status}, "POST": {post.status, max(tt.status, 204)}, "OPTIONS": {ask.status, max(tt.status, 204)}} {
					if status[0] != status[1] {
						t.Errorf("%s: %d, want %d", name, status[0], status[1])
					}
				}
				want := ""
				if tt.cors {
					want = tt.origin
				}
				for _, a := range []answer{get, post, ask} {
					if got := a.header.Get("Access-Control-Allow-Origin"); got != want || a.header.Get("Vary") == "" {
						t.Errorf("allowed origin %q, want %q, Vary %q", got, want, a.header.Get("Vary"))
					}
				}
			})
		})
	}
}

// TestRefusals: nobody is let in without a session, and what comes back does not
// end up in a page.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		call   call
		status int
		kind   string
	}{
		{"nobody", call{method: "GET", path: "events"}, 401, "session"},
		{"short session", call{method: "GET", path: "events", session: "short"}, 401, "session"},
		{"nobody confirms", call{method: "POST", path: "ack", body: "{}"}, 401, "session"},
		{"htmx", call{method: "GET", path: "events", header: map[string]string{"HX-Request": "true"}}, 204, ""},
		{"Datastar", call{method: "GET", path: "events", header: map[string]string{"Datastar-Request": "true"}}, 204, ""},
		{"method", call{method: "PUT", path: "events", session: alice}, 405, "method"},
		{"endpoint", call{method: "GET", path: "nothing", session: alice}, 404, "endpoint"},
		{"bad action", call{method: "GET", path: "events?actions=a,b", session: alice}, 400, "actions"},
		{"bad wait", call{method: "GET", path: "events?wait=x", session: alice, header: map[string]string{"Accept": jsonAccept}}, 400, "wait"},
		{"bad limit", call{method: "GET", path: "events?limit=0", session: alice, header: map[string]string{"Accept": jsonAccept}}, 400, "limit"},
		{"foreign token", call{method: "GET", path: "events", session: alice, header: map[string]string{"Authorization": "Bearer abc"}}, 401, "token"},
		{"form confirms", call{method: "POST", path: "ack", session: alice, header: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}}, 415, "body"},
		{"no object", call{method: "POST", path: "ack", session: alice, body: "no"}, 400, "body"},
		{"long body", call{method: "POST", path: "ack", session: alice, body: `{"upTo":"` + strings.Repeat("x", 5000) + `"}`}, 400, "body"},
		{"no cursor", call{method: "POST", path: "ack", session: alice, body: `{}`}, 400, "cursor"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := inMemory(t, mempush.Config{}, pushhttp.Config{})
				if a := s.answer(tt.call); a.status != tt.status || a.kind() != tt.kind || a.status == http.StatusNoContent && a.body != "" {
					t.Errorf("%d %s, want %d %s", a.status, a.body, tt.status, tt.kind)
				}
			})
		})
	}
}

// TestUnknownForNow: a status would end an EventSource for good.
func TestUnknownForNow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t, mempush.Config{}, pushhttp.Config{Authenticator: func(http.ResponseWriter, *http.Request) (string, error) {
			return "", fmt.Errorf("look up: %w", errors.Join(errors.New("down"), pushhttp.ErrUnavailable))
		}})
		st := s.listen(alice, "events", nil)
		<-st.ended
		if st.status != http.StatusOK || st.numbers() != "stopping" {
			t.Errorf("stream: %d %s", st.status, st.numbers())
		}
		a := s.answer(call{method: http.MethodGet, path: "events", header: map[string]string{"Accept": jsonAccept}})
		if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
			t.Errorf("poll: %d %v", a.status, a.header)
		}
	})
}

// TestClosedSession: there is nothing to come back for.
func TestClosedSession(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t, mempush.Config{}, pushhttp.Config{})
		st := s.listen(alice, "events", nil)
		synctest.Wait()
		if err := s.store.CloseSession(t.Context(), alice); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		select {
		case <-st.ended:
		default:
			t.Error("the stream goes on")
		}
		if got := st.numbers(); got != "closed" {
			t.Errorf("last event: %s", got)
		}
		for _, accept := range []string{jsonAccept, "text/event-stream"} {
			if a := s.answer(call{method: http.MethodGet, path: "events", session: alice, header: map[string]string{"Accept": accept}}); a.status != http.StatusGone || a.kind() != "session-closed" {
				t.Errorf("%s: %d %s", accept, a.status, a.body)
			}
		}
	})
}

// TestTokens: a token opens one session, for its actions and its time, also
// beside a cookie of another.
func TestTokens(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t, mempush.Config{}, pushhttp.Config{})
		s.push(alice, "Toast", 1)
		s.push(alice, "Report", 2)
		token, err := s.handler.Token(alice, time.Minute, "Toast")
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(token, "alice") {
			t.Errorf("the token shows the session: %s", token)
		}
		header := map[string]string{"Authorization": "Bearer " + token}
		st := s.listen(bob, "events", header)
		synctest.Wait()
		if got := st.numbers(); got != "1" {
			t.Errorf("with a token: %s", got)
		}
		if a := s.answer(call{method: http.MethodGet, path: "events?actions=Report", header: header}); a.status != http.StatusForbidden {
			t.Errorf("another action: %d %s", a.status, a.body)
		}
		if a := s.answer(call{method: http.MethodPost, path: "ack", body: `{"upTo":"` + st.last() + `"}`, header: header}); a.status != http.StatusNoContent || s.pending(alice) != "2" {
			t.Errorf("ack: %d %s, pending %s", a.status, a.body, s.pending(alice))
		}
		time.Sleep(time.Minute)
		<-st.ended
		if got := st.numbers(); got != "1 expired" {
			t.Errorf("at the end of its time: %s", got)
		}
		if a := s.answer(call{method: http.MethodGet, path: "events", header: header}); a.status != http.StatusUnauthorized {
			t.Errorf("behind its time: %d %s", a.status, a.body)
		}
	})
}

func TestTokenRefusesWhatItCannotBeFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t, mempush.Config{}, pushhttp.Config{})
		for name, try := range map[string]func() (string, error){
			"long life": func() (string, error) { return s.handler.Token(alice, pushhttp.MaxTokenTTL+1) },
			"no life":   func() (string, error) { return s.handler.Token(alice, 0) },
			"session":   func() (string, error) { return s.handler.Token("short", time.Minute) },
			"action":    func() (string, error) { return s.handler.Token(alice, time.Minute, "no action") },
		} {
			if token, err := try(); err == nil {
				t.Errorf("%s: %s", name, token)
			}
		}
	})
}
