// Package reports is the reference application: send a CSV, a worker profiles
// it, and the report appears in every tab of the session, also after a reload, a
// restart or a closed browser.
package reports

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"lastmile/cmd/internal/profilejob"
	"lastmile/cmd/internal/sample"
	"lastmile/jobs"
	"lastmile/live"
	"lastmile/push"
)

// State is the page: the session's reports, and the one that this tab shows.
type State struct {
	// Rows survive reloads and are shared by the session's tabs.
	Rows []Row `live:"persist"`
	// Hidden are jobs that the user took off the list.
	Hidden []string `live:"persist"`
	// Open is the job whose report is shown in this tab.
	Open   string
	Report *profilejob.Report
	// MaxBytes and Demo are the program's settings, for the form.
	MaxBytes int64
	Demo     bool
}

// Reports is the page's controller.
type Reports struct {
	Profile *jobs.Kind[profilejob.Args, profilejob.Report]
	Jobs    *jobs.Client
	// Forget removes an uploaded file that nobody needs any more.
	Forget func(ctx context.Context, file string) error
	Log    *slog.Logger
}

// maxRows bounds the list; the oldest reports leave it first.
const maxRows = 30

// maxHidden bounds what is remembered of removed rows: a session's job list
// holds the newest 200.
const maxHidden = 200

// Mount shows what is known of the session's jobs, and the report that the
// address names or the latest one.
func (c *Reports) Mount(s State, ctx *live.Context) (State, error) {
	infos, err := jobs.ForSession(ctx, c.Jobs, ctx.Session())
	if err != nil {
		return s, err
	}
	known := make(map[string]bool, len(infos))
	for _, i := range slices.Backward(infos) {
		if known[i.ID] = true; i.Kind == c.Profile.Name() && !slices.Contains(s.Hidden, i.ID) {
			s.Rows = put(s.Rows, rowOf(i))
		}
	}
	s.Rows = slices.Clone(s.Rows)
	for i, r := range s.Rows {
		if !known[r.ID] && !r.State.Ended() {
			s.Rows[i].State, s.Rows[i].Error = jobs.StateLost, "nothing is known of this job any more"
		}
	}
	want := ctx.Request().Query().Get("report")
	if want == "" {
		if i := slices.IndexFunc(s.Rows, func(r Row) bool { return r.State == jobs.StateCompleted }); i >= 0 {
			want = s.Rows[i].ID
		}
	}
	return c.show(s, ctx, want)
}

// OnConnect follows what other tabs of the session do to the list.
func (c *Reports) OnConnect(s State, ctx *live.Context) (State, error) {
	return s, ctx.Subscribe(ctx.SelfTopic())
}

// Sample profiles the data set that is shipped with the program.
func (c *Reports) Sample(s State, ctx *live.Context) (State, error) {
	args := profilejob.Args{Name: sample.Name, Size: int64(len(sample.CSV))}
	if s.Demo {
		args.Slow, args.Flaky = demo(ctx.GetInt("slow"), ctx.GetInt("flaky"))
	}
	h, err := c.Profile.Enqueue(ctx, args, profilejob.Notify(ctx.Session()))
	if err != nil {
		return s, err
	}
	s.Rows = put(s.Rows, Row{ID: h.ID, Name: args.Name, Size: args.Size, State: jobs.StateQueued, Gen: h.Gen, Created: time.Now()})
	return s, nil
}

// demo bounds what the demo's fields ask for.
func demo(slow, flaky int) (int, int) {
	return min(max(slow, 0), profilejob.MaxSlow), min(max(flaky, 0), profilejob.MaxFlaky)
}

// Show opens a report in this tab.
func (c *Reports) Show(s State, ctx *live.Context) (State, error) {
	return c.show(s, ctx, ctx.GetString("id"))
}

// Close puts the open report away.
func (c *Reports) Close(s State, _ *live.Context) (State, error) {
	s.Open, s.Report = "", nil
	return s, nil
}

// Cancel ends a job of this session, wherever it runs.
func (c *Reports) Cancel(s State, ctx *live.Context) (State, error) {
	row := s.edit(ctx.GetString("id"))
	if row == nil {
		return s, nil
	}
	if err := c.Jobs.Cancel(ctx, row.ID); err != nil && !errors.Is(err, jobs.ErrEnded) && !errors.Is(err, jobs.ErrNotFound) {
		return s, err
	}
	if !row.State.Ended() {
		row.Cancelling = true
	}
	return s, nil
}

// Retry runs a job of this session that failed again, from its first attempt.
func (c *Reports) Retry(s State, ctx *live.Context) (State, error) {
	row := s.edit(ctx.GetString("id"))
	if row == nil {
		return s, nil
	}
	switch err := c.Jobs.Retry(ctx, row.ID); {
	case errors.Is(err, jobs.ErrNotFound):
		ctx.SetFlash("error", "This job is too old to be run again. Please send the file once more.")
	case err != nil && !errors.Is(err, jobs.ErrOpen):
		return s, err
	default:
		*row = Row{ID: row.ID, Name: row.Name, Size: row.Size, Created: row.Created, Gen: row.Gen, State: jobs.StateQueued}
	}
	return s, nil
}

// Remove takes an ended job off the list, with its file.
func (c *Reports) Remove(s State, ctx *live.Context) (State, error) {
	id := ctx.GetString("id")
	if row := s.row(id); row == nil || !row.State.Ended() {
		return s, nil
	}
	c.forget(ctx, id)
	if err := ctx.Publish(ctx.SelfTopic(), "ReportRemoved", map[string]any{"id": id}); err != nil {
		return s, err
	}
	return c.remove(s, id), nil
}

// ReportRemoved follows another tab. Who misses it sees the list at the next
// push or mount.
func (c *Reports) ReportRemoved(s State, ctx *live.Context) (State, error) {
	return c.remove(s, ctx.GetString("id")), nil
}

func (c *Reports) remove(s State, id string) State {
	if slices.Contains(s.Hidden, id) {
		return s
	}
	s.Rows = slices.DeleteFunc(slices.Clone(s.Rows), func(r Row) bool { return r.ID == id })
	s.Hidden = append(slices.Clone(s.Hidden), id)
	s.Hidden = s.Hidden[max(0, len(s.Hidden)-maxHidden):]
	if s.Open == id {
		s.Open, s.Report = "", nil
	}
	return s
}

// ReportProgress takes a job's step: queued, started, how far, retrying, stalled.
func (c *Reports) ReportProgress(s State, ctx *live.Context) (State, error) {
	s, _, err := c.update(s, ctx)
	return s, err
}

// ReportDone takes a job's report.
func (c *Reports) ReportDone(s State, ctx *live.Context) (State, error) {
	s, row, err := c.update(s, ctx)
	if err != nil || row == nil {
		return s, err
	}
	var report profilejob.Report
	if err := ctx.Bind(&report); err != nil {
		return s, fmt.Errorf("%w: %w", push.ErrReject, err) // another attempt reads the same
	}
	row.Rows, row.Columns = report.Rows, len(report.Columns)
	if s.Open == "" || s.Open == row.ID { // else somebody reads another one
		s.Open, s.Report = row.ID, &report
	}
	c.forget(ctx, row.ID)
	return s, nil
}

// ReportFailed takes the end of a job that brought no report.
func (c *Reports) ReportFailed(s State, ctx *live.Context) (State, error) {
	s, _, err := c.update(s, ctx)
	return s, err
}

// update writes an event into the job's row, making one when this is the first
// that the page hears of the job (an upload, or another tab's).
func (c *Reports) update(s State, ctx *live.Context) (State, *Row, error) {
	e, err := jobs.EventOf(ctx)
	if err != nil {
		return s, nil, fmt.Errorf("%w: %w", push.ErrReject, err)
	}
	if slices.Contains(s.Hidden, e.ID) {
		return s, nil, nil
	}
	row := s.edit(e.ID)
	if row == nil {
		info, err := c.Jobs.Get(ctx, e.ID)
		if errors.Is(err, jobs.ErrNotFound) {
			return s, nil, nil // an old push of a job that is forgotten
		}
		if err != nil {
			return s, nil, err
		}
		s.Rows = put(s.Rows, rowOf(info))
		row = s.row(e.ID)
	}
	row.apply(e)
	return s, row, nil
}

// show loads a report of this session.
func (c *Reports) show(s State, ctx *live.Context, id string) (State, error) {
	s.Open, s.Report = "", nil
	row := s.row(id)
	if row == nil || row.State != jobs.StateCompleted {
		return s, nil
	}
	info, err := c.Jobs.Get(ctx, id)
	if errors.Is(err, jobs.ErrNotFound) {
		ctx.SetFlash("error", "This report is no longer kept. Please send the file once more.")
		return s, nil
	}
	if err != nil {
		return s, err
	}
	report, err := c.Profile.Result(info)
	if err != nil {
		return s, err
	}
	s.Open, s.Report = id, &report
	return s, nil
}

// forget removes a job's uploaded file. It would expire anyway, so failing to
// do it is only noted.
func (c *Reports) forget(ctx context.Context, id string) {
	info, err := c.Jobs.Get(ctx, id)
	var args profilejob.Args
	if err == nil {
		err = json.Unmarshal(info.Args, &args)
	}
	if err == nil && args.File != "" {
		err = c.Forget(ctx, args.File)
	}
	if err != nil && !errors.Is(err, jobs.ErrNotFound) {
		c.Log.WarnContext(ctx, "uploaded file stays until it expires", "id", id, "error", err)
	}
}
