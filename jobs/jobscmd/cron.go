package jobscmd

import (
	"context"
	"time"

	"lastmile/internal/terminal"
	"lastmile/jobs"
	"lastmile/jobs/cron"
)

// cronInfo is a cron entry as it is printed.
type cronInfo struct {
	Name      string     `json:"name"`
	Spec      string     `json:"spec"`
	Location  string     `json:"location"`
	Kind      string     `json:"kind"`
	Queue     string     `json:"queue"`
	Paused    bool       `json:"paused"`
	Skip      bool       `json:"skip_while_running"`
	CatchUp   string     `json:"catch_up,omitempty"`
	Last      time.Time  `json:"last,omitzero"`
	LastJob   string     `json:"last_job,omitempty"`
	LastState jobs.State `json:"last_state,omitempty"`
	Skipped   time.Time  `json:"skipped,omitzero"`
	Next      time.Time  `json:"next,omitzero"`
	Seen      time.Time  `json:"seen,omitzero"`
}

// cronList is "worker cron list".
type cronList struct{}

// Run lists the entries, by name.
func (*cronList) Run(ctx context.Context, t *Config) error {
	entries, err := cron.List(ctx, t.Client)
	if err != nil {
		return err
	}
	list, rows := []cronInfo{}, [][]string{}
	for _, e := range entries {
		i := cronInfo{
			Name: e.Name, Spec: e.Spec, Location: e.Location, Kind: e.Kind, Queue: e.Queue, Paused: e.Paused, Skip: e.SkipWhileRunning,
			Last: e.Last, LastJob: e.LastJob, LastState: e.LastState, Skipped: e.Skipped, Next: e.Next, Seen: e.Seen,
		}
		if e.CatchUp > 0 {
			i.CatchUp = e.CatchUp.String()
		}
		next := terminal.Stamp(e.Next)
		if e.Paused {
			next = "paused"
		}
		list = append(list, i)
		rows = append(rows, []string{e.Name, e.Spec, e.Location, e.Kind, terminal.Stamp(e.Last), string(e.LastState), next, terminal.Stamp(e.Skipped), terminal.Stamp(e.Seen), e.LastJob})
	}
	return t.printer().Table(list, []string{"NAME", "SPEC", "LOCATION", "KIND", "LAST", "STATE", "NEXT", "SKIPPED", "SEEN", "JOB"}, rows)
}

// cronEntry names an entry.
type cronEntry struct {
	Name string `arg:"" help:"The entry's name."`
}

// cronRun is "worker cron run NAME".
type cronRun struct{ cronEntry }

// Run enqueues the entry's job at once.
func (c *cronRun) Run(ctx context.Context, t *Config) error {
	h, err := cron.RunNow(ctx, t.Client, c.Name)
	if err != nil {
		return err
	}
	return t.printer().Print(map[string]string{"name": c.Name, "id": h.ID, "result": "enqueued"}, "enqueued "+h.ID)
}

// cronPause is "worker cron pause NAME".
type cronPause struct{ cronEntry }

// Run has the entry's times pass.
func (c *cronPause) Run(ctx context.Context, t *Config) error {
	if err := cron.Pause(ctx, t.Client, c.Name); err != nil {
		return err
	}
	return t.printer().Print(map[string]string{"name": c.Name, "result": "paused"}, "paused "+c.Name)
}

// cronResume is "worker cron resume NAME".
type cronResume struct{ cronEntry }

// Run ends a pause.
func (c *cronResume) Run(ctx context.Context, t *Config) error {
	if err := cron.Resume(ctx, t.Client, c.Name); err != nil {
		return err
	}
	return t.printer().Print(map[string]string{"name": c.Name, "result": "resumed"}, "resumed "+c.Name)
}
