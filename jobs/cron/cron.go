// Package cron enqueues jobs at set times, from any number of processes, without
// a leader.
package cron

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/robfig/cron/v3"

	"lastmile/jobs"
	"lastmile/jobs/internal/tasks"
)

// Entry is a job to be enqueued at set times.
type Entry struct {
	// Name names the entry; all processes that run it use the same.
	Name string
	// Spec says when: five fields (minute, hour, day, month, weekday), or
	// @hourly, @daily, @weekly, @monthly, @yearly. There is no @every, which
	// would count from the start of each process.
	Spec string
	// Location is where Spec's hours are. On days when clocks change there, a
	// set time that is skipped comes as much later, and one that occurs twice
	// counts once. Defaults to UTC.
	Location *time.Location
	// CatchUp is how far back a starting process looks for a time that nobody
	// was there for. The latest one is made up for, once, by the first process
	// that starts; those before it are not, nor one that passed in a pause. The
	// step's Retention must be at least a minute longer, for the job's record is
	// what keeps another process from running a time again. Defaults to 0: none.
	CatchUp time.Duration
	// SkipWhileRunning skips a time when the job of the one before, or of
	// [RunNow], is not over. Defaults to false: jobs may overlap.
	SkipWhileRunning bool
	// Step is the job.
	Step jobs.Step
}

// Cron enqueues jobs at set times. Any number of processes may run the same
// entries: the time is part of the job's ID, so each is enqueued once, without
// a leader.
type Cron struct {
	client  *jobs.Client
	log     *slog.Logger
	entries []*entry
	now     func(context.Context) time.Time
}

type entry struct {
	Entry
	schedule cron.Schedule
	text     []byte    // as other processes see it
	last     time.Time // the last time dealt with
	told     time.Time // when others were told that it is run here
}

const (
	maxName   = 64
	cronRetry = 5 * time.Second
	cronIdle  = time.Minute // at most, so that a clock that is set is noticed
	// cronSlack is how late another process may come to a time.
	cronSlack = time.Minute
)

// New checks the entries. It starts nothing. A nil log is slog.Default().
func New(c *jobs.Client, log *slog.Logger, entries ...Entry) (*Cron, error) {
	out := &Cron{client: c, log: cmp.Or(log, slog.Default()), now: func(ctx context.Context) time.Time { return jobs.Now(ctx, c) }}
	names := make(map[string]bool, len(entries))
	for _, e := range entries {
		if e.Name == "" || len(e.Name) > maxName || !tasks.ValidJob(e.Name) || names[e.Name] || e.CatchUp < 0 {
			return nil, fmt.Errorf("%w: cron entry %q needs a name of its own without '~', and no negative CatchUp", jobs.ErrInvalid, e.Name)
		}
		names[e.Name] = true
		if err := e.Step.Err(); err != nil {
			return nil, fmt.Errorf("cron: entry %q: %w", e.Name, err)
		}
		if strings.HasPrefix(e.Spec, "@every") || strings.Contains(e.Spec, "TZ=") {
			return nil, fmt.Errorf("%w: cron entry %q: %q is not supported", jobs.ErrInvalid, e.Name, e.Spec)
		}
		if keep := e.Step.Retention(); keep < e.CatchUp+cronSlack {
			return nil, fmt.Errorf("%w: cron entry %q: Retention is %v and CatchUp %v: Retention must be at least CatchUp and a minute, %v, or a time could be run twice",
				jobs.ErrInvalid, e.Name, keep, e.CatchUp, e.CatchUp+cronSlack)
		}
		s, err := cron.ParseStandard(e.Spec)
		if err != nil {
			return nil, fmt.Errorf("%w: cron entry %q: %w", jobs.ErrInvalid, e.Name, err)
		}
		if e.Location == nil {
			e.Location = time.UTC
		}
		text, err := e.encode()
		if err != nil {
			return nil, fmt.Errorf("%w: cron entry %q: %w", jobs.ErrInvalid, e.Name, err)
		}
		out.entries = append(out.entries, &entry{Entry: e, schedule: byWallClock(s), text: text})
	}
	return out, nil
}

// Run enqueues until ctx ends, and returns nil then. An enqueue that fails is
// repeated until the entry's next time.
func (c *Cron) Run(ctx context.Context) error {
	now := c.now(ctx)
	for _, e := range c.entries {
		e.last = now
		if missed, ok := e.latest(now.Add(-e.CatchUp), now); ok {
			e.last = missed.Add(-time.Second) // to be made up for
		}
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		}
		timer.Reset(c.tick(ctx))
	}
}

// latest returns the entry's last time in (after, until].
func (e *entry) latest(after, until time.Time) (slot time.Time, ok bool) {
	for t := e.schedule.Next(after.In(e.Location)); !t.IsZero() && !t.After(until); t = e.schedule.Next(t) {
		slot, ok = t, true
	}
	return slot, ok
}

// tick enqueues what is due and returns the time until the next look.
func (c *Cron) tick(ctx context.Context) time.Duration {
	wait := cronIdle
	for _, e := range c.entries {
		now := c.now(ctx)
		if e.last.Sub(now) > cronIdle { // the clock was wrong, and was set back
			e.last = now
		}
		if now.Sub(e.told) >= cronIdle || now.Before(e.told) {
			if err := tableOf(c.client).Put(ctx, e.Name, e.text, now); err != nil {
				c.log.WarnContext(ctx, "cron entry not listed", "entry", e.Name, "error", err)
			} else {
				e.told = now
			}
		}
		if slot, ok := e.latest(e.last, now); ok {
			if err := c.deal(ctx, e, slot); err != nil {
				c.log.WarnContext(ctx, "cron job not enqueued, trying again", "entry", e.Name, "error", err)
				wait = min(wait, cronRetry)
				continue
			}
			e.last = slot
		}
		if next := e.schedule.Next(now.In(e.Location)); !next.IsZero() {
			wait = min(wait, next.Sub(now))
		}
	}
	return max(wait, time.Millisecond)
}

// deal deals with a time of an entry, once for all processes: it is noted after
// its job is enqueued, under an ID that names the time, so that whoever dies in
// between leaves it to be dealt with again.
func (c *Cron) deal(ctx context.Context, e *entry, slot time.Time) error {
	table := tableOf(c.client)
	st, err := table.Get(ctx, e.Name)
	if err != nil || st.Dealt(slot) {
		return err
	}
	if st.Paused {
		c.log.InfoContext(ctx, "cron entry is paused", "entry", e.Name, "time", slot)
		return table.Note(ctx, e.Name, slot, "")
	}
	id := "cron:" + e.Name + ":" + strconv.FormatInt(slot.Unix(), 10)
	if e.SkipWhileRunning && st.LastJob != "" && st.LastJob != id {
		switch i, err := c.client.Get(ctx, st.LastJob); {
		case err == nil && !i.State.Ended():
			c.log.InfoContext(ctx, "cron job skipped, the last one is not over", "entry", e.Name, "time", slot, "id", st.LastJob)
			return table.Note(ctx, e.Name, slot, "")
		case err != nil && !errors.Is(err, jobs.ErrNotFound):
			return err
		}
	}
	if _, err := c.client.EnqueueStep(ctx, id, e.Step); err != nil {
		return err
	}
	return table.Note(ctx, e.Name, slot, id)
}
