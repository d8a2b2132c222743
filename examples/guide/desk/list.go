package main

import (
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strconv"

	"lastmile/jobs" // chapter 9
	"lastmile/live"
	"lastmile/push"
)

// List is the state of the page that lists the orders.
type List struct {
	User    string                // chapter 8
	Show    string                // new, sent, or empty for all
	Page    int                   // from 0
	Orders  []Order               `live:"load"`
	More    bool                  `live:"load"`    // there is a next page
	Packing map[string]jobs.Event `live:"persist"` // chapter 9
}

// Next is the address of the next page.
func (s List) Next() string {
	return "/orders?" + url.Values{"show": {s.Show}, "page": {strconv.Itoa(s.Page + 1)}}.Encode()
}

var listPage = template.Must(template.New("list").Parse(`<h1>Orders</h1>
<form method="post" action="/sign-out">{{.User}} <button>Sign out</button></form>{{/* chapter 8 */}}
<form method="post">
  <input type="hidden" name="live-action" value="Filter">
  <button name="show" value="">All</button> <button name="show" value="new">New</button> <button name="show" value="sent">Sent</button>
</form>
<table>{{range .Orders}}
  <tr data-key="{{.ID}}"><td>{{.Item}}</td><td>{{.Pieces}}</td><td>{{.State}}</td>
    {{$job := index $.Packing .ID}}<td>{{if $job.State}}<progress value="{{$job.Fraction}}"></progress> {{$job.State}} {{$job.Error}}{{end}}</td>{{/* chapter 9 */}}
    <td><form method="post"><input type="hidden" name="order" value="{{.ID}}">{{/* chapter 9 */}}
      <button name="live-action" value="Pack" live-disable>Pack</button> <button name="live-action" value="Stop">Stop</button></form></td>{{/* chapter 9 */}}
  </tr>
{{else}}<tr><td>No orders.</td></tr>{{end}}</table>
<form method="post"><button name="live-action" value="PackAll" live-disable>Pack all</button></form>{{/* chapter 9 */}}
{{if .More}}<p><a href="{{.Next}}">Next page</a></p>{{end}}`))

// ListPage has the list's actions.
type ListPage struct{ *Desk }

const pageSize = 20

// OnLoad fills the fields that are not stored.
func (p *ListPage) OnLoad(s List, ctx *live.Context) (List, error) {
	all, err := p.orders(ctx)
	if err != nil {
		return s, err
	}
	s.Orders = nil
	for _, o := range all {
		if s.Show == "" || o.State == s.Show {
			s.Orders = append(s.Orders, o)
		}
	}
	first := min(s.Page*pageSize, len(s.Orders))
	last := min(first+pageSize, len(s.Orders))
	s.Orders, s.More = s.Orders[first:last], last < len(s.Orders)
	return s, nil
}

// OnURL shows what the address says.
func (p *ListPage) OnURL(s List, ctx *live.Context) (List, error) {
	query := ctx.Request().Query()
	page, _ := strconv.Atoi(query.Get("page")) // 0 for what is none
	s.Show, s.Page = query.Get("show"), min(max(page, 0), 1000)
	return p.OnLoad(s, ctx)
}

// Filter is what the three buttons do.
func (p *ListPage) Filter(s List, ctx *live.Context) (List, error) {
	return s, ctx.PatchURL("?" + url.Values{"show": {ctx.GetString("show")}}.Encode())
}

// OnConnect is called for each connection.
func (p *ListPage) OnConnect(s List, ctx *live.Context) (List, error) {
	return s, ctx.Subscribe("orders")
}

// Changed is called by the topic: there is something new to load.
func (p *ListPage) Changed(s List, ctx *live.Context) (List, error) {
	return p.OnLoad(s, ctx)
}

// topics says who may subscribe to what.
func topics(_ live.Identity, topic string) error {
	if topic != "orders" {
		return fmt.Errorf("no topic %q: %w", topic, push.ErrReject)
	}
	return nil
}

func (d *Desk) list() error {
	view, err := live.NewView(d.app.Hub(), "orders", &ListPage{d}, List{}, listPage, live.ViewConfig{
		Title: "Orders",
		PushOnly: []string{
			"Changed",
			"Told", "AllPacked", // chapter 9
		},
	})
	if err != nil {
		return err
	}
	handler := http.Handler(view)
	handler = d.clerks(handler) // chapter 8
	d.app.Handle("/orders", handler)
	return nil
}
