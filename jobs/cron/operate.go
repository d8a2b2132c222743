package cron

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/robfig/cron/v3"

	"lastmile/jobs"
	"lastmile/jobs/internal/crontab"
)

// Status is what is known of an entry, by whatever process.
type Status struct {
	// Name, Spec, Location, CatchUp and SkipWhileRunning are the entry's.
	Name             string
	Spec             string
	Location         string
	CatchUp          time.Duration
	SkipWhileRunning bool
	// Kind and Queue are the job's.
	Kind, Queue string
	// Paused is true while its times pass without a job.
	Paused bool
	// Last is the last time that was dealt with, and Skipped the last one without
	// a job: the entry was paused, or the job before was not over.
	Last, Skipped time.Time
	// LastJob is the last job, and LastState where it stands; empty when its
	// retention is over.
	LastJob   string
	LastState jobs.State
	// Next is when it is due next, by the clock of the caller.
	Next time.Time
	// Seen is when a process that runs the entry last said so, once a minute. An
	// entry that was removed from the program stays in the list with an old one.
	Seen time.Time
}

// stored is an entry as all processes see it.
type stored struct {
	Spec     string        `json:"spec"`
	Location string        `json:"location"`
	CatchUp  time.Duration `json:"catch_up,omitempty"`
	Skip     bool          `json:"skip,omitempty"`
	Step     jobs.Step     `json:"step"`
}

func (e *Entry) encode() ([]byte, error) {
	return json.Marshal(stored{e.Spec, e.Location.String(), e.CatchUp, e.SkipWhileRunning, e.Step})
}

// tableOf is where a client's application keeps its entries.
func tableOf(c *jobs.Client) *crontab.Table {
	rdb, key := c.Crontab()
	return &crontab.Table{Redis: rdb, Key: key}
}

// List returns all entries that processes run or have run, by name.
func List(ctx context.Context, c *jobs.Client) ([]Status, error) {
	names, err := tableOf(c).Names(ctx)
	if err != nil {
		return nil, fmt.Errorf("cron: list: %w", err)
	}
	list := make([]Status, 0, len(names))
	for _, name := range names {
		s, err := status(ctx, c, name)
		if err != nil {
			return nil, fmt.Errorf("cron: list %q: %w", name, err)
		}
		list = append(list, s)
	}
	return list, nil
}

func status(ctx context.Context, c *jobs.Client, name string) (Status, error) {
	st, err := tableOf(c).Get(ctx, name)
	if err != nil {
		return Status{}, err
	}
	var e stored
	if err := json.Unmarshal(st.Entry, &e); err != nil {
		return Status{}, err
	}
	s := Status{
		Name: name, Spec: e.Spec, Location: e.Location, CatchUp: e.CatchUp, SkipWhileRunning: e.Skip,
		Kind: e.Step.Kind(), Queue: e.Step.Queue(), Paused: st.Paused, LastJob: st.LastJob, Skipped: st.Skipped, Seen: st.Seen,
	}
	if n := len(st.Recent); n > 0 {
		s.Last = time.Unix(st.Recent[n-1], 0)
	}
	if loc, err := time.LoadLocation(e.Location); err == nil { // this program may know fewer zones
		if schedule, err := cron.ParseStandard(e.Spec); err == nil {
			s.Next = byWallClock(schedule).Next(jobs.Now(ctx, c).In(loc))
		}
	}
	if s.LastJob != "" {
		i, err := c.Get(ctx, s.LastJob)
		if err != nil && !errors.Is(err, jobs.ErrNotFound) {
			return Status{}, err
		}
		s.LastState = i.State
	}
	return s, nil
}

// Pause has the times of an entry pass without a job, in all processes, until
// [Resume]. The error wraps jobs.ErrNotFound when there is no such entry.
func Pause(ctx context.Context, c *jobs.Client, name string) error { return pause(ctx, c, name, true) }

// Resume ends a pause. Times that have passed meanwhile are not made up for.
func Resume(ctx context.Context, c *jobs.Client, name string) error {
	return pause(ctx, c, name, false)
}

func pause(ctx context.Context, c *jobs.Client, name string, paused bool) error {
	if _, err := entryOf(ctx, c, name); err != nil {
		return err
	}
	return tableOf(c).Pause(ctx, name, paused)
}

// RunNow enqueues the job of an entry at once, paused or not, as it was when a
// process last ran it. It is a job of its own beside those of the entry's times,
// but SkipWhileRunning waits for it. The error wraps jobs.ErrNotFound when there
// is no such entry.
func RunNow(ctx context.Context, c *jobs.Client, name string) (jobs.Handle, error) {
	e, err := entryOf(ctx, c, name)
	if err != nil {
		return jobs.Handle{}, err
	}
	h, err := c.EnqueueStep(ctx, "cron:"+name+":now:"+rand.Text()[:16], e.Step)
	if err != nil {
		return h, err
	}
	return h, tableOf(c).Note(ctx, name, time.Time{}, h.ID)
}

func entryOf(ctx context.Context, c *jobs.Client, name string) (stored, error) {
	st, err := tableOf(c).Get(ctx, name)
	if err != nil {
		return stored{}, err
	}
	if len(st.Entry) == 0 {
		return stored{}, fmt.Errorf("%w: cron entry %q", jobs.ErrNotFound, name)
	}
	var e stored
	if err := json.Unmarshal(st.Entry, &e); err != nil {
		return stored{}, fmt.Errorf("cron: read entry %q: %w", name, err)
	}
	return e, nil
}
