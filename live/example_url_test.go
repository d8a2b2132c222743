package live_test

import (
	"fmt"
	"strconv"

	"lastmile/internal/exampletest"
	"lastmile/live"
	"lastmile/live/livetest"
)

// Catalog shows one page of a catalog.
type Catalog struct{ Page int }

// CatalogPage turns pages by their address.
type CatalogPage struct{}

// OnURL shows what the address says.
func (CatalogPage) OnURL(s Catalog, ctx *live.Context) (Catalog, error) {
	s.Page, _ = strconv.Atoi(ctx.Request().Query().Get("page")) // 0 for what is none
	return s, nil
}

// Next turns the page.
func (CatalogPage) Next(s Catalog, ctx *live.Context) (Catalog, error) {
	return s, ctx.PatchURL("?page=" + strconv.Itoa(s.Page+1))
}

// The address follows the page, and the page its address.
func ExampleContext_PatchURL() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	hub := exampleHub(t, live.Config{})
	view := exampleView(t, hub, CatalogPage{}, Catalog{}, `page {{.Page}}`, live.ViewConfig{})

	page := livetest.Open(t, view, "/catalog?page=6")
	page.Click("Next", nil)
	fmt.Println(page.Address(), page.Text())
	page.Back()
	fmt.Println(page.Address(), page.Text())
	// Output:
	// /catalog?page=7 page 7
	// /catalog?page=6 page 6
}
