package recipes

import (
	"context"
	"html/template"
	"time"

	"lastmile"
	"lastmile/jobs"
	"lastmile/live"
)

// Told gives any page the action that tells the end of a job: embed it in the
// page's controller, with the page's state.
type Told[S any] struct{}

// ExportDone shows a message, whichever page is open.
func (Told[S]) ExportDone(s S, ctx *live.Context) (S, error) {
	ctx.SetFlash("info", ctx.GetString("File")+" is ready.")
	return s, nil
}

// ExportFailed says why there is none.
func (Told[S]) ExportFailed(s S, ctx *live.Context) (S, error) {
	event, err := jobs.EventOf(ctx)
	ctx.SetFlash("error", "The export failed. "+event.Error)
	return s, err
}

// Exported is the result of the job.
type Exported struct{ File string }

var export = jobs.Define[string, Exported]("recipes.export")

// Exports is the page that asks for the job, Elsewhere another one.
type (
	Exports   struct{}
	Elsewhere struct{}
)

// ExportsPage and ElsewherePage have their actions.
type (
	ExportsPage struct {
		Told[Exports]
		export *jobs.Kind[string, Exported]
	}
	ElsewherePage struct{ Told[Elsewhere] }
)

// Export asks for the job.
func (p *ExportsPage) Export(s Exports, ctx *live.Context) (Exports, error) {
	_, err := p.export.Enqueue(ctx, "orders", jobs.Notify(ctx.Session(), jobs.OnDone("ExportDone"), jobs.OnFailed("ExportFailed")))
	return s, err
}

var (
	exportsPage   = template.Must(template.New("exports").Parse(`<button live-click="Export" live-disable>Export</button> <a href="/elsewhere">Elsewhere</a>`))
	elsewherePage = template.Must(template.New("elsewhere").Parse(`<p>Another page.</p>`))
)

func toast(app *lastmile.App) error {
	export.Handle(app.Pool(), func(ctx context.Context, j *jobs.Job[string]) (Exported, error) {
		select { // stands for the work
		case <-time.After(3 * time.Second):
			return Exported{j.Args + ".csv"}, nil
		case <-ctx.Done():
			return Exported{}, context.Cause(ctx)
		}
	})
	pushOnly := live.ViewConfig{PushOnly: []string{"ExportDone", "ExportFailed"}}
	if err := lastmile.Page(app, "/exports", &ExportsPage{export: export.With(app.Jobs())}, Exports{}, exportsPage, pushOnly); err != nil {
		return err
	}
	return lastmile.Page(app, "/elsewhere", &ElsewherePage{}, Elsewhere{}, elsewherePage, pushOnly)
}
