package lastmile_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"lastmile"
	"lastmile/devredis"
	"lastmile/internal/exampletest"
	"lastmile/live"
	"lastmile/live/livetest"
	"lastmile/push/pushhttp"
)

// A page that is not live reads the pushes of the same session.
func ExampleApp_Readers() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	app, err := lastmile.New(t.Context(), lastmile.Config{Development: devredis.Open, Logger: slog.New(slog.DiscardHandler), Setup: func(app *lastmile.App) error {
		app.Handle("GET /hello", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			session, err := app.Hub().SessionOf(w, r)
			if err == nil {
				err = session.TriggerAction("Hello", map[string]any{"name": "ann"})
			}
			if err != nil {
				http.Error(w, "try again", http.StatusServiceUnavailable)
			}
		}))
		_, err := app.Readers("/push/", pushhttp.Config{RequireActions: true})
		return err
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	livetest.Run(t, app.Run)
	browser := livetest.NewBrowser(t)
	browser.Get(app, "/hello")
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/push/events?actions=Hello", http.NoBody)
	if err != nil {
		fmt.Println(err)
		return
	}
	r.Header.Set("Accept", "application/json")
	var events struct {
		Events []struct {
			Action string
			Data   map[string]string
		}
	}
	_, body := browser.Do(app, r) //nolint:bodyclose // Do has read and closed it
	if err := json.Unmarshal([]byte(body), &events); err != nil {
		fmt.Println(err)
		return
	}
	for _, e := range events.Events {
		fmt.Println(e.Action, e.Data["name"])
	}
	// Output: Hello ann
}

// who tells what it is told to.
type who struct{ err error }

func (w who) Identify(*http.Request) (live.Identity, error) { return live.Identity{}, w.err }

// TestReadersAskAsPagesDo: whoever has no page has no pushes, and "not known now"
// is no refusal. A worker has no readers.
func TestReadersAskAsPagesDo(t *testing.T) {
	t.Parallel()
	client := embedded(t)
	for _, tt := range []struct {
		name   string
		role   lastmile.Role
		says   error
		status int
		runs   bool
	}{
		{"refused", lastmile.Web, errors.New("nobody"), http.StatusUnauthorized, true},
		{"not known", lastmile.Web, live.ErrIdentityUnknown, http.StatusServiceUnavailable, true},
		{"a reader that names no actions", lastmile.Web, nil, http.StatusBadRequest, true},
		{"a worker", lastmile.Worker, nil, http.StatusNotFound, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			app := newApp(t, lastmile.Config{Redis: client, Role: tt.role, Live: live.Config{Authenticator: who{tt.says}}, Setup: func(app *lastmile.App) error {
				_, err := app.Readers("/push/", pushhttp.Config{RequireActions: true})
				return errors.Join(err, setup(app))
			}})
			if got := slices.Contains(app.TaskNames(), "readers of pushes"); got != tt.runs {
				t.Errorf("runs: %v", got)
			}
			livetest.Run(t, app.Run)
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/push/events", http.NoBody)
			r.Header.Set("Accept", "application/json") // a stream says "come back" with status 200
			w := httptest.NewRecorder()
			if app.ServeHTTP(w, r); w.Code != tt.status {
				t.Errorf("status %d, want %d", w.Code, tt.status)
			}
		})
	}
}
