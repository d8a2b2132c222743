package lastmile_test

import (
	"context"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"net/http/httptest"

	"lastmile"
	"lastmile/devredis"
	"lastmile/internal/exampletest"
	"lastmile/jobs"
	"lastmile/live"
	"lastmile/live/livetest"
)

// Greet is the job of the examples.
var Greet = jobs.Define[string, string]("greet")

// Page has the actions of the page, State is what it shows.
type (
	Page  struct{ Greet *jobs.Kind[string, string] }
	State struct{ Greeting string }
)

// Ask is called by the button.
func (p *Page) Ask(s State, ctx *live.Context) (State, error) {
	_, err := p.Greet.Enqueue(ctx, "ann", jobs.Notify(ctx.Session(), jobs.OnDone("Greeted")))
	return s, err
}

// Greeted is called when the job has ended, in whichever process.
func (p *Page) Greeted(s State, ctx *live.Context) (State, error) {
	s.Greeting = ctx.GetString("value")
	return s, nil
}

var page = template.Must(template.New("page").Parse(`<button live-click="Ask">Greet</button><b>{{.Greeting}}</b>`))

// setup registers the page and the job.
func setup(app *lastmile.App) error {
	Greet.Handle(app.Pool(), func(_ context.Context, j *jobs.Job[string]) (string, error) { return "hello " + j.Args, nil })
	return lastmile.Page(app, "/", &Page{Greet.With(app.Jobs())}, State{}, page, live.ViewConfig{})
}

// config is for the examples: the log of a program is not thrown away.
func config() lastmile.Config {
	return lastmile.Config{Development: devredis.Open, Setup: setup, Logger: slog.New(slog.DiscardHandler)}
}

// An application needs a Redis, its jobs and its pages. In a test it is opened
// and clicked without a browser.
func ExampleNew() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	app, err := lastmile.New(t.Context(), config())
	if err != nil {
		fmt.Println(err)
		return
	}
	livetest.Run(t, app.Run)

	tab := livetest.Open(t, app, "/")
	tab.Click("button", nil)
	tab.WaitText("hello ann")
	fmt.Println(tab.TextOf("b"))
	// Output: hello ann
}

// A program with a Setup is one call; here it is stopped at once, as
// by a signal.
func ExampleRun() {
	ctx, stop := context.WithCancel(context.Background())
	cfg := config()
	cfg.Addr = "127.0.0.1:0"
	cfg.Setup = func(app *lastmile.App) error {
		app.Background("stop", func(ctx context.Context) error {
			stop()
			<-ctx.Done()
			return nil
		})
		return setup(app)
	}
	fmt.Println(lastmile.Run(ctx, cfg))
	// Output: <nil>
}

// Pages are made by Page, everything else is a handler as elsewhere; a server of
// the caller's own may serve them all.
func ExamplePage() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	app, err := lastmile.New(t.Context(), config())
	if err != nil {
		fmt.Println(err)
		return
	}
	app.Handle("GET /about", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "an application") }))
	livetest.Run(t, app.Run)

	for _, path := range []string{"/about", "/healthz"} {
		w := httptest.NewRecorder()
		app.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody))
		fmt.Println(w.Code, w.Body)
	}
	// Output:
	// 200 an application
	// 200 ok
}
