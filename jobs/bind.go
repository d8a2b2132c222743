package jobs

import (
	"context"
	"encoding/json"

	"github.com/hibiken/asynq"

	"lastmile/jobs/internal/tasks"
	"lastmile/push"
)

// headerBind is the header of an Asynq task that names the session which hears
// of it, with its actions: a dest as stored.
const headerBind = "lm-bind"

// Bind returns a copy of an Asynq task, with the options it was made with, whose
// events are sent to the session when a pool has adopted its queue, see
// [Pool.Adopt]. Enqueue it with Asynq's own client. Other servers run it as they
// would without: it has one header more.
//
// Without a session (nil) it returns the task as it is.
//
// The session is a secret, and the header is stored with the task, where
// Asynq's tools show it.
func Bind(task *asynq.Task, s push.Session, bindings ...Binding) *asynq.Task {
	if s == nil {
		return task
	}
	d := dest{Session: s.ID(), Actions: make(map[string]string, len(bindings))}
	for _, b := range bindings {
		b(d.Actions)
	}
	text, _ := json.Marshal(d) // strings always marshal
	return tasks.WithHeaders(task, map[string]string{headerBind: string(text)})
}

// SessionOf returns the session of the live page whose action ctx is the context
// of, or nil: so that what enqueues tasks may be called from pages and from
// elsewhere.
func SessionOf(ctx context.Context) push.Session {
	if page, ok := ctx.(interface{ Session() push.Session }); ok {
		return page.Session()
	}
	return nil
}

// boundTo returns the destination that a task's headers name, as stored, or "".
func boundTo(headers map[string]string) string {
	text := headers[headerBind]
	ds, err := parseDests(text)
	if text == "" || err != nil || len(ds) != 1 || ds[0].Session == "" || len(ds[0].Session) > push.MaxIDLen {
		return ""
	}
	for event, action := range ds[0].Actions {
		if !bindable(event) || push.ValidAction(action) != nil {
			return ""
		}
	}
	return text
}

type executionKey struct{}

// FromContext returns the job that the context of a handler belongs to, with its
// arguments as they are stored: the payload of an adopted task. It is never nil.
// Where nobody listens, for a task without a session or outside a handler,
// Progress does nothing.
func FromContext(ctx context.Context) *Job[[]byte] {
	if x, ok := ctx.Value(executionKey{}).(*execution); ok {
		return &Job[[]byte]{Args: x.payload, ID: x.id, Attempt: x.attempt, Attempts: x.limit, Gen: x.gen, x: x}
	}
	j := &Job[[]byte]{}
	j.ID, _ = asynq.GetTaskID(ctx)
	if n, ok := asynq.GetRetryCount(ctx); ok {
		j.Attempt = n + 1
	}
	if n, ok := asynq.GetMaxRetry(ctx); ok {
		j.Attempts = n + 1
	}
	return j
}
