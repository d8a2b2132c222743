package pushhttp_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
)

// direct polls a handler without a connection.
func direct(t testing.TB, h http.Handler, session, after string) polled {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/events?wait=0&after="+url.QueryEscape(after), nil)
	r.Header.Set("X-Session", session)
	r.Header.Set("Accept", jsonAccept)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	var p polled
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	return p
}

// directStatus is the status of a poll with a token.
func directStatus(t testing.TB, h http.Handler, token string) int {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/events?wait=0", nil)
	r.Header["Authorization"] = []string{"Bearer " + token}
	r.Header.Set("Accept", jsonAccept)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}
