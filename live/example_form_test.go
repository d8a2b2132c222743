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
