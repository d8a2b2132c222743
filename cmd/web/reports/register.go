package reports

import (
	_ "embed"
	"fmt"
	"html/template"
	"log/slog"
	"maps"
	"net/http"
	"slices"

	"lastmile/cmd/internal/profilejob"
	"lastmile/cmd/web/ui"
	"lastmile/jobs"
	"lastmile/live"
)

//go:embed page.html
var pageHTML string

// Deps is what the application stands on.
type Deps struct {
	Hub   *live.Hub
	Jobs  *jobs.Client
	Files Files
	UI    *ui.UI
	// Log may be nil: then slog.Default() is used.
	Log *slog.Logger
	// Demo offers to slow a job down and to make it fail.
	Demo bool
}

// Register adds the page at /reports and the upload to mux.
func Register(mux *http.ServeMux, d Deps) error {
	if d.Log == nil {
		d.Log = slog.Default()
	}
	tmpl, err := template.New("reports").Funcs(ui.Funcs()).Funcs(funcs()).Parse(pageHTML)
	if err != nil {
		return fmt.Errorf("reports: %w", err)
	}
	kind := profilejob.Kind.With(d.Jobs)
	page, err := live.NewView(d.Hub, "reports", &Reports{Profile: kind, Jobs: d.Jobs, Forget: d.Files.Delete, Log: d.Log},
		State{MaxBytes: d.Files.MaxBytes(), Demo: d.Demo}, tmpl, live.ViewConfig{
			Title: "Reports", Layout: d.UI.Layout(), PushOnly: []string{"ReportProgress", "ReportDone", "ReportFailed", "ReportRemoved"},
			Pure: ui.Pure(slices.Collect(maps.Keys(funcs()))...),
		})
	if err != nil {
		return fmt.Errorf("reports: %w", err)
	}
	mux.Handle("/reports", page)
	mux.Handle("POST /reports/upload", &Upload{Profile: kind, Files: d.Files, Session: d.Hub.SessionOf, UI: d.UI, Demo: d.Demo, Log: d.Log})
	return nil
}
