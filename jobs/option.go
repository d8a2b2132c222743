package jobs

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"lastmile/jobs/internal/tasks"
	"lastmile/push"
)

// Option changes how jobs of a kind run, given to [Define], or one job, given
// to [Kind.Enqueue].
type Option struct{ apply func(*settings) }

type settings struct {
	queue       string
	maxRetry    int
	maxDeaths   int
	timeout     time.Duration
	retention   time.Duration
	backoffBase time.Duration
	backoffMax  time.Duration
	id          string
	plain       bool // see plain.go
	random      bool // the ID was drawn
	at          time.Time
	in          time.Duration
	unique      time.Duration
	uniqueKey   []string
	limits      []limit
	session     string
	actions     map[string]string
	follow      *follow
	codecs      []Codec // none: JSON
}

// The bounds of what options may ask for.
const (
	maxRetryLimit = 500
	maxNameLen    = 128
	maxIDLen      = 96
	maxTimeout    = 24 * time.Hour
	maxRetention  = 90 * 24 * time.Hour
)

func defaults() settings {
	return settings{
		queue: "default", maxRetry: 10, maxDeaths: defaultDeaths, timeout: 30 * time.Minute, retention: 24 * time.Hour,
		backoffBase: 2 * time.Second, backoffMax: 10 * time.Minute,
	}
}

// Queue names the queue. Defaults to "default".
func Queue(name string) Option { return Option{func(s *settings) { s.queue = name }} }

// MaxRetry is how often a failed job is run again. The death of a worker is no
// failure of its jobs, which run again also with 0: see [MaxDeaths]. Defaults to 10;
// at most 500.
func MaxRetry(n int) Option { return Option{func(s *settings) { s.maxRetry = n }} }

// Timeout bounds one attempt: the handler's context ends then, with a
// context.DeadlineExceeded as its cause, and the attempt fails. A handler that
// ignores its context keeps running, unable to report anything. Defaults to 30
// minutes; at most a day.
func Timeout(d time.Duration) Option { return Option{func(s *settings) { s.timeout = d }} }

// Retention is how long a job can be looked up after its end. Defaults to 24
// hours; at most 90 days.
func Retention(d time.Duration) Option { return Option{func(s *settings) { s.retention = d }} }

// RetryBackoff sets the wait after a failed attempt: base, doubled for each
// further one up to limit, less up to a quarter at random. Defaults to 2
// seconds and 10 minutes.
func RetryBackoff(base, limit time.Duration) Option {
	return Option{func(s *settings) { s.backoffBase, s.backoffMax = base, limit }}
}

// ID names the job instead of a random name, which makes repeating an Enqueue
// safe: while the job or its record exists, the same ID is not enqueued again.
// Inside an action of a live page IDs derive from the action by themselves.
func ID(id string) Option { return Option{func(s *settings) { s.id = id }} }

// ProcessAt puts the start off until t by Redis's clock, or up to a second later.
func ProcessAt(t time.Time) Option { return Option{func(s *settings) { s.at, s.in = t, 0 }} }

// ProcessIn puts the start off by d, or up to a second longer.
func ProcessIn(d time.Duration) Option {
	return Option{func(s *settings) { s.in, s.at = d, time.Time{} }}
}

// Unique makes jobs of the kind with equal arguments, or with the given key, one:
// while such a job is open, and for d after it was made when it completed,
// Enqueue returns it instead of a new one and adds the requester to those who
// get its events. A job that failed, was cancelled or got lost makes room at
// once.
func Unique(d time.Duration, key ...string) Option {
	return Option{func(s *settings) { s.unique, s.uniqueKey = max(d, 1), key }}
}

// Binding names the action that gets one kind of event: [OnDone], [OnFailed],
// [OnProgress] or, for any other, [On].
type Binding func(map[string]string)

// Notify sends the job's events to the session: to each bound action a push
// whose data is the event, see [EventOf]; OnDone carries the result's fields
// beside it. The job is listed by [ForSession] also without a binding. Inside
// an action of a live page the session is the default, with no bindings.
func Notify(s push.Session, bindings ...Binding) Option {
	return Option{func(o *settings) {
		o.session = s.ID()
		o.actions = make(map[string]string, len(bindings))
		for _, b := range bindings {
			b(o.actions)
		}
	}}
}

// OnDone binds the end of a job that completed. A result that is too large for a
// push ([push.PublisherConfig].MaxDataBytes) stays in the record: then the
// event, with StateCompleted, Code "result_too_large" and no result, goes to
// the action that OnFailed binds, or to this one if there is none.
func OnDone(action string) Binding { return On(action, StateCompleted) }

// OnFailed binds the end of a job that failed, and of one that was cancelled or
// lost unless On binds these. See OnDone for a result that is too large.
func OnFailed(action string) Binding { return On(action, StateFailed) }

// OnProgress binds what the handler reports with Job.Progress: the latest value,
// at most ten times a second.
func OnProgress(action string) Binding {
	return func(m map[string]string) { m[eventProgress] = action }
}

// OnWaiting binds the moment when the job begins to wait for an answer: the event
// names the wait and says when its time is up. See [Wait].
func OnWaiting(action string) Binding {
	return func(m map[string]string) { m[eventWaiting] = action }
}

// On binds the moments when a job comes into any of the states: StateQueued
// when it is enqueued (also to run later), StateRunning at the start of each
// attempt and when a stalled one goes on, StateRetrying when an attempt failed
// and will be repeated (the event says when), StateStalled when the worker is
// silent (told within 15 seconds), and the four ends. StateLost is the end of a job whose task an operator
// deleted, or that Redis lost. There is no event for StateScheduled.
func On(action string, states ...State) Binding {
	return func(m map[string]string) {
		for _, s := range states {
			m[eventOf(s)] = action
		}
	}
}

// eventOf names the event of coming into a state.
func eventOf(s State) string {
	if s == StateRunning {
		return eventStarted
	}
	return string(s)
}

// bindable are the events that an action can be bound to.
func bindable(event string) bool {
	switch event {
	case eventQueued, eventStarted, eventProgress, eventWaiting, string(StateRetrying), string(StateStalled):
		return true
	default:
		return State(event).Ended()
	}
}

func (s *settings) check() error {
	for _, c := range []struct {
		bad bool
		msg string
	}{
		{strings.TrimSpace(s.queue) == "" || len(s.queue) > maxNameLen || !utf8.ValidString(s.queue), "Queue must be text of 1 to 128 bytes"},
		{s.maxRetry < 0 || s.maxRetry > maxRetryLimit, "MaxRetry must be 0 to 500"},
		{s.maxDeaths < 1 || s.maxDeaths > mostDeaths, "MaxDeaths must be 1 to 100"},
		{s.timeout < time.Second || s.timeout > maxTimeout, "Timeout must be a second to a day"},
		{s.retention < time.Second || s.retention > maxRetention, "Retention must be a second to 90 days"},
		{s.backoffBase <= 0 || s.backoffMax < s.backoffBase, "RetryBackoff must be positive and ascending"},
		{len(s.id) > maxIDLen || !tasks.ValidJob(s.id) || !utf8.ValidString(s.id), "ID must be text of at most 96 bytes without '~'"},
		{s.in < 0, "ProcessIn must not be negative"},
		{s.session != "" && len(s.session) > push.MaxIDLen, "session ID is too long"},
	} {
		if c.bad {
			return fmt.Errorf("%w: %s", ErrInvalid, c.msg)
		}
	}
	if len(s.limits) > maxLimits {
		return fmt.Errorf("%w: %d limits, at most %d are allowed", ErrInvalid, len(s.limits), maxLimits)
	}
	for _, l := range s.limits {
		if err := l.check(); err != nil {
			return err
		}
	}
	if err := s.follow.check(); err != nil {
		return err
	}
	if err := s.checkCodecs(); err != nil {
		return err
	}
	for event, action := range s.actions {
		if !bindable(event) {
			return fmt.Errorf("%w: there is no event for state %q", ErrInvalid, event)
		}
		if err := push.ValidAction(action); err != nil {
			return fmt.Errorf("%w: action bound to %s: %w", ErrInvalid, event, err)
		}
	}
	return nil
}
