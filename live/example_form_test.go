package live_test

import (
	"errors"
	"fmt"

	"lastmile/internal/exampletest"
	"lastmile/live"
	"lastmile/live/livetest"
)

// Orders is the state of a page that takes orders.
type Orders struct{ Count, Pieces int }

// OrdersPage has the page's actions.
type OrdersPage struct{}

// Order takes what a visitor sent, and that may be anything.
func (OrdersPage) Order(s Orders, ctx *live.Context) (Orders, error) {
	var in struct {
		Item   string
		Pieces int
	}
	if err := ctx.Bind(&in); err != nil {
		return s, err
	}
	if in.Pieces < 1 {
		ctx.SetFlash("error", "How many?")
		return s, errors.New("no pieces") // the state stays as it is
	}
	s.Count, s.Pieces = s.Count+1, s.Pieces+in.Pieces
	ctx.SetFlash("info", "Ordered: "+in.Item)
	return s, nil
}

// A form's fields become a struct; messages to the user are flashes.
func ExampleContext_Bind() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	view := exampleView(t, exampleHub(t, live.Config{}), OrdersPage{}, Orders{},
		`<form><input name="item"><input name="pieces"><button name="live-action" value="Order">Order</button></form><p>{{.Count}} orders, {{.Pieces}} pieces</p>`,
		live.ViewConfig{})

	page := livetest.Open(t, view, "/orders")
	page.Submit("form", map[string]any{"item": "tea", "pieces": "3"})
	failed := page.Try("Order", map[string]any{"item": "cup", "pieces": "0"})
	fmt.Println(page.TextOf("p"), failed != nil)
	fmt.Println(page.State().Flashes)
	// Output:
	// 1 orders, 3 pieces true
	// [[info Ordered: tea] [error How many?]]
}

// Guest is the state of a form that may be filled in wrongly.
type Guest struct {
	Name   string
	Errors live.FieldErrors
}

// GuestPage has the form's action.
type GuestPage struct{}

// Enter refuses what has no name.
func (GuestPage) Enter(s Guest, ctx *live.Context) (Guest, error) {
	if s.Name = ctx.GetString("name"); len(s.Name) < 2 {
		return s, live.UserError{Text: "Not quite.", Fields: live.FieldErrors{"name": "two letters at least"}}
	}
	return s, nil
}

// What the user got wrong is answered by the form, with what was typed.
func ExampleUserError() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	view := exampleView(t, exampleHub(t, live.Config{}), GuestPage{}, Guest{},
		`<form method="post"><input name="name" value="{{.Name}}">{{with .Errors.name}}<b>{{.}}</b>{{end}}<button name="live-action" value="Enter">Enter</button></form>`,
		live.ViewConfig{})

	page := livetest.Open(t, view, "/guests")
	fmt.Println(page.Try("Enter", map[string]any{"name": "A"}).Message, page.TextOf("b"))

	answer := livetest.NewBrowser(t).Get(view, "/guests").Submit("button", map[string]string{"name": "A"}) // without JavaScript
	fmt.Println(answer.Status, answer.Text())
	// Output:
	// Not quite. two letters at least
	// 422 Not quite. two letters at leastEnter
}
