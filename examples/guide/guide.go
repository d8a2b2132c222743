// Package guide is the application of docs/guide, chapter by chapter. It has
// nothing that the chapters do not show.
package guide

import (
	"context"
	"html/template"
	"net/http"

	"lastmile"
	"lastmile/jobs"
	"lastmile/live"
)

// A page is a state and a template.
type Counter struct {
	N    int
	Note string
}

var counter = template.Must(template.New("counter").Parse(`<p><b>{{.N}}</b> {{.Note}}</p>
<form method="post">
  <button name="live-action" value="Add">Add one</button>
  <button name="live-action" value="Later">Add a hundred, later</button>
</form>`))

// Its actions are methods of a controller.
type Actions struct {
	Work *jobs.Kind[int, int]
}

func (*Actions) Add(s Counter, _ *live.Context) (Counter, error) {
	s.N++
	return s, nil
}

// Told is no button: a push calls it.
func (*Actions) Told(s Counter, ctx *live.Context) (Counter, error) {
	s.Note = ctx.GetString("text")
	return s, nil
}

// Later asks for a job, whose result comes as a push too.
func (a *Actions) Later(s Counter, ctx *live.Context) (Counter, error) {
	_, err := a.Work.Enqueue(ctx, 100, jobs.Notify(ctx.Session(), jobs.OnDone("Done")))
	s.Note = "working"
	return s, err
}

func (*Actions) Done(s Counter, ctx *live.Context) (Counter, error) {
	s.N, s.Note = s.N+ctx.GetInt("value"), "done"
	return s, nil
}

// The job is a name, arguments and a result.
var Work = jobs.Define[int, int]("work")

func work(_ context.Context, j *jobs.Job[int]) (int, error) {
	return j.Args, nil // in truth, this takes an hour
}

// Setup registers all of it.
func Setup(app *lastmile.App) error {
	Work.Handle(app.Pool(), work)
	app.Handle("POST /tell", tell(app))
	return lastmile.Page(app, "/", &Actions{Work.With(app.Jobs())}, Counter{}, counter, live.ViewConfig{PushOnly: []string{"Told", "Done"}})
}

// Any handler of the program reaches the pages of the browser that called it.
func tell(app *lastmile.App) http.Handler {
	return http.NewCrossOriginProtection().Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		session, err := app.Hub().SessionOf(w, r)
		if err == nil {
			err = session.TriggerAction("Told", map[string]any{"text": r.FormValue("text")})
		}
		if err != nil {
			http.Error(w, "try again", http.StatusServiceUnavailable)
		}
	}))
}
