package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"lastmile/jobs"
	"lastmile/jobs/cron"
	"lastmile/live"
	"lastmile/push"
)

// packing packs the order of an ID.
var packing = jobs.Define[string, Packed]("desk.pack", jobs.MaxRetry(4), jobs.RetryBackoff(time.Second, time.Minute), jobs.Timeout(5*time.Minute))

// Packed is its result.
type Packed struct{ Pieces int }

func (d *Desk) pack(ctx context.Context, j *jobs.Job[string]) (Packed, error) {
	order, err := d.order(ctx, j.Args)
	if err != nil {
		return Packed{}, err // tried again
	}
	if order.Item == "Sugar" {
		return Packed{}, jobs.Discard(jobs.UserError("sold_out", "There is no sugar left."))
	}
	for i := range order.Pieces {
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return Packed{}, context.Cause(ctx)
		}
		j.Progress(float64(i+1)/float64(order.Pieces), "packing")
	}
	order.State = "sent"
	if err := d.put(ctx, order); err != nil {
		return Packed{}, err
	}
	_, err = d.app.Publisher().Session(order.Session).Trigger(ctx, "Sent", map[string]any{"text": order.Item + " is on its way."}, push.WithID("sent:"+order.ID))
	return Packed{order.Pieces}, err
}

// order returns one order.
func (d *Desk) order(ctx context.Context, id string) (o Order, err error) {
	data, err := d.app.Redis().HGet(ctx, "desk:orders", id).Bytes()
	if err != nil {
		return o, fmt.Errorf("order %q: %w", id, err)
	}
	return o, json.Unmarshal(data, &o)
}

// Sent tells who ordered.
func (*FormPage) Sent(s Form, ctx *live.Context) (Form, error) {
	s.Sent = append(s.Sent, ctx.GetString("text"))
	return s, nil
}

// Pack has a job pack one order.
func (p *ListPage) Pack(s List, ctx *live.Context) (List, error) {
	id := ctx.GetString("order")
	if _, err := p.order(ctx, id); err != nil {
		return s, err
	}
	h, err := packing.With(p.app.Jobs()).Enqueue(ctx, id, jobs.Unique(time.Minute), jobs.Notify(ctx.Session(),
		jobs.OnProgress("Told"), jobs.OnDone("Told"), jobs.OnFailed("Told"), jobs.On("Told", jobs.StateRetrying, jobs.StateStalled)))
	if err != nil {
		return s, err
	}
	if s.Packing == nil {
		s.Packing = map[string]jobs.Event{}
	}
	s.Packing[id] = jobs.Event{ID: h.ID, State: h.State}
	return s, nil
}

// Told is called with each event of such a job.
func (*ListPage) Told(s List, ctx *live.Context) (List, error) {
	event, err := jobs.EventOf(ctx)
	for order, before := range s.Packing {
		if before.ID == event.ID {
			s.Packing[order] = event
		}
		if before.ID == event.ID && event.State == jobs.StateCompleted {
			delete(s.Packing, order)
		}
	}
	return s, err
}

// Stop cancels the job of an order.
func (p *ListPage) Stop(s List, ctx *live.Context) (List, error) {
	err := p.app.Jobs().Cancel(ctx, s.Packing[ctx.GetString("order")].ID)
	if errors.Is(err, jobs.ErrEnded) || errors.Is(err, jobs.ErrNotFound) {
		return s, nil // there is nothing to stop
	}
	return s, err
}

// counting counts what has come of the batch of an ID.
var counting = jobs.Define[string, Counted]("desk.count")

// Counted is its result.
type Counted struct{ Sent, Failed int }

func (d *Desk) count(ctx context.Context, j *jobs.Job[string]) (c Counted, err error) {
	members, err := d.app.Jobs().BatchOf(ctx, j.Args)
	for _, m := range members {
		if m.State == jobs.StateCompleted {
			c.Sent++
		} else {
			c.Failed++
		}
	}
	return c, err
}

// PackAll packs all new orders side by side.
func (p *ListPage) PackAll(s List, ctx *live.Context) (List, error) {
	all, err := p.orders(ctx)
	if err != nil {
		return s, err
	}
	var steps []jobs.Step
	for _, o := range all {
		if o.State == "new" {
			steps = append(steps, packing.Step(o.ID))
		}
	}
	if len(steps) == 0 {
		return s, live.UserError{Text: "There is nothing to pack."}
	}
	batch := ctx.ActionID()
	return s, p.app.Jobs().Batch(ctx, batch, steps, counting.Step(batch, jobs.Notify(ctx.Session(), jobs.OnDone("AllPacked"))))
}

// AllPacked tells how it went.
func (*ListPage) AllPacked(s List, ctx *live.Context) (List, error) {
	ctx.SetFlash("info", fmt.Sprintf("%d sent, %d not", ctx.GetInt("Sent"), ctx.GetInt("Failed")))
	return s, nil
}

// tidying deletes what was sent a month ago.
var tidying = jobs.Define[struct{}, int]("desk.tidy")

func (d *Desk) tidy(ctx context.Context, _ *jobs.Job[struct{}]) (deleted int, err error) {
	all, err := d.orders(ctx)
	if err != nil {
		return 0, err
	}
	for _, o := range all {
		if o.State != "sent" || time.Since(o.Time) < 30*24*time.Hour {
			continue
		}
		if err := d.app.Redis().HDel(ctx, "desk:orders", o.ID).Err(); err != nil {
			return deleted, err
		}
		deleted++
	}
	return deleted, nil
}

// work registers the jobs.
func (d *Desk) work() error {
	packing.Handle(d.app.Pool(), d.pack)
	counting.Handle(d.app.Pool(), d.count)
	tidying.Handle(d.app.Pool(), d.tidy)
	nightly, err := cron.New(d.app.Jobs(), nil, cron.Entry{Name: "tidy", Spec: "0 3 * * *", Step: tidying.Step(struct{}{})})
	if err != nil {
		return err
	}
	d.app.Background("cron", nightly.Run)
	return nil
}
