package main

import (
	"html/template"
	"strings"
	"time"

	"lastmile"
	"lastmile/live"
)

// Form is the state of the page that takes an order.
type Form struct {
	Item, Pieces string           // as typed
	Errors       live.FieldErrors // by the names of the fields
	Sent         []string         `live:"persist"` // what has come of earlier orders
}

var formPage = template.Must(template.New("form").Parse(`<h1>Order</h1>
<form method="post" live-reset>
  <p><label>Item <input name="item" value="{{.Item}}"></label> {{with .Errors.item}}<b>{{.}}</b>{{end}}</p>
  <p><label>Pieces <input name="pieces" value="{{.Pieces}}" inputmode="numeric"></label> {{with .Errors.pieces}}<b>{{.}}</b>{{end}}</p>
  <button name="live-action" value="Order" live-disable>Order</button>
</form>
<ul>{{range .Sent}}<li>{{.}}</li>{{end}}</ul>
<p><a href="/menu">The menu</a></p>`))

// FormPage has the form's actions.
type FormPage struct{ *Desk }

// Order takes what a visitor sent, and that may be anything.
func (p *FormPage) Order(s Form, ctx *live.Context) (Form, error) {
	s.Item, s.Pieces = strings.TrimSpace(ctx.GetString("item")), ctx.GetString("pieces")
	pieces, wrong := ctx.GetInt("pieces"), live.FieldErrors{}
	if s.Item == "" || len(s.Item) > 80 {
		wrong["item"] = "What shall it be?"
	}
	if pieces < 1 || pieces > 100 {
		wrong["pieces"] = "From 1 to 100."
	}
	if len(wrong) > 0 {
		return s, live.UserError{Text: "Not ordered yet.", Fields: wrong}
	}
	order := Order{ID: ctx.ActionID(), Item: s.Item, Pieces: pieces, State: "new", Session: ctx.Session().ID(), Time: time.Now()}
	if err := p.put(ctx, order); err != nil {
		return s, err
	}
	ctx.SetFlash("info", "Ordered: "+order.Item)
	return Form{Sent: s.Sent}, nil
}

// form registers the page.
func (d *Desk) form() error {
	return lastmile.Page(d.app, "/{$}", &FormPage{d}, Form{}, formPage, live.ViewConfig{
		Title:    "Order",
		PushOnly: []string{"Sent"}, // chapter 9
	})
}
