package jobs

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"lastmile/push"
)

// done is what a step came to, as it is stored.
type done struct {
	// Place is how many ordered steps had ended when it began; -1 if its place does
	// not count.
	Place int `json:"p"`
	// Shape is its result's type.
	Shape  string          `json:"t"`
	At     int64           `json:"at"` // milliseconds, by Redis's clock
	Took   int64           `json:"ms"`
	Result json.RawMessage `json:"r,omitempty"`
	Failed bool            `json:"f,omitempty"`
	Code   string          `json:"c,omitempty"`
	Error  string          `json:"e,omitempty"`
}

// journal is what a run knows of the job's durable steps. Its methods are safe for
// concurrent use.
type journal struct {
	mu     sync.Mutex
	x      *execution
	loaded chan struct{} // closed when stored is read, or err says why not
	err    error
	stored map[string]*done
	asked  map[string]bool // names that this run has come to
	met    map[string]int  // how often each name
	ended  int             // ordered steps that are over
	open   string          // the ordered step under way

	counts map[string]map[string]int // of pushes and waits, by step and name
}

// step is one that a run has come to.
type step struct {
	j      *journal
	called string
	name   string // with its number, as it is stored
	place  int
	began  time.Time
	stored *done // what it came to, nil before it is stored
	done   done  // what is to be stored
	over   bool
}

// id names the step: see StepID.
func (s *step) id() string { return s.j.id() + "." + s.name }

func (j *journal) id() string { return j.x.id + "." + strconv.Itoa(j.x.gen) }

// enterStep finds out whether a step of the run that ctx belongs to is done.
func enterStep(ctx context.Context, name, shape string, set stepSettings) (*step, error) {
	if err := checkStepName(name); err != nil {
		return nil, err
	}
	for _, f := range set.former {
		if err := checkStepName(f); err != nil {
			return nil, fmt.Errorf("renamed: %w", err)
		}
	}
	x, ok := ctx.Value(executionKey{}).(*execution)
	if !ok {
		return nil, fmt.Errorf("%w: not within a handler of a job", ErrInvalid)
	}
	if s, within := ctx.Value(stepKey{}).(*step); within {
		return nil, fmt.Errorf("%w: within step %q", ErrInvalid, s.name)
	}
	j := &x.journal
	if err := j.load(ctx, x); err != nil {
		return nil, err
	}
	began := x.pool.client.clock.now(ctx)
	j.mu.Lock()
	defer j.mu.Unlock()
	s, err := j.enter(name, shape, set)
	if err != nil {
		return nil, err
	}
	s.began = began
	return s, nil
}

// load reads what is stored, once in a run. Others wait for whoever reads.
func (j *journal) load(ctx context.Context, x *execution) error {
	j.mu.Lock()
	first := j.loaded == nil
	if first {
		j.x, j.loaded = x, make(chan struct{})
	}
	loaded := j.loaded
	j.mu.Unlock()
	if !first {
		select {
		case <-loaded:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		j.mu.Lock()
		defer j.mu.Unlock()
		return j.err
	}
	stored, err := readJournal(ctx, x)
	j.mu.Lock()
	defer j.mu.Unlock()
	if err != nil {
		j.loaded, j.err = nil, err // the next one tries again
	} else {
		j.stored, j.err, j.asked, j.met = stored, nil, map[string]bool{}, map[string]int{}
	}
	close(loaded)
	return err
}

// readJournal has the record know of the run, and reads the steps.
func readJournal(ctx context.Context, x *execution) (map[string]*done, error) {
	answer := make(chan error, 1)
	select {
	case x.joins <- answer:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	select {
	case err := <-answer:
		if err != nil {
			return nil, err
		}
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if x.run == 1 { // nobody can have stored any
		return map[string]*done{}, nil
	}
	c := x.pool.client
	m, err := c.rdb.HGetAll(ctx, c.durable(x.id)).Result()
	if err != nil {
		return nil, fmt.Errorf("read what is done: %w", err)
	}
	return parseDone(m)
}

func parseDone(m map[string]string) (map[string]*done, error) {
	stored := make(map[string]*done, len(m))
	for name, text := range m {
		if name[0] == '#' { // of a wait
			continue
		}
		d := new(done)
		if err := json.Unmarshal([]byte(text), d); err != nil {
			return nil, fmt.Errorf("read step %q: %w", name, err)
		}
		stored[name] = d
	}
	return stored, nil
}

// enter begins a step, or finds what it came to. The caller holds mu.
func (j *journal) enter(name, shape string, set stepSettings) (*step, error) {
	n := j.met[name] + 1
	for j.asked[stepName(name, n)] {
		n++ // under way, or done
	}
	s := &step{j: j, called: name, name: stepName(name, n), place: j.ended}
	if set.unordered {
		s.place = -1
	} else if j.open != "" {
		return nil, fmt.Errorf("%w: it runs beside step %q: give both jobs.Unordered()", ErrInvalid, j.open)
	}
	for _, as := range append([]string{name}, set.former...) {
		if d := j.stored[stepName(as, n)]; d != nil {
			s.name, s.stored = stepName(as, n), d
			break
		}
	}
	if err := j.check(s, shape); err != nil {
		return nil, err
	}
	j.met[name] = n
	j.asked[s.name] = true
	if s.place >= 0 {
		j.open = s.name
	}
	s.done = done{Place: s.place, Shape: shape}
	return s, nil
}

// check finds out whether the code still does what it did when the steps were
// stored. The caller holds mu.
func (j *journal) check(s *step, shape string) error {
	if d := s.stored; d != nil {
		if d.Shape != shape {
			return fmt.Errorf("%w: %s is stored, and %s asked for", ErrStepType, d.Shape, shape)
		}
		if s.place >= 0 && d.Place >= 0 && d.Place != s.place {
			return fmt.Errorf("%w: it was step %d and is step %d now: if it was moved, give it jobs.Unordered()", ErrStepChanged, d.Place+1, s.place+1)
		}
		return nil
	}
	if s.place < 0 {
		return nil
	}
	for name, d := range j.stored {
		if d.Place == s.place && !j.asked[name] {
			return fmt.Errorf("%w: step %d was %q: if it was renamed, give this one jobs.Renamed, if this one is new, jobs.Unordered()", ErrStepChanged, s.place+1, name)
		}
	}
	return nil
}

// leave ends the step in this run.
func (s *step) leave() {
	s.j.mu.Lock()
	defer s.j.mu.Unlock()
	if s.over {
		return
	}
	s.over = true
	if s.place >= 0 {
		s.j.open = ""
	}
	switch {
	case s.stored == nil: // it may be tried again in this run, from its top
		delete(s.j.asked, s.name)
		delete(s.j.counts, s.id())
		s.j.met[s.called] = 0
	case s.place >= 0 || s.stored.Place >= 0: // one that has become unordered counted before
		s.j.ended++
	}
}

// store stores what the step came to. It insists while the store does not answer,
// for as long as the handler may run: the step's effect has happened.
func (s *step) store(ctx context.Context) error {
	x := s.j.x
	c := x.pool.client
	s.done.At, s.done.Took = s.began.UnixMilli(), c.clock.now(ctx).Sub(s.began).Milliseconds()
	if len(s.done.Result) > maxResult {
		return Discard(fmt.Errorf("%w: the result has %d bytes, at most %d are stored", ErrInvalid, len(s.done.Result), maxResult))
	}
	text, err := json.Marshal(s.done)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return x.persist(ctx, s.name, func() error { return s.storeOnce(ctx, text) })
}

// persist repeats what fails for a reason that passes, for as long as the handler
// may run.
func (x *execution) persist(ctx context.Context, name string, do func() error) error {
	for failures := 0; ; failures++ {
		err := do()
		if err == nil || errors.Is(err, ErrFenced) || errors.Is(err, ErrInvalid) {
			return err
		}
		x.pool.log.WarnContext(ctx, "step not stored, trying again", "id", x.id, "step", name, "error", err)
		if pause(ctx, push.Backoff(failures, stepRetryBase, stepRetryMax)); ctx.Err() != nil {
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		}
	}
}

const (
	stepRetryBase = 50 * time.Millisecond
	stepRetryMax  = 2 * time.Second
)

func (s *step) storeOnce(ctx context.Context, text []byte) error {
	x := s.j.x
	c := x.pool.client
	// A context that has ended does not undo what the step has done.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer cancel()
	r, err := c.run(ctx, "step", []string{c.job(x.id)[0], c.durable(x.id)}, x.gen, x.run, s.name, text, maxDurable, maxDurableBytes).Slice()
	if err != nil {
		return err //nolint:wrapcheck // the caller says what failed
	}
	switch v := reply(r); v.num(0) {
	case 1:
		s.keep(&s.done)
		return nil
	case 0: // a call whose answer was lost
		d := new(done)
		if err := json.Unmarshal([]byte(v.str(1)), d); err != nil {
			return fmt.Errorf("%w: read what is stored: %w", ErrInvalid, err)
		}
		s.keep(d)
		return nil
	case -2:
		return Discard(fmt.Errorf("%w: the job has %d steps, at most %d are stored", ErrInvalid, v.num(1), maxDurable))
	case -3:
		return Discard(fmt.Errorf("%w: the job's results have %d bytes, at most %d are stored", ErrInvalid, v.num(1), maxDurableBytes))
	}
	x.lose()
	return ErrFenced
}

func (s *step) keep(d *done) {
	s.j.mu.Lock()
	defer s.j.mu.Unlock()
	s.stored = d
	s.j.stored[s.name] = d
}

// unasked returns the names of the steps that are stored and that the run has not
// come to.
func (j *journal) unasked() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	var names []string
	for name := range j.stored {
		if !j.asked[name] {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// doneSteps lists what is stored, in the order in which it began.
func doneSteps(m map[string]string) ([]DoneStep, error) {
	stored, err := parseDone(m)
	if err != nil {
		return nil, fmt.Errorf("jobs: %w", err)
	}
	names := slices.SortedFunc(maps.Keys(stored), func(a, b string) int {
		return cmp.Or(cmp.Compare(stored[a].At, stored[b].At), cmp.Compare(stored[a].Place, stored[b].Place), cmp.Compare(a, b))
	})
	var all []DoneStep
	for _, name := range names {
		d := stored[name]
		all = append(all, DoneStep{
			Name: name, At: time.UnixMilli(d.At), Took: time.Duration(d.Took) * time.Millisecond, Result: d.Result, Error: d.Error,
		})
	}
	return all, nil
}

// waitsOf lists what is stored of waits, by name.
func waitsOf(m map[string]string) ([]Waiting, error) {
	all := map[string]Waiting{}
	for field, text := range m {
		if len(field) < 4 || field[0] != '#' || field[3:4] == sleepPrefix {
			continue
		}
		w := all[field[3:]]
		w.Name = field[3:]
		switch field[:3] {
		case "#u:":
			n, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				return nil, fmt.Errorf("jobs: read wait %q: %w", w.Name, err)
			}
			w.Until = time.UnixMilli(n)
		case "#a:":
			if w.TimedOut = text == ""; !w.TimedOut {
				w.Answer = json.RawMessage(text)
			}
		case "#b:":
			var by answered
			if err := json.Unmarshal([]byte(text), &by); err != nil {
				return nil, fmt.Errorf("jobs: read wait %q: %w", w.Name, err)
			}
			w.By, w.At = by.By, time.UnixMilli(by.At)
		}
		all[w.Name] = w
	}
	return slices.SortedFunc(maps.Values(all), func(a, b Waiting) int { return cmp.Compare(a.Name, b.Name) }), nil
}
