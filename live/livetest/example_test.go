package livetest_test

import (
	"fmt"
	"html/template"
	"testing"

	"lastmile/internal/exampletest"
	"lastmile/live"
	"lastmile/live/internal/hubtest"
	"lastmile/live/livetest"
)

// Counter is the state of the page under test, Controller has its actions.
type (
	Counter struct {
		N int `live:"persist"`
	}
	Controller struct{}
)

// Add is called by the page's button, Tick by pushes.
func (Controller) Add(s Counter, _ *live.Context) (Counter, error) {
	s.N++
	return s, nil
}

// Tick counts too.
func (c Controller) Tick(s Counter, ctx *live.Context) (Counter, error) { return c.Add(s, ctx) }

// app is the program under test, with its store in memory.
type app struct {
	hubtest.Process
	counter *live.View[Counter]
}

func newApp(t testing.TB) app {
	t.Helper()
	process := hubtest.New(t, live.Config{})
	tmpl := template.Must(template.New("counter").Parse(`<form><b>{{.N}}</b><button name="live-action" value="Add">+</button></form>`))
	counter, err := live.NewView(process.Hub, "counter", Controller{}, Counter{}, tmpl, live.ViewConfig{})
	if err != nil {
		t.Fatal(err)
	}
	return app{process, counter}
}

// A page is opened, clicked and read.
func ExampleOpen() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	app := newApp(t)
	livetest.Run(t, app.RunNode, app.Hub.Run)

	page := livetest.Open(t, app.counter, "/counter")
	page.Click("button", nil)
	page.Click("Add", nil) // the name of an action does as well
	fmt.Println(page.TextOf("b"), page.HTML())
	// Output: 2 <form><b>2</b><button name="live-action" value="Add">+</button></form>
}

// Pages of one browser share a session.
func ExampleNewBrowser() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	app := newApp(t)
	livetest.Run(t, app.RunNode, app.Hub.Run)

	browser := livetest.NewBrowser(t)
	browser.Open(app.counter, "/counter").Click("button", nil)
	fmt.Println(browser.Open(app.counter, "/counter").TextOf("b"))
	fmt.Println(livetest.Open(t, app.counter, "/counter").TextOf("b")) // a stranger's
	// Output:
	// 1
	// 0
}

// A form works without JavaScript too.
func ExampleBrowser_Get() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	app := newApp(t)
	livetest.Run(t, app.RunNode, app.Hub.Run)

	page := livetest.NewBrowser(t).Get(app.counter, "/counter")
	page = page.Submit("button", nil)
	fmt.Println(page.Status, page.Text())
	// Output: 200 1+
}

// A connection breaks; what was clicked meanwhile is sent once it is back.
func ExamplePage_Reconnect() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	app := newApp(t)
	livetest.Run(t, app.RunNode, app.Hub.Run)

	page := livetest.Open(t, app.counter, "/counter")
	page.Drop()
	click := page.Send("Add", nil)
	page.Reconnect(app.counter) // any node
	fmt.Println(page.Answer(click), page.TextOf("b"))
	// Output: <nil> 1
}

// A node stops as a deployment stops it, and another takes over.
func ExampleStart() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	app := newApp(t)
	livetest.Run(t, app.RunNode)
	stop := livetest.Start(t, app.Hub.Run)

	page := livetest.Open(t, app.counter, "/counter")
	page.Click("button", nil)
	stop()
	fmt.Println(page.WaitClosed())
	// Output: StatusServiceRestart
}

// A page's template is one that can be patched part by part.
func ExampleRegular() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	app := newApp(t)
	livetest.Regular(t, app.counter)
	fmt.Println(len(app.counter.Diagnostics()))
	// Output: 0
}
