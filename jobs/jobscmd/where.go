package jobscmd

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"lastmile/jobs"
)

// jobsWhere chooses jobs.
type jobsWhere struct {
	State         []string `name:"state" placeholder:"STATE" help:"Jobs in these states: queued, scheduled, running, retrying, stalled, completed, failed, cancelled or lost."`
	Kind          string   `name:"kind" help:"Jobs of this kind."`
	Queue         string   `name:"queue" help:"Jobs in this queue."`
	Session       string   `name:"session" help:"Jobs of this session, of which the newest 200 are known."`
	CreatedSince  moment   `name:"created-since" placeholder:"TIME" help:"Jobs made at this time or later: as 2026-11-30T12:00:00Z, or as an age such as 90m."`
	CreatedBefore moment   `name:"created-before" placeholder:"TIME" help:"Jobs made before this time."`
	EndedSince    moment   `name:"ended-since" placeholder:"TIME" help:"Jobs that ended at this time or later."`
	EndedBefore   moment   `name:"ended-before" placeholder:"TIME" help:"Jobs that ended before this time."`
	Where         []string `name:"where" sep:"none" placeholder:"FIELD=VALUE" help:"The same by the name of the flag, such as state=failed,lost; may be repeated."`
}

// moment is a time, given as such or as an age.
type moment struct {
	time  time.Time
	age   time.Duration
	given bool
}

// UnmarshalText reads a moment.
func (m *moment) UnmarshalText(text []byte) error {
	if age, err := time.ParseDuration(string(text)); err == nil && age >= 0 {
		*m = moment{age: age, given: true}
		return nil
	}
	t, err := time.Parse(time.RFC3339, string(text))
	if err != nil {
		return fmt.Errorf("%q is neither a time such as 2026-11-30T12:00:00Z nor an age such as 90m", text)
	}
	*m = moment{time: t, given: true}
	return nil
}

// by is the moment, its age counted from now.
func (m moment) by(now time.Time) time.Time {
	if m.given && m.time.IsZero() {
		return now.Add(-m.age)
	}
	return m.time
}

// fields sets a field by the name of its flag.
func (w *jobsWhere) fields() map[string]func(value string) error {
	text := func(p *string) func(string) error {
		return func(v string) error { *p = v; return nil }
	}
	at := func(m *moment) func(string) error {
		return func(v string) error { return m.UnmarshalText([]byte(v)) }
	}
	return map[string]func(string) error{
		"state": func(v string) error { w.State = strings.Split(v, ","); return nil },
		"kind":  text(&w.Kind), "queue": text(&w.Queue), "session": text(&w.Session),
		"created-since": at(&w.CreatedSince), "created-before": at(&w.CreatedBefore),
		"ended-since": at(&w.EndedSince), "ended-before": at(&w.EndedBefore),
	}
}

// query is what is asked for. now is Redis's time, by which what is stored is dated:
// the clock here may be minutes off.
func (w *jobsWhere) query(now time.Time) (jobs.Query, error) {
	for _, condition := range w.Where {
		field, value, ok := strings.Cut(condition, "=")
		set := w.fields()[strings.TrimSpace(field)]
		if !ok || set == nil {
			return jobs.Query{}, fmt.Errorf("%w: --where=%s: must be FIELD=VALUE with state, kind, queue, session, created-since, created-before, ended-since or ended-before", ErrUsage, condition)
		}
		if err := set(strings.TrimSpace(value)); err != nil {
			return jobs.Query{}, fmt.Errorf("%w: --where=%s: %w", ErrUsage, condition, err)
		}
	}
	q := jobs.Query{
		Kind: w.Kind, Queue: w.Queue, Session: w.Session,
		CreatedSince: w.CreatedSince.by(now), CreatedBefore: w.CreatedBefore.by(now), EndedSince: w.EndedSince.by(now), EndedBefore: w.EndedBefore.by(now),
	}
	known := []jobs.State{jobs.StateQueued, jobs.StateScheduled, jobs.StateRunning, jobs.StateRetrying, jobs.StateStalled}
	for _, name := range w.State {
		s := jobs.State(name)
		if !s.Ended() && !slices.Contains(known, s) {
			return q, fmt.Errorf("%w: --state=%s: must be of queued, scheduled, running, retrying, stalled, completed, failed, cancelled and lost", ErrUsage, s)
		}
		q.States = append(q.States, s)
	}
	return q, nil
}

// given tells whether anything is asked for.
func (w *jobsWhere) given() bool {
	return len(w.State) > 0 || len(w.Where) > 0 || w.Kind != "" || w.Queue != "" || w.Session != "" ||
		w.CreatedSince.given || w.CreatedBefore.given || w.EndedSince.given || w.EndedBefore.given
}
