package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"lastmile"
)

// Desk is what all pages and jobs of the order desk share.
type Desk struct {
	app      *lastmile.App
	password string // chapter 8
	metrics  string // chapter 12: the address to serve them on
}

// Setup registers what each chapter adds.
func (d *Desk) Setup(app *lastmile.App) error {
	d.app = app
	return errors.Join(
		d.form(),    // chapter 5
		d.menu(),    // chapter 6
		d.list(),    // chapter 7
		d.users(),   // chapter 8
		d.work(),    // chapter 9
		d.track(),   // chapter 10
		d.operate(), // chapter 12
	)
}

// Order is what a visitor wants.
type Order struct {
	ID      string // the action's that made it
	Item    string
	Pieces  int
	State   string // new, sent
	Session string // who ordered: a secret, never shown
	Time    time.Time
}

// put stores an order, new or changed. A program of yours has a database here.
func (d *Desk) put(ctx context.Context, o Order) error {
	data, err := json.Marshal(o)
	if err != nil {
		return err
	}
	err = d.app.Redis().HSet(ctx, "desk:orders", o.ID, data).Err()
	err = errors.Join(err, d.app.Publisher().PublishTopic(ctx, "orders", "Changed", nil)) // chapter 7
	return err
}

// orders returns all orders, the newest first.
func (d *Desk) orders(ctx context.Context) ([]Order, error) {
	stored, err := d.app.Redis().HVals(ctx, "desk:orders").Result()
	if err != nil {
		return nil, err
	}
	list := make([]Order, len(stored))
	for i, data := range stored {
		if err := json.Unmarshal([]byte(data), &list[i]); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(list, func(a, b Order) int { return cmp.Or(b.Time.Compare(a.Time), cmp.Compare(a.ID, b.ID)) })
	return list, nil
}
