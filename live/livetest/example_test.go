package livetest_test

import (
	"bytes"
	"fmt"
	"html/template"
	"log/slog"
	"testing"

	"lastmile/internal/exampletest"
	"lastmile/live"
	"lastmile/live/livetest"
	"lastmile/push"
	"lastmile/push/mempush"
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

// app is the program under test: what stands below the pages, in memory.
type app struct {
	node      *push.Node
	publisher *push.Publisher
	hub       *live.Hub
	counter   *live.View[Counter]
}

func newApp(t testing.TB) app {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	store, err := mempush.New(mempush.Config{})
	if err != nil {
		t.Fatal(err)
	}
	node, err := push.NewNode(store, push.NodeConfig{Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	publisher, err := push.NewPublisher(store, push.PublisherConfig{Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	hub, err := live.New(live.Deps{Node: node, Publisher: publisher, States: store, Broker: store},
		live.Config{Secret: bytes.Repeat([]byte("s"), 32), Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	tmpl := template.Must(template.New("counter").Parse(`<form><b>{{.N}}</b><button name="live-action" value="Add">+</button></form>`))
	counter, err := live.NewView(hub, "counter", Controller{}, Counter{}, tmpl, live.ViewConfig{})
	if err != nil {
		t.Fatal(err)
	}
	return app{node, publisher, hub, counter}
}

// A page is opened, clicked and read.
func ExampleOpen() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	app := newApp(t)
	livetest.Run(t, app.node.Run, app.hub.Run)

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
	livetest.Run(t, app.node.Run, app.hub.Run)

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
	livetest.Run(t, app.node.Run, app.hub.Run)

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
	livetest.Run(t, app.node.Run, app.hub.Run)

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
	livetest.Run(t, app.node.Run)
	stop := livetest.Start(t, app.hub.Run)

	page := livetest.Open(t, app.counter, "/counter")
	page.Click("button", nil)
	stop()
	fmt.Println(page.WaitClosed())
	// Output: StatusServiceRestart
}
