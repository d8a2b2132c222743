package readiness_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"lastmile/internal/readiness"
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
		skew     time.Duration
	}{
		{name: "ready", code: http.StatusOK, text: "ok\n"},
		{name: "no Redis", ping: errors.New("WRONGPASS user billing at db.internal:6379"), code: http.StatusServiceUnavailable, text: "redis does not answer\n"},
		{name: "draining", draining: true, code: http.StatusServiceUnavailable, text: "draining\n"},
		{name: "a clock ahead", skew: 31 * time.Second, code: http.StatusServiceUnavailable, text: "the clock is 31s ahead of redis's\n"},
		{name: "a clock behind", skew: -2 * time.Minute, code: http.StatusServiceUnavailable, text: "the clock is 2m0s behind redis's\n"},
		{name: "a clock a little ahead", skew: 29 * time.Second, code: http.StatusOK, text: "ok\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h := &readiness.Health{Ping: func(context.Context) error { return test.ping }, Skew: func() time.Duration { return test.skew }}
			if test.draining {
				h.Drain()
			}
			w := httptest.NewRecorder()
			h.Ready(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/readyz", strings.NewReader("")))
			if w.Code != test.code || w.Body.String() != test.text {
				t.Errorf("got %d %q, want %d %q", w.Code, w.Body.String(), test.code, test.text)
			}
		})
	}
}
