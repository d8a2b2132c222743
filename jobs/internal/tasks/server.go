package tasks

import (
	"context"
	"strings"
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
	// Silent is a channel that nobody publishes on.
	Silent string
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

// Subscribe answers Asynq's wish to hear which tasks to cancel. It says so on one
// channel of the whole server, by the task's ID alone: another application's, or
// another database's. Asynq hears a channel of its own that is silent, and the
// pool listens.
func (s *Server) Subscribe(ctx context.Context, _ ...string) *redis.PubSub {
	return s.UniversalClient.Subscribe(ctx, s.Silent)
}

// EvalSha calls a script. Asynq runs all of its scripts through it first.
func (s *Server) EvalSha(ctx context.Context, sha string, keys []string, args ...any) *redis.Cmd {
	ctx, cancel := detach(ctx)
	defer cancel()
	if s.Known.dequeues(sha, keys, args) {
		scheduled := strings.TrimSuffix(keys[0], "pending") + "scheduled" // as the Asynq that is known calls it
		return s.take(ctx, Queue{keys[0], keys[1], keys[2], keys[3], scheduled, args[1]}, args[0])
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
