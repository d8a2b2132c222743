// Package quickstart is README's application, compiled, linted and run. It has
// nothing that README does not show. Nothing imports it.
package quickstart

import (
	"context"

	"lastmile/jobs"
	"lastmile/live"
)

type (
	Args   struct{ File string }
	Report struct{ Rows int }
)

// The job, shared by web and worker.
var Count = jobs.Define[Args, Report]("count")

func count(ctx context.Context, j *jobs.Job[Args]) (Report, error) {
	return rowsOf(ctx, j.Args.File, func(done float64) { j.Progress(done, "reading rows") })
}

// The page: a state, and methods that turn it into the next.
type State struct {
	File, Error string
	Percent     int
	Report      *Report `live:"persist"` // survives everything, shared by the session's tabs
}
type Reports struct{ Count *jobs.Kind[Args, Report] }

func (c *Reports) Start(s State, ctx *live.Context) (State, error) {
	s = State{File: ctx.GetString("file")}
	_, err := c.Count.Enqueue(ctx, Args{File: s.File}, jobs.Notify(ctx.Session(),
		jobs.OnProgress("Moved"), jobs.OnDone("Finished"), jobs.OnFailed("Broke")))
	return s, err
}

func (c *Reports) Moved(s State, ctx *live.Context) (State, error) {
	e, err := jobs.EventOf(ctx)
	s.Percent = int(100 * e.Fraction)
	return s, err
}

func (c *Reports) Broke(s State, ctx *live.Context) (State, error) {
	e, err := jobs.EventOf(ctx)
	s.Error = e.Error
	return s, err
}

func (c *Reports) Finished(s State, ctx *live.Context) (State, error) {
	err := ctx.Bind(&s.Report)
	return s, err
}
