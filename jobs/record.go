package jobs

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Info is what is known of a job.
type Info struct {
	// ID is the job's name.
	ID string
	// Kind is the name of its kind, Queue its queue.
	Kind, Queue string
	// State is where it stands.
	State State
	// Cancelling is true while a cancellation waits for the worker.
	Cancelling bool
	// Attempt counts the executions of this generation; Attempts is how many
	// there may be.
	Attempt, Attempts int
	// Deaths is how many workers have died of it, each with nothing but this job.
	Deaths int
	// Gen counts how often the job was opened, from 1.
	Gen int
	// Fraction and Message are the progress last reported.
	Fraction float64
	Message  string
	// Code and Error tell the last failure in words meant for the user.
	Code, Error string
	// Failures are the attempts that failed, the last ten of all generations,
	// oldest first. What they say is for operators.
	Failures []Failure
	// Worker is the process that began the last attempt of which the record knows.
	Worker string
	// Args are the arguments as JSON, or as a JSON string of base64 when the
	// kind's codec makes something else of them; Kind.Args reads them.
	Args json.RawMessage
	// Result is the result of a completed job, as JSON.
	Result json.RawMessage
	// Created, Updated, Started and Ended are times by the clocks of the
	// processes that took the steps; zero for a step not taken.
	Created, Updated, Started, Ended time.Time
	// NextAt is when a waiting job is due.
	NextAt time.Time
	// WaitsFor names the limit that a job in StateScheduled waits for, such as
	// "concurrency 1 tenant", or the answer, as in "answer approve".
	WaitsFor string

	payload []byte // the arguments as stored
	codec   string // how, "" for JSON
	plain   bool   // known by its task alone
}

// event returns the event that tells the job's present state.
func (i *Info) event() *Event {
	return &Event{
		ID: i.ID, Kind: i.Kind, State: i.State, Attempt: i.Attempt, Attempts: i.Attempts, Gen: i.Gen,
		Fraction: i.Fraction, Message: i.Message, Code: i.Code, Error: i.Error, NextAt: i.NextAt,
	}
}

func (i *Info) setArgs(payload []byte, codec string) {
	i.payload, i.codec, i.Args = payload, codec, shown(payload)
}

// record is a job's hash as read.
type record struct {
	Info
	run    int64
	fin    int
	beat   time.Time
	outbox bool // the end's event is not delivered to all
	tries  int
	opts   jobOptions
	dests  int    // how many sessions want the events
	first  string // the first of them, as stored; the others are beside the record
	follow string
	// went is the generation whose end has set off what follows, and told the one
	// whose end the first session has, while the event is undelivered to others.
	went, told int
	// opened is the generation whose task may not be in the queue yet.
	opened int
	// raw is the ID of the Asynq task of an adopted job, whose queue is Asynq's too.
	raw string
	// wait is the name of the wait that it is in.
	wait string
}

const (
	wentField = "went"
	toldField = "told"
	// openedField is taken away once the task of the generation is in the queue.
	openedField = "opened"
)

// audience are the sessions that do not have the end yet.
func (r *record) audience() audience {
	a := audience{others: r.dests > 1}
	if r.told != r.Gen {
		a.first, _ = parseDests(r.first) // parseRecord has read it
	}
	return a
}

func (r *record) over() bool { return r.fin == r.Gen }

// follows is what the job's end has still to set off.
func (r *record) follows() string {
	if r.went == r.Gen {
		return ""
	}
	return r.follow
}

func parseRecord(id string, m map[string]string) (*record, error) {
	p := fieldParser{m: m}
	r := &record{
		Info: Info{
			ID: id, Kind: m["kind"], Queue: m["queue"], State: State(m["st"]), Cancelling: m["cancel"] == "1",
			Attempt: int(p.num("att")), Attempts: int(p.num("lim")), Gen: int(p.num("gen")),
			Message: m["msg"], Code: m["code"], Error: m["err"],
			Created: p.time("made"), Updated: p.time(later(m, "upd", "made")), Started: p.time("start"), Ended: p.time("end"),
			NextAt: p.time("next"), WaitsFor: m["waits"],
		},
		run: p.num("run"), fin: int(p.num("fin")), beat: p.time("hb"), outbox: m["out"] == "1",
		tries: int(p.num("outn")), follow: m["follow"], went: int(p.num(wentField)), told: int(p.num(toldField)), opened: int(p.num(openedField)),
		dests: int(p.num("ton")), first: m["to0"], raw: m["raw"], wait: m["wait"],
	}
	if v := m["opt"]; v != "" {
		p.err = errors.Join(p.err, json.Unmarshal([]byte(v), &r.opts))
	}
	if f := m["frac"]; f != "" {
		v, err := strconv.ParseFloat(f, 64)
		p.err = errors.Join(p.err, err)
		r.Fraction = v
	}
	if r.wait != "" && r.wait[0] != sleepPrefix[0] {
		r.WaitsFor = "answer " + r.wait
	}
	r.Worker, r.Deaths = m["worker"], int(p.num("dead"))
	r.Failures = p.failures()
	r.setArgs([]byte(m["pay"]), r.opts.Codec)
	if v := m["res"]; v != "" {
		r.Result = json.RawMessage(v)
	}
	_, err := parseDests(r.first)
	return r, errors.Join(p.err, err)
}

// later returns the name of a field, or of an earlier one when it is not there:
// a record that nothing has changed since has no time of a change.
func later(m map[string]string, field, earlier string) string {
	if m[field] == "" {
		return earlier
	}
	return field
}

// fieldParser reads numbers of a hash and keeps what went wrong.
type fieldParser struct {
	m   map[string]string
	err error
}

func (p *fieldParser) num(field string) int64 {
	v, ok := p.m[field]
	if !ok || v == "" {
		return 0
	}
	n, err := strconv.ParseInt(v, 10, 64)
	p.err = errors.Join(p.err, err)
	return n
}

func (p *fieldParser) time(field string) time.Time {
	n := p.num(field)
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMilli(n)
}

// jobOptions are the settings that travel with a job, in its record and in its
// task's header.
type jobOptions struct {
	Timeout   time.Duration `json:"t"`
	Retention time.Duration `json:"k"`
	Base      time.Duration `json:"b"`
	Max       time.Duration `json:"m"`
	Limit     int           `json:"n,omitempty"` // attempts, for plain jobs
	Deaths    int           `json:"d,omitempty"` // that there may be, 0 for the default
	Limits    []limit       `json:"l,omitempty"`
	Codec     string        `json:"c,omitempty"` // of the arguments, "" for JSON
}

func (o jobOptions) equal(p jobOptions) bool {
	return o.Timeout == p.Timeout && o.Retention == p.Retention && o.Base == p.Base && o.Max == p.Max &&
		o.Limit == p.Limit && o.Deaths == p.Deaths && o.Codec == p.Codec && slices.Equal(o.Limits, p.Limits)
}

// optionCache spares the JSON of options, which rarely differ between the jobs
// of a kind: it keeps each kind's last.
type optionCache struct{ last sync.Map } // kind -> encodedOptions

type encodedOptions struct {
	opts jobOptions
	text string
}

func (c *optionCache) encode(kind string, o jobOptions) (string, error) {
	v, _ := c.last.Load(kind)
	if e, ok := v.(encodedOptions); ok && e.opts.equal(o) {
		return e.text, nil
	}
	b, err := json.Marshal(o)
	if err != nil {
		return "", err
	}
	c.last.Store(kind, encodedOptions{o, string(b)})
	return string(b), nil
}

func (c *optionCache) decode(kind, text string) (jobOptions, error) {
	v, _ := c.last.Load(kind)
	if e, ok := v.(encodedOptions); ok && e.text == text {
		return e.opts, nil
	}
	var o jobOptions
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		return o, err
	}
	c.last.Store(kind, encodedOptions{o, text})
	return o, nil
}
