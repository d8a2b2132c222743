package recipes

import (
	"html/template"
	"strings"

	"lastmile"
	"lastmile/live"
)

// Search is the state of a page that searches while the user types.
type Search struct {
	Find  string
	Found []string `live:"load"`
}

var searchPage = template.Must(template.New("search").Parse(`<form method="post">
  <input name="find" type="search" value="{{.Find}}" live-input="Search" live-debounce="200">
  <button name="live-action" value="Search">Find</button>
</form>
<ul>{{range .Found}}<li data-key="{{.}}">{{.}}</li>{{else}}<li>Nothing found.</li>{{end}}</ul>`))

// SearchPage has its actions.
type SearchPage struct{ find func(text string) []string }

// OnLoad fills what is not stored.
func (p *SearchPage) OnLoad(s Search, _ *live.Context) (Search, error) {
	s.Found = p.find(s.Find)
	return s, nil
}

// Search is called when the typing pauses, and by the button.
func (p *SearchPage) Search(s Search, ctx *live.Context) (Search, error) {
	s.Find = ctx.GetString("find")
	return p.OnLoad(s, ctx)
}

func search(app *lastmile.App) error {
	return lastmile.Page(app, "/search", &SearchPage{cities}, Search{}, searchPage, live.ViewConfig{Title: "Search"})
}

// cities stands for a database.
func cities(text string) (found []string) {
	for _, city := range []string{"Berlin", "Bern", "Bergen", "Lisbon", "London", "Lyon", "Oslo"} {
		if strings.Contains(strings.ToLower(city), strings.ToLower(text)) {
			found = append(found, city)
		}
	}
	return found
}
