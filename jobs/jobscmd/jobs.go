package jobscmd

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"lastmile/internal/terminal"
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
	Deaths     int             `json:"deaths,omitempty"`
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
	WaitsFor   string          `json:"waits_for,omitempty"`
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
		ID: i.ID, Kind: i.Kind, Queue: i.Queue, State: i.State, Cancelling: i.Cancelling, Attempt: i.Attempt, Attempts: i.Attempts, Deaths: i.Deaths, Gen: i.Gen,
		Fraction: i.Fraction, Message: i.Message, Code: i.Code, Error: i.Error, Args: i.Args, Result: i.Result,
		Created: i.Created, Updated: i.Updated, Started: i.Started, Ended: i.Ended, NextAt: i.NextAt,
		WaitsFor: i.WaitsFor, Worker: i.Worker, Failures: failures,
	}
}

// maxListed bounds how many jobs are listed at once.
const maxListed = 10_000

// jobsList is "worker jobs list".
type jobsList struct {
	jobsWhere
	Limit int `name:"limit" default:"100" help:"How many to list."`
}

// Run lists jobs, newest first.
func (c *jobsList) Run(ctx context.Context, t *Config) error {
	if err := atMost("limit", c.Limit, maxListed); err != nil {
		return err
	}
	q, err := c.query(jobs.Now(ctx, t.Client))
	if err != nil {
		return err
	}
	list, rows := []jobInfo{}, [][]string{}
	for len(list) < c.Limit {
		q.Limit = min(c.Limit-len(list), 1000)
		page, err := t.Client.Jobs(ctx, q)
		if err != nil {
			return err
		}
		for _, i := range page.Jobs {
			j := describe(i)
			list = append(list, j)
			rows = append(rows, []string{
				j.ID, j.Kind, j.Queue, string(j.State), fmt.Sprintf("%d of %d", j.Attempt, j.Attempts),
				fmt.Sprintf("%.0f%%", 100*j.Fraction), terminal.Stamp(j.Created), terminal.Stamp(j.Ended), cmp.Or(j.Error, j.Message),
			})
		}
		if q.After = page.Next; q.After == "" {
			break
		}
	}
	return t.printer().Table(list, []string{"ID", "KIND", "QUEUE", "STATE", "ATTEMPT", "DONE", "CREATED", "ENDED", "MESSAGE"}, rows)
}

// jobsShow is "worker jobs show ID".
type jobsShow struct {
	ID string `arg:"" help:"The job's ID."`
}

// Run shows a job.
func (c *jobsShow) Run(ctx context.Context, t *Config) error {
	i, err := t.Client.Get(ctx, c.ID)
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
		{"deaths", deaths(d.Deaths)},
		{"generation", strconv.Itoa(d.Gen)},
		{"progress", fmt.Sprintf("%.0f%% %s", 100*d.Fraction, d.Message)},
		{"error", reason(d)},
		{"created", terminal.Stamp(d.Created)},
		{"started", terminal.Stamp(d.Started)},
		{"updated", terminal.Stamp(d.Updated)},
		{"ended", terminal.Stamp(d.Ended)},
		{"next attempt", terminal.Stamp(d.NextAt)},
		{"waits for", d.WaitsFor},
		{"worker", d.Worker},
		{"arguments", string(d.Args)},
		{"result", string(d.Result)},
	} {
		if f[1] != "" {
			fmt.Fprintf(&b, "%-12s %s\n", f[0], f[1])
		}
	}
	for _, f := range d.Failures {
		which := fmt.Sprintf("attempt %d of %d", f.Attempt, d.Attempts)
		if f.Gen != d.Gen { // which may have had another limit
			which = fmt.Sprintf("attempt %d of generation %d", f.Attempt, f.Gen)
		}
		fmt.Fprintf(&b, "%-12s %s %s", "failure", terminal.Stamp(f.At), which)
		if f.Worker != "" {
			fmt.Fprintf(&b, " on %s", f.Worker)
		}
		fmt.Fprintf(&b, ": %s\n", strings.ReplaceAll(strings.TrimPrefix(f.Code+" "+f.Message, f.Message+" "), "\n", " "))
	}
	return t.printer().Print(d, strings.TrimSuffix(b.String(), "\n"))
}

// deaths is how many workers died of a job, "" for none.
func deaths(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%d, each of a worker with nothing else", n)
}

// reason is why a job has not completed: its code, and what is said besides.
func reason(d jobInfo) string {
	if d.Code == d.Error {
		return d.Error
	}
	return strings.TrimSpace(d.Code + " " + d.Error)
}
