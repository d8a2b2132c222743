package jobs

import "context"

// Work is a job as middleware sees it, on its way into the queue or at one of
// its executions.
type Work struct {
	// ID is the job's.
	ID string
	// Kind is the name of its kind.
	Kind string
	// Queue is where it waits or came from. On the way in it may be changed.
	Queue string
	// Attempt counts the executions of this generation, from 1; it is 0 on the
	// way in.
	Attempt int
	// Gen counts how often the job was opened, from 1; it is 0 on the way in.
	Gen int
	// Args are the arguments as the kind's codec wrote them, JSON unless the
	// kind has another. They may be changed.
	Args []byte

	set *settings // on the way in
}

// Middleware wraps what is done with jobs: it calls next, or returns an error
// instead. With R = [Handle] it wraps Enqueue, see ClientConfig.Middleware; with
// R = []byte it wraps the handlers, whose result is JSON, see PoolConfig.Work.
type Middleware[R any] func(next func(context.Context, *Work) (R, error)) func(context.Context, *Work) (R, error)
