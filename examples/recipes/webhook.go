package recipes

import (
	"crypto/rand"
	"errors"
	"html/template"
	"net/http"
	"time"

	"github.com/redis/go-redis/v9"

	"lastmile"
	"lastmile/live"
	"lastmile/push"
)

// Hook is the state of a page that shows what another program says.
type Hook struct {
	Address string   // whoever knows it may call it
	Calls   []string `live:"persist"`
}

var hookPage = template.Must(template.New("hook").Parse(`<button live-click="Open">Make an address</button> <code>{{.Address}}</code>
<ol>{{range .Calls}}<li>{{.}}</li>{{end}}</ol>`))

// HookPage has its actions.
type HookPage struct{ app *lastmile.App }

// Open makes an address of this session's. The session itself stays a secret.
func (p *HookPage) Open(s Hook, ctx *live.Context) (Hook, error) {
	key := rand.Text()
	s.Address = "/hooks/" + key
	return s, p.app.Redis().Set(ctx, "recipes:hook:"+key, ctx.Session().ID(), 7*24*time.Hour).Err()
}

// Called is called by the handler.
func (*HookPage) Called(s Hook, ctx *live.Context) (Hook, error) {
	s.Calls = append(s.Calls, ctx.GetString("text"))
	s.Calls = s.Calls[max(0, len(s.Calls)-20):]
	return s, nil
}

// hook answers 202 once the push is stored. A caller that repeats itself says so
// by the header Idempotency-Key.
func hook(app *lastmile.App) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		key := r.PathValue("key")
		session, err := app.Redis().Get(r.Context(), "recipes:hook:"+key).Result()
		if errors.Is(err, redis.Nil) {
			http.NotFound(w, r)
			return
		}
		text := r.FormValue("text")
		if len(text) > 1000 {
			http.Error(w, "at most 1,000 bytes", http.StatusRequestEntityTooLarge)
			return
		}
		var once []push.Option
		if id := r.Header.Get("Idempotency-Key"); id != "" && len(id) <= 64 {
			once = append(once, push.WithID("hook:"+key+":"+id))
		}
		if err == nil {
			_, err = app.Publisher().Session(session).Trigger(r.Context(), "Called", map[string]any{"text": text}, once...)
		}
		if err != nil {
			http.Error(w, "try again", http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusAccepted)
	}
}

func webhook(app *lastmile.App) error {
	app.Handle("POST /hooks/{key}", hook(app))
	return lastmile.Page(app, "/hook", &HookPage{app}, Hook{}, hookPage, live.ViewConfig{PushOnly: []string{"Called"}})
}
