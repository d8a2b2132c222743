package jobs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// State is where a job stands.
type State string

// The states. The last four are ends.
const (
	// StateQueued: it waits for a worker.
	StateQueued State = "queued"
	// StateScheduled: it waits for its time (delayed, snoozed or limited).
	StateScheduled State = "scheduled"
	// StateRunning: a worker has it.
	StateRunning State = "running"
	// StateRetrying: an attempt failed and the next one waits for its time.
	StateRetrying State = "retrying"
	// StateStalled: the worker that has it is silent.
	StateStalled State = "stalled"
	// StateCompleted: the handler returned a result.
	StateCompleted State = "completed"
	// StateFailed: its attempts are used up, or the failure was final.
	StateFailed State = "failed"
	// StateCancelled: it was cancelled.
	StateCancelled State = "cancelled"
	// StateLost: its task vanished.
	StateLost State = "lost"
)

// Ended reports whether the state is an end.
func (s State) Ended() bool {
	switch s {
	case StateCompleted, StateFailed, StateCancelled, StateLost:
		return true
	default:
		return false
	}
}

// Names of the events that are not named like a state.
const (
	eventQueued   = "queued"
	eventStarted  = "started"
	eventProgress = "progress"
	eventWaiting  = "waiting"
)

// Event is what a page learns of a job with a push.
type Event struct {
	// ID is the job's.
	ID string `json:"id"`
	// Kind is the name of the job's kind.
	Kind string `json:"kind"`
	// State is where the job stands.
	State State `json:"state"`
	// Attempt counts the executions of this generation, from 1.
	Attempt int `json:"attempt,omitempty"`
	// Attempts is how many there may be.
	Attempts int `json:"attempts,omitempty"`
	// Gen counts how often the job was opened, from 1: Client.Retry adds one.
	Gen int `json:"gen"`
	// Fraction is the progress, 0 to 1.
	Fraction float64 `json:"fraction,omitempty"`
	// Message is what the handler said with it.
	Message string `json:"message,omitempty"`
	// Code and Error tell a failure in words meant for the user.
	Code  string `json:"code,omitempty"`
	Error string `json:"error,omitempty"`
	// NextAt is when the next attempt is due, in StateRetrying, or when the time of
	// the wait is up that Wait names.
	NextAt time.Time `json:"next_at,omitzero"`
	// Wait is what the job waits for: see OnWaiting.
	Wait string `json:"wait,omitempty"`
}

// EventOf returns the job event that a push carries. ctx is the action's
// context, or anything that binds the push's data.
func EventOf(ctx interface{ Bind(any) error }) (Event, error) {
	var data struct {
		Job *Event `json:"_job"`
	}
	if err := ctx.Bind(&data); err != nil {
		return Event{}, fmt.Errorf("jobs: read event: %w", err)
	}
	if data.Job == nil {
		return Event{}, fmt.Errorf("%w: the push carries no job event", ErrInvalid)
	}
	return *data.Job, nil
}

// data returns the push data of the event: the result's fields, or the result
// as "value" when it is no object, and the event itself as "_job".
func (e *Event) data(result json.RawMessage) (json.RawMessage, error) {
	job, err := json.Marshal(e)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.Grow(len(job) + len(result) + 24)
	result = bytes.TrimSpace(result)
	switch {
	case len(result) == 0:
		b.WriteByte('{')
	case result[0] == '{':
		fields := bytes.TrimRight(result[:len(result)-1], " \t\r\n")
		b.Write(fields)
		if len(fields) > 1 {
			b.WriteByte(',')
		}
	default:
		b.WriteString(`{"value":`)
		b.Write(result)
		b.WriteByte(',')
	}
	b.WriteString(`"_job":`)
	b.Write(job)
	b.WriteByte('}')
	return b.Bytes(), nil
}

// pushID names a terminal event's push.
func (e *Event) pushID() string {
	return "job:" + e.ID + ":" + strconv.Itoa(e.Gen) + ":" + string(e.State)
}

// replaces is the key under which the transient events of a job's generation
// supersede each other, until its end. The next generation is not over.
func (e *Event) replaces() string { return "job:" + e.ID + ":" + strconv.Itoa(e.Gen) }

// dest is one session that wants a job's events, as stored.
type dest struct {
	Session string            `json:"s"`
	Actions map[string]string `json:"a"`
}

// parseDests reads destinations, of which "" is none. Those that can be read are
// returned with the error of the others.
func parseDests(raw ...string) (ds []dest, err error) {
	for _, r := range raw {
		if r == "" {
			continue
		}
		var d dest
		if bad := json.Unmarshal([]byte(r), &d); bad != nil {
			err = fmt.Errorf("jobs: read destination: %w", bad)
			continue
		}
		ds = append(ds, d)
	}
	return ds, err
}

// destCache spares the JSON of destinations, whose actions rarely differ
// between the jobs of a kind: it keeps each kind's last.
type destCache struct{ last sync.Map } // kind -> encodedActions

// encodedActions are the actions of a destination. Nobody changes them.
type encodedActions struct {
	text    string // what follows the session
	actions map[string]string
}

func (c *destCache) parse(kind, raw string) ([]dest, error) {
	rest, ok := strings.CutPrefix(raw, `{"s":"`)
	session, actions, cut := strings.Cut(rest, `"`)
	plain := ok && cut && !strings.ContainsRune(session, '\\')
	if v, known := c.last.Load(kind); known && plain {
		if e, ok := v.(encodedActions); ok && e.text == actions {
			return []dest{{session, e.actions}}, nil
		}
	}
	ds, err := parseDests(raw)
	if err == nil && plain && ds[0].Session == session {
		c.last.Store(kind, encodedActions{actions, ds[0].Actions})
	}
	return ds, err
}

// action returns the action bound to the event, or nothing.
func (d dest) action(event string) string {
	if a := d.Actions[event]; a != "" {
		return a
	}
	if event == string(StateCancelled) || event == string(StateLost) {
		return d.Actions[string(StateFailed)]
	}
	return ""
}

func anyBound(ds []dest, event string) bool {
	for _, d := range ds {
		if d.action(event) != "" {
			return true
		}
	}
	return false
}
