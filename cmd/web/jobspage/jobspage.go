// Package jobspage is the operator's page of jobs, a live view: all jobs by state,
// kind and queue, and of one what each attempt said, with its progress and its
// result. It looks again every few seconds. It shows other people's arguments and
// results: mount it behind authentication.
package jobspage

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"strings"
	"time"

	"lastmile/cmd/web/ui"
	"lastmile/jobs"
	"lastmile/live"
)

//go:embed page.html
var pageHTML string

// Deps is what the page stands on.
type Deps struct {
	Hub  *live.Hub
	Jobs *jobs.Client
	UI   *ui.UI
	// Topic is where an OpsTick is published each few seconds.
	Topic string
}

// Row is a job in the list.
type Row struct {
	ID, Kind, Queue  string
	State            jobs.State
	Attempt, Message string
	Created          time.Time
	Over             bool
}

// Failure is an attempt that failed.
type Failure struct {
	Attempt, Gen       int
	At                 time.Time
	Worker, Code, Text string
}

// Detail is the job that is open.
type Detail struct {
	Row
	Gen, Percent        int
	Cancelling          bool
	Worker, Waits       string
	Error, Args, Result string
	Started, Ended      time.Time
	Failures            []Failure
}

// State is the page.
type State struct {
	At          time.Time
	State       jobs.State
	Kind, Queue string
	// After is where the page of the list begins, Next where the one behind it does.
	After, Next string
	Rows        []Row
	Open        *Detail
}

// States are the choices of the filter.
func (s State) States() []jobs.State {
	return []jobs.State{
		jobs.StateQueued, jobs.StateScheduled, jobs.StateRunning, jobs.StateRetrying, jobs.StateStalled,
		jobs.StateCompleted, jobs.StateFailed, jobs.StateCancelled, jobs.StateLost,
	}
}

// pageSize is how many jobs are listed at once.
const pageSize = 25

// New returns the page.
func New(d Deps) (*live.View[State], error) {
	tmpl, err := template.New("jobs").Funcs(ui.Funcs()).Parse(pageHTML)
	if err != nil {
		return nil, fmt.Errorf("jobspage: %w", err)
	}
	view, err := live.NewView(d.Hub, "jobs", &controller{d}, State{}, tmpl, live.ViewConfig{
		Title: "Jobs", Layout: d.UI.Layout(), PushOnly: []string{"OpsTick"}, Pure: ui.Pure(),
	})
	if err != nil {
		return nil, fmt.Errorf("jobspage: %w", err)
	}
	return view, nil
}

// controller holds the actions.
type controller struct{ d Deps }

// Mount looks at the jobs.
func (c *controller) Mount(s State, ctx *live.Context) (State, error) { return c.look(s, ctx) }

// OnConnect follows the ticks.
func (c *controller) OnConnect(s State, ctx *live.Context) (State, error) {
	return s, ctx.Subscribe(c.d.Topic)
}

// OpsTick looks again. Every node ticks, so a tick right after another one is left
// out.
func (c *controller) OpsTick(s State, ctx *live.Context) (State, error) {
	if time.Since(s.At) < time.Second {
		return s, nil
	}
	return c.look(s, ctx)
}

// Filter lists the jobs that are asked for.
func (c *controller) Filter(s State, ctx *live.Context) (State, error) {
	s.State, s.Kind, s.Queue = jobs.State(ctx.GetString("state")), strings.TrimSpace(ctx.GetString("kind")), strings.TrimSpace(ctx.GetString("queue"))
	s.After = ""
	return c.look(s, ctx)
}

// Older turns to the next page.
func (c *controller) Older(s State, ctx *live.Context) (State, error) {
	s.After = s.Next
	return c.look(s, ctx)
}

// Newest turns back to the first page.
func (c *controller) Newest(s State, ctx *live.Context) (State, error) {
	s.After = ""
	return c.look(s, ctx)
}

// Show opens a job.
func (c *controller) Show(s State, ctx *live.Context) (State, error) {
	s.Open = &Detail{Row: Row{ID: ctx.GetString("id")}}
	return c.look(s, ctx)
}

// Close puts the open job away.
func (c *controller) Close(s State, _ *live.Context) (State, error) {
	s.Open = nil
	return s, nil
}

// Cancel ends a job.
func (c *controller) Cancel(s State, ctx *live.Context) (State, error) {
	return c.did(s, ctx, c.d.Jobs.Cancel(ctx, ctx.GetString("id")), "The job is cancelled, or its worker is ending it.")
}

// Retry runs a job again.
func (c *controller) Retry(s State, ctx *live.Context) (State, error) {
	return c.did(s, ctx, c.d.Jobs.Retry(ctx, ctx.GetString("id")), "The job runs again.")
}

// did says what came of something.
func (c *controller) did(s State, ctx *live.Context, err error, text string) (State, error) {
	switch {
	case errors.Is(err, jobs.ErrNotFound):
		ctx.SetFlash("error", "This job is gone.")
	case errors.Is(err, jobs.ErrEnded):
		ctx.SetFlash("error", "This job is over.")
	case errors.Is(err, jobs.ErrOpen):
		ctx.SetFlash("error", "This job is not over.")
	case err != nil:
		return s, err
	default:
		ctx.SetFlash("info", text)
	}
	return c.look(s, ctx)
}

func (c *controller) look(s State, ctx context.Context) (State, error) { //nolint:revive // state first, as in actions
	q := jobs.Query{Kind: s.Kind, Queue: s.Queue, After: s.After, Limit: pageSize}
	if s.State != "" {
		q.States = []jobs.State{s.State}
	}
	p, err := c.d.Jobs.Jobs(ctx, q)
	if errors.Is(err, jobs.ErrInvalid) { // a form that nobody has been shown
		s.State, s.After = "", ""
		p, err = c.d.Jobs.Jobs(ctx, jobs.Query{Kind: s.Kind, Queue: s.Queue, Limit: pageSize})
	}
	if err != nil {
		return s, err
	}
	s.At, s.Next = time.Now(), p.Next
	s.Rows = make([]Row, len(p.Jobs))
	for i := range p.Jobs {
		s.Rows[i] = row(&p.Jobs[i])
	}
	if s.Open == nil {
		return s, nil
	}
	info, err := c.d.Jobs.Get(ctx, s.Open.ID)
	switch {
	case errors.Is(err, jobs.ErrNotFound):
		s.Open = nil
	case err != nil:
		return s, err
	default:
		s.Open = detail(&info)
	}
	return s, nil
}

func row(i *jobs.Info) Row {
	r := Row{ID: i.ID, Kind: i.Kind, Queue: i.Queue, State: i.State, Attempt: "0", Created: i.Created, Over: i.State.Ended(), Message: i.Error}
	if i.Attempts > 0 {
		r.Attempt = fmt.Sprintf("%d of %d", i.Attempt, i.Attempts)
	}
	if i.Error == "" && i.Message != "" {
		r.Message = fmt.Sprintf("%.0f %% %s", 100*i.Fraction, i.Message)
	}
	return r
}

func detail(i *jobs.Info) *Detail {
	d := &Detail{
		Row: row(i), Gen: i.Gen, Percent: int(100 * i.Fraction), Cancelling: i.Cancelling, Worker: i.Worker, Waits: waits(i),
		Error: i.Error, Args: indent(i.Args), Result: indent(i.Result), Started: i.Started, Ended: i.Ended,
	}
	d.Message = i.Message
	for _, f := range i.Failures {
		d.Failures = append(d.Failures, Failure{f.Attempt, f.Gen, f.At, f.Worker, f.Code, f.Message})
	}
	return d
}

// waits says what a job waits for.
func waits(i *jobs.Info) string {
	switch i.State {
	case jobs.StateQueued:
		return "a worker"
	case jobs.StateStalled:
		return "its worker, which is silent, or another one"
	case jobs.StateScheduled:
		if i.WaitsFor != "" {
			return "its turn: " + i.WaitsFor
		}
		return "its time, " + ui.Clock(i.NextAt) + " UTC"
	case jobs.StateRetrying:
		return "its next attempt, at " + ui.Clock(i.NextAt) + " UTC"
	default:
		return ""
	}
}

// indent lays data out for reading, cut where it gets long.
func indent(data json.RawMessage) string {
	const limit = 8 << 10
	var b bytes.Buffer
	if json.Indent(&b, data, "", "  ") != nil {
		b.Reset()
		b.Write(data)
	}
	if text := b.String(); len(text) > limit {
		return strings.ToValidUTF8(text[:limit], "") + "\n… cut after 8 KB"
	}
	return b.String()
}
