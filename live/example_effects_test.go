package live_test

import (
	"fmt"

	"lastmile/internal/exampletest"
	"lastmile/live"
	"lastmile/live/livetest"
)

// Notes is the state of a page of notes. A field with this tag outlives the
// page: a reload and other tabs of the session have it too.
type Notes struct {
	Text string `live:"persist"`
	Open bool
}

// NotesPage has the page's actions.
type NotesPage struct{}

// Write stores a note and tells the page's own scripts.
func (NotesPage) Write(s Notes, ctx *live.Context) (Notes, error) {
	s.Text, s.Open = ctx.GetString("text"), true
	return s, ctx.Emit("saved", map[string]any{"length": len(s.Text)})
}

// Leave sends the browser to another page.
func (NotesPage) Leave(s Notes, ctx *live.Context) (Notes, error) {
	return s, ctx.Navigate("/home")
}

// An action can do more to the page than change its state.
func ExampleContext_Emit() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	view := exampleView(t, exampleHub(t, live.Config{}), NotesPage{}, Notes{}, `<p>{{.Text}} {{.Open}}</p>`, live.ViewConfig{})

	browser := livetest.NewBrowser(t)
	page := browser.Open(view, "/notes")
	page.Click("Write", map[string]any{"text": "buy milk"})
	for _, event := range page.State().Events {
		fmt.Println(event.Name, string(event.Detail))
	}
	page.Click("Leave", nil)
	fmt.Println(page.State().Location)
	fmt.Println(browser.Open(view, "/notes").Text())
	// Output:
	// saved {"length":8}
	// /home
	// buy milk false
}
