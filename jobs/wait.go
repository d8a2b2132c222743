package jobs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/hibiken/asynq"

	"lastmile/jobs/internal/tasks"
)

const (
	// maxWaits bounds the fields that waits add to a job's steps: three each.
	maxWaits = 3 * 100
	// maxWait bounds how long a job may wait.
	maxWait = 365 * 24 * time.Hour
	// answerFor is how long an answer looks for a task that is on its way to where
	// it waits. Behind that the watchdog finds it.
	answerFor   = 2 * time.Second
	answerEvery = 10 * time.Millisecond
	// answerLook is when a watchdog looks whether an answered job goes on.
	answerLook = 3 * time.Second
)

var (
	// ErrTimedOut means that the time for an answer is up.
	ErrTimedOut = errors.New("jobs: the wait has timed out")

	// ErrAnswered means that somebody has given another answer.
	ErrAnswered = errors.New("jobs: it has been answered otherwise")
)

// waitError lets go of the worker.
type waitError struct {
	name string
	due  time.Time
}

func (e *waitError) Error() string { return "waits for " + e.name }

// Wait returns the answer that somebody has given to the job's question of that
// name, by [Answer]: from a page's action, a mail's link, another job. While there is
// none it returns an error, and the handler has to return that error: the job lets
// go of its worker and of its limits, waits in StateScheduled without using up an
// attempt, and runs again from the top when it is answered or when its time is up. So
// what is done before a Wait belongs into steps of [Do].
//
// The time counts from the first run that asks, by Redis's clock; at its end Wait
// returns [ErrTimedOut], in each run from then on. A timeout and an answer exclude
// each other: whoever answers is told which of them it was. An answer that comes
// before the question is kept. T goes through JSON. A wait lasts at most a year; a job
// has at most 100, with names like those of steps, of which each is one wait: the
// second Wait of a name in a run is "name#2". Each generation of a job begins
// without answers.
//
// A task of Asynq's own, see [Pool.Adopt], cannot wait.
//
// The sessions that asked for the job are told once, when a wait begins: see
// [OnWaiting].
func Wait[T any](ctx context.Context, name string, timeout time.Duration) (T, error) {
	var v T
	answer, err := wait(ctx, name, timeout)
	if err == nil {
		if bad := json.Unmarshal(answer, &v); bad != nil {
			err = Discard(fmt.Errorf("%w: %w", ErrStepType, bad))
		}
	}
	if err != nil {
		return v, fmt.Errorf("jobs: wait %q: %w", name, err)
	}
	return v, nil
}

// Sleep has the job wait for a time: it lets go of its worker as [Wait] does, and
// nobody can wake it but by cancelling it. The handler has to return Sleep's error.
// It returns nil in every run once the time is over.
func Sleep(ctx context.Context, name string, d time.Duration) error {
	if err := checkStepName(name); err != nil {
		return fmt.Errorf("jobs: sleep %q: %w", name, err)
	}
	if _, err := wait(ctx, sleepPrefix+name, d); !errors.Is(err, ErrTimedOut) {
		return fmt.Errorf("jobs: sleep %q: %w", name, err)
	}
	return nil
}

// waitScope is no step's ID.
const waitScope = "#wait"

// sleepPrefix begins the names of waits that nobody can answer: no name that a
// caller gives has the sign.
const sleepPrefix = "#"

func wait(ctx context.Context, name string, timeout time.Duration) ([]byte, error) {
	if err := checkStepName(name); err != nil && name[:min(len(name), 1)] != sleepPrefix {
		return nil, err
	}
	if timeout < 0 || timeout > maxWait {
		return nil, Discard(fmt.Errorf("%w: a wait of %v, want 0 to %v", ErrInvalid, timeout, maxWait))
	}
	x, ok := ctx.Value(executionKey{}).(*execution)
	if !ok {
		return nil, fmt.Errorf("%w: not within a handler of a job", ErrInvalid)
	}
	if s, within := ctx.Value(stepKey{}).(*step); within {
		return nil, Discard(fmt.Errorf("%w: within step %q", ErrInvalid, s.name))
	}
	if err := x.journal.load(ctx, x); err != nil {
		return nil, err
	}
	if x.adopted != "" {
		return nil, Discard(fmt.Errorf("%w: the task is Asynq's own, which would count the wait as a failure", ErrInvalid))
	}
	field := stepName(name, x.journal.count(waitScope, name))
	c := x.pool.client
	var v reply
	err := x.persist(ctx, name, func() (err error) {
		v, err = c.run(ctx, "wait", []string{c.job(x.id)[0], c.durable(x.id)}, x.gen, x.run, field, msOf(timeout), maxDurable+maxWaits).Slice()
		return err
	})
	if err != nil {
		x.journal.uncount(waitScope, name)
		return nil, err
	}
	switch v.num(0) {
	case 1:
		return []byte(v.str(1)), nil
	case 2:
		return nil, ErrTimedOut
	case 0:
		e := &waitError{field, time.UnixMilli(v.num(1))}
		if v.num(2) == 1 && name[0] != sleepPrefix[0] {
			x.tellWaiting(ctx, e)
		}
		return nil, e
	case -2:
		return nil, Discard(fmt.Errorf("%w: the job has too many steps and waits", ErrInvalid))
	}
	x.lose()
	return nil, ErrFenced
}

// tellWaiting tells the sessions what the job waits for.
func (x *execution) tellWaiting(ctx context.Context, w *waitError) {
	to, err := x.audienceNow(ctx)
	if err != nil {
		x.pool.log.WarnContext(ctx, "nobody told that the job waits", "id", x.id, "error", err)
		return
	}
	e := x.event(StateScheduled)
	e.Wait, e.NextAt = w.name, w.due
	x.pool.client.notify.tell(ctx, eventWaiting, e, to, fmt.Sprintf("job:%s:%d:waiting:%s", x.id, x.gen, w.name))
}

// AnswerOption is an option of [Answer].
type AnswerOption struct{ set func(*answered) }

// AnsweredBy notes who gave the answer, for [Waits]: at most 256 bytes.
func AnsweredBy(who string) AnswerOption {
	return AnswerOption{func(a *answered) { a.By = who }}
}

type answered struct {
	By string `json:"by,omitempty"`
	At int64  `json:"at"`
}

// Answer answers the question that a job waits with, or will wait with: see [Wait].
// value goes through JSON, at most 48 KiB. The first answer is the answer; the same
// one again is no error. When Answer returns nil the answer is stored, and the job goes
// on within milliseconds, or, if this process dies at that moment, within seconds.
//
// The error wraps ErrAnswered when there is another answer, ErrTimedOut when the time
// was up, ErrEnded when the job is over, ErrNotFound when there is none (or it is a
// plain one that has not begun), or ErrInvalid. IDs of jobs are no secrets: ask who may
// answer.
func Answer(ctx context.Context, c *Client, id, name string, value any, opts ...AnswerOption) error {
	if err := answer(ctx, c, id, name, value, opts); err != nil {
		return fmt.Errorf("jobs: answer %q of job %q: %w", name, id, err)
	}
	return nil
}

func answer(ctx context.Context, c *Client, id, name string, value any, opts []AnswerOption) error {
	if err := checkWaitName(name); err != nil {
		return err
	}
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if len(text) > maxResult {
		return fmt.Errorf("%w: the answer has %d bytes, at most %d are stored", ErrInvalid, len(text), maxResult)
	}
	by := answered{At: c.clock.now(ctx).UnixMilli()}
	for _, o := range opts {
		o.set(&by)
	}
	if len(by.By) > 256 {
		return fmt.Errorf("%w: who answered has %d bytes, at most 256", ErrInvalid, len(by.By))
	}
	who, err := json.Marshal(by)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	r, err := c.run(ctx, "answer", append(c.job(id), c.durable(id)), id, name, text, who, maxDurable+maxWaits, maxDurableBytes, msOf(answerLook)).Slice()
	if err != nil {
		return err //nolint:wrapcheck // the caller says what failed
	}
	switch v := reply(r); v.num(0) {
	case -1:
		return ErrNotFound
	case -2:
		return fmt.Errorf("%w: it is %s", ErrEnded, v.str(1))
	case -3:
		return ErrTimedOut
	case -4:
		return ErrAnswered
	case -5:
		return fmt.Errorf("%w: the job has no room for another answer", ErrInvalid)
	default:
		if v.num(1) == 1 {
			goOn(ctx, c, id, name)
		}
		return nil
	}
}

// goOn runs a job whose answer is there. Its task may be on its way from the worker to
// where it waits. What fails the watchdog does.
func goOn(ctx context.Context, c *Client, id, name string) {
	for until := time.Now().Add(answerFor); ctx.Err() == nil; pause(ctx, answerEvery) {
		rec, err := c.load(ctx, id)
		if err != nil || rec.over() || rec.State != StateScheduled || rec.wait != name {
			return
		}
		err = runNow(ctx, c, rec)
		if err == nil {
			return
		}
		if time.Now().After(until) {
			c.log.WarnContext(ctx, "answered job left to the watchdog", "id", id, "error", err)
			return
		}
	}
}

// RunNow runs a job at once that is scheduled, snoozed, or waits for its next attempt;
// one that waits for a limit or an answer looks for it again, and waits on. A job that
// is queued or runs already is left as it is. The error wraps ErrEnded or ErrNotFound.
func RunNow(ctx context.Context, c *Client, id string) error {
	rec, err := c.load(ctx, id)
	switch {
	case errors.Is(err, ErrNotFound):
		return runPlainNow(c, id)
	case err != nil:
		return err
	case rec.over():
		return fmt.Errorf("jobs: run job %q: %w: it is %s", id, ErrEnded, rec.State)
	}
	if err := runNow(ctx, c, rec); err != nil && !tasks.Gone(err) && !alreadyDue(c, rec) {
		return err
	}
	return nil
}

// alreadyDue tells whether the job's task is pending or with a worker.
func alreadyDue(c *Client, rec *record) bool {
	info, err := c.inspect.GetTaskInfo(c.taskOf(rec))
	return err == nil && (info.State == asynq.TaskStatePending || info.State == asynq.TaskStateActive)
}

// runPlainNow is RunNow for a job that Asynq alone knows.
func runPlainNow(c *Client, id string) error {
	t, task, err := c.locate(id)
	switch {
	case err != nil:
		return err
	case t == nil:
		return fmt.Errorf("jobs: run job %q: %w", id, ErrNotFound)
	case task.State == asynq.TaskStatePending || task.State == asynq.TaskStateActive:
		return nil
	case task.State != asynq.TaskStateScheduled && task.State != asynq.TaskStateRetry:
		return fmt.Errorf("jobs: run job %q: %w: it is %s", id, ErrEnded, plainState(task.State))
	}
	if err := c.inspect.RunTask(c.inAsynq(t.queue), id); err != nil {
		return fmt.Errorf("jobs: run job %q: %w", id, err)
	}
	return nil
}

// runNow has a task that waits run at once.
func runNow(ctx context.Context, c *Client, rec *record) error {
	queue, task := c.taskOf(rec)
	if err := c.inspect.RunTask(queue, task); err != nil {
		return fmt.Errorf("jobs: run job %q: %w", rec.ID, err)
	}
	if pending := c.known.Names.Pending(queue); pending != "" {
		if err := c.run(ctx, "rouse", []string{pending, c.idle(pending)}, c.wakes(), c.blind()).Err(); err != nil {
			c.log.DebugContext(ctx, "no worker woken", "error", err) // the sweep finds the work
		}
	}
	return nil
}

// answered tells whether the answer that a job waits for is there.
func (w watchdog) answered(ctx context.Context, rec *record) (bool, error) {
	if rec.wait == "" || rec.State != StateScheduled {
		return false, nil
	}
	there, err := w.c.rdb.HExists(ctx, w.c.durable(rec.ID), "#a:"+rec.wait).Result()
	if err != nil {
		return false, fmt.Errorf("jobs: look for the answer of job %q: %w", rec.ID, err)
	}
	return there, nil
}

// goOn runs a job that was answered, and that whoever answered could not run.
func (w watchdog) goOn(ctx context.Context, rec *record) error {
	w.c.metrics.rescued.WithLabelValues("answered").Inc()
	if err := runNow(ctx, w.c, rec); err != nil && !tasks.Gone(err) {
		w.c.log.WarnContext(ctx, "answered job not run", "id", rec.ID, "error", err)
	}
	return w.checkAgain(ctx, rec.ID, firstCheck)
}

// Waiting is a question of a job.
type Waiting struct {
	// Name is the wait's.
	Name string
	// Until is when its time is up; zero when the job has not asked yet.
	Until time.Time
	// Answer is what was answered, as JSON, by By at At; nil when nobody has.
	Answer json.RawMessage
	By     string
	At     time.Time
	// TimedOut is true when the time was up before anybody answered.
	TimedOut bool
}

// Waits returns what a job has asked, or was answered, in its latest generation, by
// name. A job that is unknown has none.
func Waits(ctx context.Context, c *Client, id string) ([]Waiting, error) {
	m, err := c.rdb.HGetAll(ctx, c.durable(id)).Result()
	if err != nil {
		return nil, fmt.Errorf("jobs: read waits of job %q: %w", id, err)
	}
	return waitsOf(m)
}

func checkWaitName(name string) error {
	base, number, numbered := bytes.Cut([]byte(name), []byte("#"))
	if numbered && (len(number) == 0 || len(number) > 4 || bytes.ContainsFunc(number, func(r rune) bool { return r < '0' || r > '9' })) {
		return fmt.Errorf("%w: what stands behind # in a wait's name is a number", ErrInvalid)
	}
	return checkStepName(string(base))
}
