package tasks

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
)

// Removal is Asynq's script call that removes a task. It is empty when Asynq
// has to make a call of its own afterwards.
type Removal struct {
	Keys []string
	Args []any
}

// Server is Asynq's client in a pool: it answers the calls that scripts of ours
// stand in for, and passes the others on.
type Server struct {
	redis.UniversalClient
	// Known says which calls these are.
	Known *Known
	// Prefetch is what the pool has taken.
	Prefetch *Prefetch
	// Pace slows down what Redis refuses.
	Pace *Hook
	// Take takes up to n tasks out of a queue.
	Take func(ctx context.Context, q Queue, lease any, n int) ([]Task, error)
	// Finish stores the completion that waits for one of the tasks. done is
	// false when there is none, or when Asynq's own call is still to be made.
	Finish func(ctx context.Context, tasks []string, r Removal) (done bool, err error)
	// Call makes a script call as it is.
	Call func(ctx context.Context, sha string, keys []string, args []any) *redis.Cmd
}

// EvalSha calls a script. Asynq runs all of its scripts through it first.
func (s *Server) EvalSha(ctx context.Context, sha string, keys []string, args ...any) *redis.Cmd {
	ctx, cancel := detach(ctx)
	defer cancel()
	if s.Known.dequeues(sha, keys, args) {
		return s.take(ctx, Queue{keys[0], keys[1], keys[2], keys[3], args[1]}, args[0])
	}
	ids := s.Known.mentioned(keys, args)
	defer s.Prefetch.settled(ids)
	var r Removal
	if s.Known.removes(sha, keys, args) {
		r = Removal{keys, args}
	}
	if done, err := s.Finish(ctx, ids, r); done || err != nil {
		s.Pace.pace(ctx, err)
		cmd := redis.NewCmd(ctx)
		cmd.SetVal("OK")
		cmd.SetErr(err)
		return cmd
	}
	cmd := s.Call(ctx, sha, keys, args)
	s.Pace.pace(ctx, cmd.Err())
	return cmd
}

// take answers Asynq's call for a task.
func (s *Server) take(ctx context.Context, q Queue, lease any) *redis.Cmd {
	cmd := redis.NewCmd(ctx)
	now := time.Now()
	msg, n := s.Prefetch.next(q.Pending, now)
	if n == 0 {
		cmd.SetVal(msg)
		return cmd
	}
	taken, err := s.Take(ctx, q, lease, n)
	s.Pace.pace(ctx, err)
	msg, ok := s.Prefetch.keep(q, taken, now)
	switch {
	case err != nil:
		cmd.SetErr(err)
	case !ok:
		cmd.SetErr(redis.Nil)
	default:
		cmd.SetVal(msg)
	}
	return cmd
}
