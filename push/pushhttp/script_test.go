package pushhttp_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"lastmile/push/mempush"
	"lastmile/push/pushhttp"
)

// TestScripts: anybody may load them, and they are not sent again unchanged.
func TestScripts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := inMemory(t, mempush.Config{}, pushhttp.Config{})
		for name, export := range map[string]string{"push.js": "open", "useLastmile.js": "useLastmile"} {
			a := s.answer(call{method: http.MethodGet, path: name})
			if a.status != http.StatusOK || !strings.HasPrefix(a.header.Get("Content-Type"), "text/javascript") || !strings.Contains(a.body, "as "+export) && !strings.Contains(a.body, "export{"+export) {
				t.Errorf("%s: %d %v", name, a.status, a.header)
			}
			again := s.answer(call{method: http.MethodGet, path: name, header: map[string]string{"If-None-Match": a.header.Get("ETag")}})
			if again.status != http.StatusNotModified || again.body != "" {
				t.Errorf("%s again: %d", name, again.status)
			}
			if wrong := s.answer(call{method: http.MethodPost, path: name}); wrong.status != http.StatusMethodNotAllowed {
				t.Errorf("POST %s: %d", name, wrong.status)
			}
		}
	})
}
