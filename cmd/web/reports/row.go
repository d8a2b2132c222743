package reports

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"lastmile/cmd/internal/profile"
	"lastmile/cmd/internal/profilejob"
	"lastmile/jobs"
)

// Row is a job in the list.
type Row struct {
	ID      string
	Name    string
	Size    int64
	State   jobs.State
	Created time.Time
	// Gen, Attempt and Attempts count re-runs and attempts.
	Gen, Attempt, Attempts int `json:",omitempty"`
	// Fraction and Message are the progress.
	Fraction float64 `json:",omitempty"`
	Message  string  `json:",omitempty"`
	// Error is the last failure, in words for the user; NextAt is when the
	// next attempt is due.
	Error      string    `json:",omitempty"`
	Code       string    `json:",omitempty"`
	NextAt     time.Time `json:",omitzero"`
	Cancelling bool      `json:",omitempty"`
	// Rows and Columns are the report's.
	Rows    int64 `json:",omitempty"`
	Columns int   `json:",omitempty"`
}

// rowOf makes a row of what is known of a job.
func rowOf(i jobs.Info) Row {
	var args profilejob.Args
	_ = json.Unmarshal(i.Args, &args) // a row without a name is better than none
	r := Row{ID: i.ID, Name: args.Name, Size: args.Size, Created: i.Created, Cancelling: i.Cancelling && !i.State.Ended()}
	var report struct {
		Rows    int64             `json:"rows"`
		Columns []json.RawMessage `json:"columns"`
	}
	if i.State == jobs.StateCompleted && json.Unmarshal(i.Result, &report) == nil {
		r.Rows, r.Columns = report.Rows, len(report.Columns)
	}
	r.apply(jobs.Event{
		State: i.State, Gen: i.Gen, Attempt: i.Attempt, Attempts: i.Attempts,
		Fraction: i.Fraction, Message: i.Message, Error: i.Error, Code: i.Code, NextAt: i.NextAt,
	})
	return r
}

// apply writes an event into the row. What belongs to an earlier run of the job
// is left out, and so is a step that arrives after its run's end.
func (r *Row) apply(e jobs.Event) {
	if e.Gen < r.Gen || (e.Gen == r.Gen && r.State.Ended() && !e.State.Ended()) {
		return
	}
	r.State, r.Gen, r.Attempt, r.Attempts = e.State, e.Gen, e.Attempt, e.Attempts
	r.Fraction, r.Message, r.Error, r.Code, r.NextAt = e.Fraction, e.Message, e.Error, e.Code, time.Time{}
	switch {
	case e.State.Ended():
		r.Cancelling = false
		if e.State == jobs.StateCompleted {
			r.Error = ""
		}
	case e.State == jobs.StateRetrying || e.State == jobs.StateScheduled:
		r.NextAt = e.NextAt
	}
}

// row returns the row of a job, or nil.
func (s *State) row(id string) *Row {
	if i := slices.IndexFunc(s.Rows, func(r Row) bool { return r.ID == id }); i >= 0 {
		return &s.Rows[i]
	}
	return nil
}

// edit returns the row of a job, or nil, in a list of its own: the state before
// the action stays as it was.
func (s *State) edit(id string) *Row {
	s.Rows = slices.Clone(s.Rows)
	return s.row(id)
}

// put adds a row on top, or replaces the one of the same job. It never changes
// the slice that it is given.
func put(rows []Row, r Row) []Row {
	if i := slices.IndexFunc(rows, func(o Row) bool { return o.ID == r.ID }); i >= 0 {
		rows = slices.Clone(rows)
		rows[i] = r
		return rows
	}
	rows = append([]Row{r}, rows...)
	return rows[:min(len(rows), maxRows)]
}

// Percent is the progress for the bar.
func (r Row) Percent() int { return int(r.Fraction * 100) }

// Running tells a job that is under way.
func (r Row) Running() bool { return !r.State.Ended() }

// Again tells a job that may come to something if it is tried again: one whose file
// has a fault, or is gone, does not.
func (r Row) Again() bool {
	if r.State != jobs.StateFailed {
		return r.State == jobs.StateCancelled || r.State == jobs.StateLost
	}
	switch profile.Code(r.Code) {
	case profile.CodeEmpty, profile.CodeHeaderOnly, profile.CodeNotCSV, profile.CodeQuote, profile.CodeRagged, profile.CodeEncoding, profile.CodeColumns, profile.CodeRecord:
		return false
	default:
		return r.Code != profilejob.CodeGone
	}
}

// Label is the state in a word.
func (r Row) Label() string {
	if r.Cancelling {
		return "cancelling"
	}
	switch r.State {
	case jobs.StateQueued:
		return "waiting"
	case jobs.StateCompleted:
		return "done"
	case jobs.StateStalled:
		return "no sign of life"
	default:
		return string(r.State)
	}
}

// Detail says what there is to say beyond the state.
func (r Row) Detail() string {
	switch r.State {
	case jobs.StateCompleted:
		return ""
	case jobs.StateFailed, jobs.StateLost:
		return r.Error
	case jobs.StateCancelled:
		return "Nothing was profiled."
	case jobs.StateRetrying:
		return fmt.Sprintf("Try %d of %d failed: %s.", r.Attempt, r.Attempts, r.Error)
	case jobs.StateStalled:
		return "The worker has gone silent. Another one takes over within seconds."
	case jobs.StateQueued:
		return "Waiting for a worker."
	default:
		return r.Message
	}
}

// Stumbled tells that the detail is bad news.
func (r Row) Stumbled() bool { return r.State == jobs.StateFailed || r.State == jobs.StateLost }
