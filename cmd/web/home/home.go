// Package home is the first page: what this is, a job of the visitor's on its way
// through all ten hops, and where to go on. In the demonstration (make demo) it has
// a button to kill and to pause for each process. It kills nothing itself: it asks
// the demonstration's parent.
package home

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"time"

	"lastmile/cmd/internal/control"
	"lastmile/cmd/internal/journey"
	"lastmile/cmd/web/ui"
	"lastmile/jobs"
	"lastmile/live"
	"lastmile/push"
)

//go:embed page.html
var page string

// Topic is what the page subscribes to: what becomes of the processes.
const Topic = "processes"

// Deps is what the page stands on.
type Deps struct {
	Hub  *live.Hub
	Jobs *jobs.Client
	UI   *ui.UI
	// Control reaches the demonstration's parent. Nil elsewhere: then the page has
	// no buttons that kill.
	Control *control.Client
	// Process names this process, such as "web-1". May be empty.
	Process string
	// Log may be nil: then slog.Default() is used.
	Log *slog.Logger
}

// State is what the page shows.
type State struct {
	Trip Trip `live:"persist"`
	// Sent counts the jobs of this session, Applied the ends of them that the page
	// was told of and has applied.
	Sent    int `live:"persist"`
	Applied int `live:"persist"`
	// Node is the process that serves the page.
	Node string
	// Breakable tells that there are processes to kill.
	Breakable bool
	Processes []control.Process
}

// Controller has the page's actions.
type Controller struct {
	d    Deps
	kind *jobs.Kind[journey.Args, journey.Result]
}

// Register adds the page to mux. The returned function follows the processes; it
// has to run beside the pages.
func Register(mux *http.ServeMux, d Deps) (func(context.Context) error, error) {
	if d.Log == nil {
		d.Log = slog.Default()
	}
	tmpl, err := template.New("home").Funcs(ui.Funcs()).Parse(page)
	if err != nil {
		return nil, fmt.Errorf("home: %w", err)
	}
	c := &Controller{d: d, kind: journey.Kind.With(d.Jobs)}
	view, err := live.NewView(d.Hub, "home", c, State{}, tmpl, live.ViewConfig{
		Title: "What is accepted is applied", Layout: d.UI.Layout(), Pure: ui.Pure(), PushOnly: []string{"Arrived", "Ended", "Moved", "Processes"},
	})
	if err != nil {
		return nil, fmt.Errorf("home: %w", err)
	}
	mux.Handle("GET /{$}", view)
	mux.Handle("POST /{$}", view)
	return c.follow, nil
}

// Mount says who serves the page, and what there is to kill.
func (c *Controller) Mount(s State, ctx *live.Context) (State, error) { return c.look(s, ctx), nil }

// OnConnect follows the processes. The page may have come from another one.
func (c *Controller) OnConnect(s State, ctx *live.Context) (State, error) {
	if c.d.Control == nil {
		return s, nil
	}
	return c.look(s, ctx), ctx.Subscribe(Topic)
}

func (c *Controller) look(s State, ctx context.Context) State { //nolint:revive // state first, as in actions
	s.Node, s.Breakable = c.d.Process, c.d.Control != nil
	if !s.Breakable {
		return s
	}
	all, err := c.d.Control.Processes(ctx)
	if err != nil {
		c.d.Log.WarnContext(ctx, "the demonstration's parent does not answer", "error", err)
		return s
	}
	s.Processes = all
	return s
}

// Send sends a job on its way.
func (c *Controller) Send(s State, ctx *live.Context) (State, error) {
	seconds := min(max(ctx.GetInt("seconds"), 1), journey.MaxSeconds)
	h, err := c.kind.Enqueue(ctx, journey.Args{Seconds: seconds}, journey.Notify(ctx.Session()))
	if err != nil {
		return s, err
	}
	s.Sent++
	s.Trip = Trip{ID: h.ID, Sent: jobs.Now(ctx, c.d.Jobs), Seconds: seconds}
	s.Trip = s.Trip.note("sent", "Enqueued by the click, by "+orThis(s.Node), s.Trip.Sent)
	return s, nil
}

// Moved takes a step on the way: queued, started, how far, stalled, retrying.
func (c *Controller) Moved(s State, ctx *live.Context) (State, error) {
	e, err := jobs.EventOf(ctx)
	if err != nil {
		return s, fmt.Errorf("%w: %w", push.ErrReject, err)
	}
	s.Trip = s.Trip.move(e, jobs.Now(ctx, c.d.Jobs))
	return s, nil
}

// Arrived takes the result.
func (c *Controller) Arrived(s State, ctx *live.Context) (State, error) {
	e, err := jobs.EventOf(ctx)
	var r journey.Result
	if err = errors.Join(err, ctx.Bind(&r)); err != nil {
		return s, fmt.Errorf("%w: %w", push.ErrReject, err)
	}
	s.Applied++
	s.Trip = s.Trip.arrive(e, r, jobs.Now(ctx, c.d.Jobs))
	return s, nil
}

// Ended takes an end without a result.
func (c *Controller) Ended(s State, ctx *live.Context) (State, error) {
	e, err := jobs.EventOf(ctx)
	if err != nil {
		return s, fmt.Errorf("%w: %w", push.ErrReject, err)
	}
	s.Applied++
	s.Trip = s.Trip.move(e, jobs.Now(ctx, c.d.Jobs))
	return s, nil
}

// Break kills, pauses or resumes a process. The page may hang on that very one: then
// the click comes again by another, under the same ID, and is obeyed once.
func (c *Controller) Break(s State, ctx *live.Context) (State, error) {
	if c.d.Control == nil {
		return s, live.UserError{Text: "There is nothing to break here. Run the demonstration: make demo"}
	}
	what := control.Request{ID: ctx.ActionID(), Process: ctx.GetString("process"), Do: control.Do(ctx.GetString("do"))}
	// What is written first is in the strip also when the page's own process dies.
	s.Trip = s.Trip.note("broken", what.Process+": "+word(what.Do), jobs.Now(ctx, c.d.Jobs))
	switch err := c.d.Control.Do(ctx, what); {
	case errors.Is(err, control.ErrRefused):
		return s, live.UserError{Text: err.Error()}
	case err != nil:
		return s, err
	}
	return s, nil
}

// Processes takes what has become of the processes.
func (c *Controller) Processes(s State, ctx *live.Context) (State, error) {
	var all struct{ Processes []control.Process }
	if err := ctx.Bind(&all); err != nil {
		return s, fmt.Errorf("%w: %w", push.ErrReject, err)
	}
	s.Processes = all.Processes
	return s, nil
}

// follow tells the pages of this and other processes when a process has changed,
// and tells it again each second: a topic's message is not kept, and the node of a
// page may not follow the topic yet after a restart of Redis. All web nodes do: what
// they say is the same.
func (c *Controller) follow(ctx context.Context) error {
	if c.d.Control == nil {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(300 * time.Millisecond)
	defer tick.Stop()
	var last []control.Process
	var told time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		all, err := c.d.Control.Processes(ctx)
		if err != nil || (reflect.DeepEqual(all, last) && time.Since(told) < time.Second) {
			continue
		}
		if err := c.d.Hub.Publish(ctx, Topic, "Processes", map[string]any{"Processes": all}); err == nil {
			last, told = slices.Clone(all), time.Now()
		}
	}
}
