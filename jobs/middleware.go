package jobs

import (
	"context"
	"encoding/json"
)

// Enqueueing is a job on its way into the queue, as middleware sees it.
type Enqueueing struct {
	// ID is the job's.
	ID string
	// Kind is the name of its kind.
	Kind string
	// Queue may be changed.
	Queue string
	// Args are the arguments; they may be changed.
	Args json.RawMessage

	set *settings
}

// EnqueueMiddleware wraps the storing of jobs: it calls next, or returns an
// error to refuse the job.
type EnqueueMiddleware func(next func(context.Context, *Enqueueing) (Handle, error)) func(context.Context, *Enqueueing) (Handle, error)

// Work is one execution, as middleware sees it.
type Work struct {
	// ID is the job's.
	ID string
	// Kind is the name of its kind.
	Kind string
	// Queue is the queue it came from.
	Queue string
	// Attempt counts the executions of this generation, from 1.
	Attempt int
	// Gen counts how often the job was opened, from 1.
	Gen int
	// Args are the arguments; they may be changed.
	Args json.RawMessage
}

// WorkMiddleware wraps the handling of jobs: it calls next, whose result is
// JSON, or returns an error as a handler would. A panic is a failed attempt.
type WorkMiddleware func(next func(context.Context, *Work) ([]byte, error)) func(context.Context, *Work) ([]byte, error)
