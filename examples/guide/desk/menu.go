package main

import (
	"html/template"
	"net/url"
	"strings"

	"lastmile"
	"lastmile/live"
)

// Menu is the state of the page that shows what there is.
type Menu struct{ Find string }

// Items are those that contain what was looked for. A template may call
// methods of the state.
func (m Menu) Items() []string {
	var found []string
	for _, item := range []string{"Black tea", "Green tea", "Teapot", "Cup", "Spoon", "Sugar"} {
		if strings.Contains(strings.ToLower(item), strings.ToLower(m.Find)) {
			found = append(found, item)
		}
	}
	return found
}

var menuPage = template.Must(template.New("menu").Parse(`<h1>Menu</h1>
<form method="post">
  <label>Find <input name="find" value="{{.Find}}" type="search"></label>
  <button name="live-action" value="Search">Find</button>
</form>
<ul>{{range .Items}}<li><a href="/?item={{.}}">{{.}}</a></li>{{else}}<li>Nothing of that name.</li>{{end}}</ul>
<p><a href="/menu?find=tea">Tea</a>, <a href="/menu">all</a></p>`))

// MenuPage has the menu's actions.
type MenuPage struct{}

// Search gives the page another address.
func (*MenuPage) Search(s Menu, ctx *live.Context) (Menu, error) {
	return s, ctx.PatchURL("?" + url.Values{"find": {ctx.GetString("find")}}.Encode())
}

// OnURL makes of the state what the address says.
func (*MenuPage) OnURL(s Menu, ctx *live.Context) (Menu, error) {
	s.Find = ctx.Request().Query().Get("find")
	return s, nil
}

// OnURL fills the form in for who comes from the menu.
func (*FormPage) OnURL(s Form, ctx *live.Context) (Form, error) {
	s.Item = ctx.Request().Query().Get("item")
	return s, nil
}

func (d *Desk) menu() error {
	return lastmile.Page(d.app, "/menu", &MenuPage{}, Menu{}, menuPage, live.ViewConfig{Title: "Menu"})
}
