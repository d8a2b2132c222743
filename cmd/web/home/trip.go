package home

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"lastmile/cmd/internal/control"
	"lastmile/cmd/internal/journey"
	"lastmile/jobs"
)

// Trip is one job on its way. All its times are Redis's, but for the worker's two.
type Trip struct {
	ID      string
	Sent    time.Time
	Seconds int
	State   jobs.State
	Attempt int
	// Worker is the process that has it, as far as is known.
	Worker   string
	Fraction float64
	// Work is how long its last run took, Arrived when the page had the result.
	Work    time.Duration
	Arrived time.Time
	// Strip is what has happened, the latest last.
	Strip []Step
}

// Step is a line of the strip.
type Step struct {
	At   time.Duration // since the job was sent
	Kind string        // how it looks
	Text string
}

// maxSteps bounds the strip.
const maxSteps = 16

func (t Trip) note(kind, text string, now time.Time) Trip {
	if t.ID == "" {
		return t
	}
	at := max(now.Sub(t.Sent), 0)
	t.Strip = append(slices.Clone(t.Strip), Step{At: at, Kind: kind, Text: text})
	t.Strip = t.Strip[max(0, len(t.Strip)-maxSteps):]
	return t
}

// move takes an event of the job.
func (t Trip) move(e jobs.Event, now time.Time) Trip {
	if e.ID != t.ID || t.Over() {
		return t // of a job sent before
	}
	before := t.State
	t.State, t.Attempt, t.Fraction = e.State, e.Attempt, e.Fraction
	known := t.Worker
	if e.State == jobs.StateRunning && e.Message != "" {
		t.Worker = e.Message
	}
	switch {
	case e.State == jobs.StateRunning && t.Worker != known:
		return t.note("running", cmp.Or(t.Worker, "a worker")+" has it", now)
	case e.State == before || e.State == jobs.StateQueued:
		return t
	case e.State == jobs.StateStalled:
		return t.note("stalled", cmp.Or(t.Worker, "Its worker")+" is silent: another one takes over", now)
	case e.State == jobs.StateRunning && before == jobs.StateStalled:
		t.Worker = ""
		return t.note("running", "It runs again", now)
	case e.State.Ended():
		return t.note("failed", "It ended: "+cmp.Or(e.Error, string(e.State)), now)
	}
	return t
}

// arrive takes the result.
func (t Trip) arrive(e jobs.Event, r journey.Result, now time.Time) Trip {
	if e.ID != t.ID {
		return t
	}
	t.State, t.Attempt, t.Fraction, t.Worker = e.State, e.Attempt, 1, r.Worker
	t.Work, t.Arrived = r.Ended.Sub(r.Began), now
	return t.note("completed", "Applied: the result of "+r.Worker+" is in this page", now)
}

// Over tells that the job has ended.
func (t Trip) Over() bool { return t.State.Ended() }

// Took is how long it was on its way.
func (t Trip) Took() time.Duration { return max(t.Arrived.Sub(t.Sent), 0) }

// Around is what of that was not work.
func (t Trip) Around() time.Duration { return max(t.Took()-t.Work, 0) }

// Hop is one of the ten steps from the click to the page.
type Hop struct {
	Name, Where, Text string
	// State is "done", "now", "broken" or empty.
	State string
}

// Hops are the ten, as far as the job has come.
func (t Trip) Hops() []Hop {
	hops := []Hop{
		{Name: "enqueue", Where: "web", Text: "The click's action enqueues a job, bound to this session."},
		{Name: "worker", Where: "worker", Text: "Another process runs its handler."},
		{Name: "completion", Where: "worker", Text: "What it came to is stored, and calls TriggerAction."},
		{Name: "stream", Where: "Redis", Text: "The push is in the session's mailbox, once."},
		{Name: "web node", Where: "web", Text: "Whoever serves the page now reads it."},
		{Name: "session", Where: "web", Text: "Each open tab has it, in order."},
		{Name: "action", Where: "web", Text: "The method that a click would call."},
		{Name: "diff", Where: "web", Text: "The page is rendered and compared."},
		{Name: "patch", Where: "wire", Text: "What has changed, in a small frame."},
		{Name: "browser", Where: "you", Text: "The page in front of you."},
	}
	upTo, now := 0, "" // how many are done, and what the next one is
	switch {
	case t.ID == "":
	case t.State == jobs.StateCompleted:
		upTo = len(hops)
	case t.State == jobs.StateStalled || t.State == jobs.StateRetrying:
		upTo, now = 1, "broken"
	case t.State.Ended():
		upTo, now = 2, "broken"
	default:
		upTo, now = 1, "now"
	}
	for i := range upTo {
		hops[i].State = "done"
	}
	if upTo < len(hops) {
		hops[upTo].State = now
	}
	return hops
}

// word says what is done to a process.
func word(do control.Do) string {
	switch do {
	case control.Kill:
		return "killed"
	case control.Pause:
		return "paused"
	case control.Resume:
		return "goes on"
	}
	return string(do)
}

func orThis(process string) string { return cmp.Or(process, "this process") }

// Percent is how far the job is.
func (t Trip) Percent() int { return int(t.Fraction*100 + 0.5) }

// Clock is the time in the strip.
func (s Step) Clock() string { return fmt.Sprintf("%.2f s", s.At.Seconds()) }

// Millis is a time that is short.
func (t Trip) Millis(d time.Duration) string {
	if d < 10*time.Millisecond {
		return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
	}
	if d < time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}
