package live_test

import (
	"html/template"
	"testing"

	"lastmile/live"
	"lastmile/live/internal/hubtest"
	"lastmile/live/livetest"
)

// exampleHub returns a running hub on a store in memory. The package's example
// shows how a program makes one.
func exampleHub(t testing.TB, cfg live.Config) *live.Hub {
	t.Helper()
	p := hubtest.New(t, cfg)
	livetest.Run(t, p.RunNode, p.Hub.Run)
	return p.Hub
}

// exampleView returns a page of the hub.
func exampleView[S any](t testing.TB, hub *live.Hub, controller any, initial S, html string, cfg live.ViewConfig) *live.View[S] {
	t.Helper()
	tmpl, err := template.New("page").Parse(html)
	if err != nil {
		t.Fatal(err)
	}
	view, err := live.NewView(hub, "page", controller, initial, tmpl, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return view
}
