package control_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"lastmile/cmd/internal/control"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestClient: what the parent answers is what the page hears, without the password.
func TestClient(t *testing.T) {
	t.Parallel()
	const password = "a password"
	answers := map[string]func(w http.ResponseWriter){
		"GET":  func(w http.ResponseWriter) { _, _ = w.Write([]byte(`[{"name":"web-1","state":"paused","pid":7}]`)) },
		"kill": func(w http.ResponseWriter) { w.WriteHeader(http.StatusNoContent) },
		"no":   func(w http.ResponseWriter) { http.Error(w, "web-1 is down", http.StatusConflict) },
		"bad":  func(w http.ResponseWriter) { http.Error(w, "what?", http.StatusBadRequest) },
	}
	asked := "GET"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, given, _ := r.BasicAuth(); given != password || r.URL.Path != "/processes" {
			t.Errorf("%s with %q", r.URL.Path, given)
		}
		answers[asked](w)
	}))
	c, err := control.New(strings.Replace(server.URL, "http://", "http://:a%20password@", 1))
	if err != nil {
		t.Fatal(err)
	}
	all, err := c.Processes(t.Context())
	if err != nil || len(all) != 1 || all[0] != (control.Process{Name: "web-1", State: control.Paused, PID: 7}) {
		t.Errorf("got %+v, %v", all, err)
	}
	kill := control.Request{ID: "1", Process: "web-1", Do: control.Kill}
	for _, tt := range []struct {
		asked   string
		request control.Request
		refused bool
		says    string
	}{
		{asked: "kill", request: kill},
		{asked: "no", request: kill, refused: true, says: "web-1 is down"},
		{asked: "bad", request: kill, says: "400"},
		{asked: "kill", request: control.Request{Do: "eat"}, refused: true, says: "eat"},
	} {
		asked = tt.asked
		err := c.Do(t.Context(), tt.request)
		if (err == nil) != (tt.says == "") || errors.Is(err, control.ErrRefused) != tt.refused || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v", tt.asked, err)
		}
	}
	server.Close()
	if _, err := c.Processes(t.Context()); err == nil || strings.Contains(err.Error(), "password") {
		t.Errorf("without a parent: %v", err)
	}
	for _, address := range []string{"http://127.0.0.1:1", "https://:p@h", "127.0.0.1:1", "http://:p%zz@h", ""} {
		if _, err := control.New(address); err == nil || strings.Contains(err.Error(), "zz") {
			t.Errorf("%q: %v", address, err)
		}
	}
}
