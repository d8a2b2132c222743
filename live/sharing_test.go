package live_test

import (
	"html/template"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"lastmile/live"
	"lastmile/live/livetest"
)

// TestConnectionsShareRenders has ten browsers follow a topic and counts how
// often their template runs for one message.
func TestConnectionsShareRenders(t *testing.T) {
	t.Parallel()
	const browsers = 10
	for _, tt := range []struct {
		name        string
		cfg         live.ViewConfig
		least, most int64
	}{
		// The connection that rendered last before the message does not ask.
		{"shared", live.ViewConfig{Shared: true, Pure: []string{"counted"}}, 1, 2},
		{"not asked for", live.ViewConfig{Pure: []string{"counted"}}, browsers, browsers},
		{"a function that may depend on anything", live.ViewConfig{Shared: true}, browsers, browsers},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := startNode(t, memStore(t), live.Config{Topics: func(live.Identity, string) error { return nil }})
				var runs atomic.Int64
				tmpl := template.Must(template.New("page").Funcs(template.FuncMap{"counted": func(n int) int {
					runs.Add(1)
					return n
				}}).Parse(`<p>heard {{counted .N}}</p>`))
				v, err := live.NewView(n.hub, "page", chat{}, plain{}, tmpl, tt.cfg)
				if err != nil {
					t.Fatal(err)
				}
				var pages []*livetest.Page
				for range browsers {
					p := livetest.Open(t, v, "/")
					p.Click("Join", map[string]any{"topic": "room:1"})
					pages = append(pages, p)
				}
				runs.Store(0)
				if err := n.hub.Publish(t.Context(), "room:1", "Heard", nil); err != nil {
					t.Fatal(err)
				}
				for _, p := range pages {
					p.WaitText("heard 1")
				}
				if got := runs.Load(); got < tt.least || got > tt.most {
					t.Errorf("the template ran %d times, want %d to %d", got, tt.least, tt.most)
				}
			})
		})
	}
}
