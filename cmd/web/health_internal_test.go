package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// What Redis says may name hosts and users: it is for the log.
func TestReadyTellsNothingOfRedis(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		ping     error
		code     int
		text     string
		draining bool
	}{
		{name: "ready", code: http.StatusOK, text: "ok\n"},
		{name: "no Redis", ping: errors.New("WRONGPASS user billing at db.internal:6379"), code: http.StatusServiceUnavailable, text: "redis does not answer\n"},
		{name: "stopping", draining: true, code: http.StatusServiceUnavailable, text: "stopping\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := &health{node: func() error { return nil }, ping: func(context.Context) error { return test.ping }}
			h.draining.Store(test.draining)
			w := httptest.NewRecorder()
			h.ready(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/readyz", strings.NewReader("")))
			if w.Code != test.code || w.Body.String() != test.text {
				t.Errorf("got %d %q, want %d %q", w.Code, w.Body.String(), test.code, test.text)
			}
		})
	}
}
