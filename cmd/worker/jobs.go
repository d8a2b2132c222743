package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hibiken/asynq"

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
}

func describe(i jobs.Info) jobInfo {
	return jobInfo{
		ID: i.ID, Kind: i.Kind, Queue: i.Queue, State: i.State, Cancelling: i.Cancelling, Attempt: i.Attempt, Attempts: i.Attempts, Gen: i.Gen,
		Fraction: i.Fraction, Message: i.Message, Code: i.Code, Error: i.Error, Args: i.Args, Result: i.Result,
		Created: i.Created, Updated: i.Updated, Started: i.Started, Ended: i.Ended, NextAt: i.NextAt,
	}
}

// maxListed bounds how many tasks of each of Asynq's lists are looked at.
const maxListed = 10_000

// jobsList is "worker jobs list".
type jobsList struct {
	Session string `name:"session" help:"Session whose jobs to list, ended ones too."`
	State   string `name:"state" help:"List jobs in this state only: queued, scheduled, running, retrying, stalled, completed, failed, cancelled or lost."`
	Limit   int    `name:"limit" default:"100" help:"How many to list."`
}

// Run lists jobs, newest first.
func (c *jobsList) Run(ctx context.Context, t *tools) error {
	if err := config.Range("limit", c.Limit, 1, maxListed); err != nil {
		return err
	}
	switch s := jobs.State(c.State); s {
	case "", jobs.StateQueued, jobs.StateScheduled, jobs.StateRunning, jobs.StateRetrying, jobs.StateStalled:
	default:
		if !s.Ended() {
			return fmt.Errorf("%w: --state=%s: must be queued, scheduled, running, retrying, stalled, completed, failed, cancelled or lost", config.ErrUsage, s)
		}
	}
	client, err := t.jobs()
	if err != nil {
		return err
	}
	infos, err := c.find(ctx, t, client)
	if err != nil {
		return err
	}
	list := []jobInfo{}
	for _, i := range infos {
		if (c.State == "" || string(i.State) == c.State) && len(list) < c.Limit {
			d := describe(i)
			d.Args, d.Result = nil, nil
			list = append(list, d)
		}
	}
	rows := make([][]string, 0, len(list))
	for _, j := range list {
		rows = append(rows, []string{
			j.ID, j.Kind, j.Queue, string(j.State), fmt.Sprintf("%d/%d", j.Attempt, j.Attempts),
			fmt.Sprintf("%.0f%%", 100*j.Fraction), stamp(j.Created), cmp.Or(j.Error, j.Message),
		})
	}
	return t.out.table(list, []string{"ID", "KIND", "QUEUE", "STATE", "ATTEMPT", "DONE", "CREATED", "MESSAGE"}, rows)
}

func (c *jobsList) find(ctx context.Context, t *tools, client *jobs.Client) ([]jobs.Info, error) {
	if c.Session != "" {
		return jobs.ForSession(ctx, client, t.publisher.Session(c.Session))
	}
	look := c.Limit
	if c.State != "" { // Asynq's lists hold several states each
		look = maxListed
	}
	ids, err := openIDs(t, client, look)
	if err != nil {
		return nil, err
	}
	var infos []jobs.Info
	for _, id := range ids {
		i, err := client.Get(ctx, id)
		if errors.Is(err, jobs.ErrNotFound) {
			continue // it ended in between, or is not one of ours
		}
		if err != nil {
			return nil, err
		}
		infos = append(infos, i)
	}
	slices.SortFunc(infos, func(a, b jobs.Info) int { return b.Created.Compare(a.Created) })
	return infos, nil
}

// openIDs asks Asynq for what is in its queues. A task's ID is its job's, with
// the generation behind it.
func openIDs(t *tools, client *jobs.Client, limit int) ([]string, error) {
	inspect := asynq.NewInspectorFromRedisClient(t.client)
	queues, err := inspect.Queues()
	if err != nil {
		return nil, fmt.Errorf("list queues: %w", err)
	}
	var ids []string
	for _, q := range queues {
		if _, ours := client.QueueOf(q); !ours {
			continue
		}
		for _, list := range []func(string, ...asynq.ListOption) ([]*asynq.TaskInfo, error){
			inspect.ListActiveTasks, inspect.ListPendingTasks, inspect.ListScheduledTasks, inspect.ListRetryTasks, inspect.ListArchivedTasks,
		} {
			tasks, err := list(q, asynq.PageSize(limit))
			if err != nil {
				return nil, fmt.Errorf("list tasks of queue %s: %w", q, err)
			}
			for _, task := range tasks {
				if id := task.Headers["lm-id"]; id != "" && !slices.Contains(ids, id) {
					ids = append(ids, id)
				}
			}
		}
	}
	return ids, nil
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
		{"arguments", string(d.Args)},
		{"result", string(d.Result)},
	} {
		if f[1] != "" {
			fmt.Fprintf(&b, "%-12s %s\n", f[0], f[1])
		}
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
