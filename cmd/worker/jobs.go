package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"lastmile/cmd/internal/config"
	"lastmile/jobs"
)

// jobInfo is a job as it is printed.
type jobInfo struct {
	ID    string     `json:"id"`
	Kind  string     `json:"kind"`
	Queue string     `json:"queue"`
	State jobs.State `json:"state"`
	// Cancelling is true while a cancellation waits for the worker.
	Cancelling bool            `json:"cancelling,omitempty"`
	Attempt    int             `json:"attempt"`
	Attempts   int             `json:"attempts"`
	Gen        int             `json:"gen"`
	Fraction   float64         `json:"fraction"`
	Message    string          `json:"message,omitempty"`
	Code       string          `json:"code,omitempty"`
	Error      string          `json:"error,omitempty"`
	Args       json.RawMessage `json:"args,omitempty"`
	Result     json.RawMessage `json:"result,omitempty"`
	Created    time.Time       `json:"created,omitzero"`
	Updated    time.Time       `json:"updated,omitzero"`
	Started    time.Time       `json:"started,omitzero"`
	Ended      time.Time       `json:"ended,omitzero"`
	NextAt     time.Time       `json:"next_at,omitzero"`
	Worker     string          `json:"worker,omitempty"`
	Failures   []failure       `json:"failures,omitempty"`
}

// failure is an attempt that failed.
type failure struct {
	At      time.Time `json:"at"`
	Gen     int       `json:"gen"`
	Attempt int       `json:"attempt"`
	Worker  string    `json:"worker,omitempty"`
	Code    string    `json:"code"`
	Message string    `json:"message"`
}

func describe(i jobs.Info) jobInfo {
	var failures []failure
	for _, f := range i.Failures {
		failures = append(failures, failure(f))
	}
	return jobInfo{
		ID: i.ID, Kind: i.Kind, Queue: i.Queue, State: i.State, Cancelling: i.Cancelling, Attempt: i.Attempt, Attempts: i.Attempts, Gen: i.Gen,
		Fraction: i.Fraction, Message: i.Message, Code: i.Code, Error: i.Error, Args: i.Args, Result: i.Result,
		Created: i.Created, Updated: i.Updated, Started: i.Started, Ended: i.Ended, NextAt: i.NextAt,
		Worker: i.Worker, Failures: failures,
	}
}

// jobsWhere chooses jobs.
type jobsWhere struct {
	State         []string `name:"state" placeholder:"STATE,..." help:"Jobs in these states: queued, scheduled, running, retrying, stalled, completed, failed, cancelled or lost."`
	Kind          string   `name:"kind" help:"Jobs of this kind."`
	Queue         string   `name:"queue" help:"Jobs in this queue."`
	Session       string   `name:"session" help:"Jobs of this session, of which the newest 200 are known."`
	CreatedSince  moment   `name:"created-since" placeholder:"TIME" help:"Jobs made at this time or later: as 2026-11-30T12:00:00Z, or as an age such as 90m."`
	CreatedBefore moment   `name:"created-before" placeholder:"TIME" help:"Jobs made before this time."`
	EndedSince    moment   `name:"ended-since" placeholder:"TIME" help:"Jobs that ended at this time or later."`
	EndedBefore   moment   `name:"ended-before" placeholder:"TIME" help:"Jobs that ended before this time."`
}

// moment is a time, given as such or as an age.
type moment struct{ time.Time }

// UnmarshalText reads a moment.
func (m *moment) UnmarshalText(text []byte) error {
	if age, err := time.ParseDuration(string(text)); err == nil && age >= 0 {
		m.Time = time.Now().Add(-age)
		return nil
	}
	t, err := time.Parse(time.RFC3339, string(text))
	if err != nil {
		return fmt.Errorf("%q is neither a time such as 2026-11-30T12:00:00Z nor an age such as 90m", text)
	}
	m.Time = t
	return nil
}

func (w *jobsWhere) query() jobs.Query {
	q := jobs.Query{
		Kind: w.Kind, Queue: w.Queue, Session: w.Session,
		CreatedSince: w.CreatedSince.Time, CreatedBefore: w.CreatedBefore.Time, EndedSince: w.EndedSince.Time, EndedBefore: w.EndedBefore.Time,
	}
	for _, s := range w.State {
		q.States = append(q.States, jobs.State(s))
	}
	return q
}

// checkStates says which flag names a state that there is not.
func (w *jobsWhere) checkStates() error {
	for _, name := range w.State {
		switch s := jobs.State(name); s {
		case jobs.StateQueued, jobs.StateScheduled, jobs.StateRunning, jobs.StateRetrying, jobs.StateStalled:
		default:
			if !s.Ended() {
				return fmt.Errorf("%w: --state=%s: must be of queued, scheduled, running, retrying, stalled, completed, failed, cancelled and lost", config.ErrUsage, s)
			}
		}
	}
	return nil
}

// maxListed bounds how many jobs are listed at once.
const maxListed = 10_000

// jobsList is "worker jobs list".
type jobsList struct {
	jobsWhere
	Limit int `name:"limit" default:"100" help:"How many to list."`
}

// Run lists jobs, newest first.
func (c *jobsList) Run(ctx context.Context, t *tools) error {
	if err := config.Range("limit", c.Limit, 1, maxListed); err != nil {
		return err
	}
	if err := c.checkStates(); err != nil {
		return err
	}
	client, err := t.jobs()
	if err != nil {
		return err
	}
	list, rows := []jobInfo{}, [][]string{}
	q := c.query()
	for len(list) < c.Limit {
		q.Limit = min(c.Limit-len(list), 1000)
		page, err := client.Jobs(ctx, q)
		if err != nil {
			return err
		}
		for _, i := range page.Jobs {
			j := describe(i)
			list = append(list, j)
			rows = append(rows, []string{
				j.ID, j.Kind, j.Queue, string(j.State), fmt.Sprintf("%d/%d", j.Attempt, j.Attempts),
				fmt.Sprintf("%.0f%%", 100*j.Fraction), stamp(j.Created), stamp(j.Ended), cmp.Or(j.Error, j.Message),
			})
		}
		if q.After = page.Next; q.After == "" {
			break
		}
	}
	return t.out.table(list, []string{"ID", "KIND", "QUEUE", "STATE", "ATTEMPT", "DONE", "CREATED", "ENDED", "MESSAGE"}, rows)
}

// jobsShow is "worker jobs show ID".
type jobsShow struct {
	ID string `arg:"" help:"The job's ID."`
}

// Run shows a job.
func (c *jobsShow) Run(ctx context.Context, t *tools) error {
	client, err := t.jobs()
	if err != nil {
		return err
	}
	i, err := client.Get(ctx, c.ID)
	if err != nil {
		return err
	}
	d := describe(i)
	state := string(d.State)
	if d.Cancelling {
		state += ", to be cancelled"
	}
	var b strings.Builder
	for _, f := range [][2]string{
		{"id", d.ID},
		{"kind", d.Kind},
		{"queue", d.Queue},
		{"state", state},
		{"attempt", fmt.Sprintf("%d of %d", d.Attempt, d.Attempts)},
		{"generation", strconv.Itoa(d.Gen)},
		{"progress", fmt.Sprintf("%.0f%% %s", 100*d.Fraction, d.Message)},
		{"error", reason(d)},
		{"created", stamp(d.Created)},
		{"started", stamp(d.Started)},
		{"updated", stamp(d.Updated)},
		{"ended", stamp(d.Ended)},
		{"next attempt", stamp(d.NextAt)},
		{"worker", d.Worker},
		{"arguments", string(d.Args)},
		{"result", string(d.Result)},
	} {
		if f[1] != "" {
			fmt.Fprintf(&b, "%-12s %s\n", f[0], f[1])
		}
	}
	for _, f := range d.Failures {
		fmt.Fprintf(&b, "%-12s %s attempt %d of generation %d", "failure", stamp(f.At), f.Attempt, f.Gen)
		if f.Worker != "" {
			fmt.Fprintf(&b, " on %s", f.Worker)
		}
		fmt.Fprintf(&b, ": %s\n", strings.ReplaceAll(strings.TrimPrefix(f.Code+" "+f.Message, f.Message+" "), "\n", " "))
	}
	return t.out.print(d, strings.TrimSuffix(b.String(), "\n"))
}

// reason is why a job has not completed: its code, and what is said besides.
func reason(d jobInfo) string {
	if d.Code == d.Error {
		return d.Error
	}
	return strings.TrimSpace(d.Code + " " + d.Error)
}

// jobsCancel is "worker jobs cancel ID".
type jobsCancel struct {
	ID string `arg:"" help:"The job's ID."`
}

// Run cancels a job.
func (c *jobsCancel) Run(ctx context.Context, t *tools) error {
	client, err := t.jobs()
	if err != nil {
		return err
	}
	if err := client.Cancel(ctx, c.ID); err != nil {
		return err
	}
	// A running one ends as soon as its worker sees it.
	if i, err := client.Get(ctx, c.ID); err == nil && !i.State.Ended() {
		return t.out.print(map[string]string{"id": c.ID, "result": "cancelling"}, "cancelling "+c.ID+": its worker ends it, or the watchdog if that is dead")
	}
	return t.out.print(map[string]string{"id": c.ID, "result": "cancelled"}, "cancelled "+c.ID)
}

// jobsRetry is "worker jobs retry ID".
type jobsRetry struct {
	ID string `arg:"" help:"The job's ID."`
}

// Run opens a job's next generation.
func (c *jobsRetry) Run(ctx context.Context, t *tools) error {
	client, err := t.jobs()
	if err != nil {
		return err
	}
	if err := client.Retry(ctx, c.ID); err != nil {
		return err
	}
	return t.out.print(map[string]string{"id": c.ID, "result": "enqueued"}, "enqueued again "+c.ID)
}
