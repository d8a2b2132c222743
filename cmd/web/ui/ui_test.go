package ui_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"lastmile/cmd/web/ui"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestWriting(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ got, want string }{
		{ui.Bytes(0), "0 bytes"},
		{ui.Bytes(1023), "1023 bytes"},
		{ui.Bytes(1536), "1.5 KB"},
		{ui.Bytes(64 << 20), "64 MB"},
		{ui.Bytes(150 << 20), "150 MB"},
		{ui.Bytes(3 << 40), "3072 GB"},
		{ui.Count(999), "999"},
		{ui.Count(-1234567), "-1,234,567"},
		{ui.Number(0), "0"},
		{ui.Number(153.535), "153.5"},
		{ui.Number(0.000123456), "0.0001235"},
		{ui.Number(7043545), "7,043,545"},
		{ui.Number(1.5e20), "1.5e+20"},
		{ui.Clock(time.Time{}), ""},
		{ui.Clock(time.Date(2026, 11, 23, 18, 4, 5, 0, time.FixedZone("", 3600))), "23 Nov, 17:04:05"},
	} {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
}

// A message page has the frame, and its style sheet and icon are served.
func TestMessage(t *testing.T) {
	t.Parallel()
	u, err := ui.New(slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	u.Register(mux)
	w := httptest.NewRecorder()
	u.Write(w, httptest.NewRequest(http.MethodGet, "/", nil), ui.Message{
		Status: http.StatusTeapot, View: "board", Heading: "No <coffee>", Text: "Only tea.", Link: "/board", LinkText: "Back",
	})
	page := w.Body.String()
	if w.Code != http.StatusTeapot || !strings.Contains(page, "No &lt;coffee&gt;") || !strings.Contains(page, `href="/board" aria-current="page"`) {
		t.Errorf("got status %d:\n%s", w.Code, page)
	}
	files := regexp.MustCompile(`/static/[^"]+`).FindAllString(page, -1)
	if len(files) != 2 {
		t.Fatalf("got static files %v, want two", files)
	}
	for _, f := range files {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, f, nil))
		if w.Code != http.StatusOK || !strings.Contains(w.Header().Get("Cache-Control"), "immutable") || w.Body.Len() == 0 {
			t.Errorf("%s: got status %d, %v", f, w.Code, w.Header())
		}
	}
}
