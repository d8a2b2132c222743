package live_test

import (
	"fmt"
	"html/template"

	"lastmile/internal/exampletest"
	"lastmile/live"
	"lastmile/live/livetest"
)

// Counter is the state of a page that counts clicks.
type Counter struct{ N int }

// CounterPage has the page's actions: its exported methods.
type CounterPage struct{}

// Add is called by the form's button.
func (CounterPage) Add(s Counter, ctx *live.Context) (Counter, error) {
	s.N += ctx.GetInt("by")
	return s, nil
}

// A button calls a method of the controller, with and without JavaScript.
func ExampleNewView() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	hub := exampleHub(t, live.Config{})

	tmpl := template.Must(template.New("counter").Parse(
		`<form><p>{{.N}}</p><input type="hidden" name="by" value="2"><button name="live-action" value="Add">+2</button></form>`))
	view, err := live.NewView(hub, "counter", CounterPage{}, Counter{N: 5}, tmpl, live.ViewConfig{Title: "Counter"})
	if err != nil {
		fmt.Println(err)
		return
	}
	page := livetest.Open(t, view, "/counter") // a program has mux.Handle("/counter", view)
	page.Click("button", nil)
	fmt.Println(page.TextOf("p"))
	// Output: 7
}
