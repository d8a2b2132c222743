package live_test

import (
	"fmt"

	"lastmile/internal/exampletest"
	"lastmile/live"
	"lastmile/live/livetest"
)

// Shelf shows the books of one author. The rows are not stored with the page.
type Shelf struct {
	Author string
	Books  []string `live:"load"`
}

// Library has the books.
type Library struct{ books map[string][]string }

// OnLoad fills what a page of Shelf does not store.
func (l Library) OnLoad(s Shelf, _ *live.Context) (Shelf, error) {
	s.Books = l.books[s.Author]
	return s, nil
}

// Show shows another author's books.
func (l Library) Show(s Shelf, ctx *live.Context) (Shelf, error) {
	s.Author = ctx.GetString("author")
	return l.OnLoad(s, ctx)
}

// Fields that can be loaded again need not be stored.
func ExampleNewView_load() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	hub := exampleHub(t, live.Config{})

	library := Library{map[string][]string{"Lem": {"Solaris", "Eden"}, "Strugatsky": {"Picnic"}}}
	view := exampleView(t, hub, library, Shelf{Author: "Lem"}, `{{range .Books}}<p>{{.}}</p>{{end}}`, live.ViewConfig{})
	page := livetest.Open(t, view, "/")
	fmt.Println(page.Text())
	page.Click("Show", map[string]any{"author": "Strugatsky"})
	page.Reconnect(view)
	fmt.Println(page.Text())
	// Output:
	// Solaris Eden
	// Picnic
}
