package tasks

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Removal is Asynq's script call that removes a task, with our own leases behind
// its keys and the token of the hand-out behind its arguments. It is empty when
// Asynq has to make a call of its own afterwards.
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
	// Wake says when to look for tasks; nil looks whenever Asynq asks.
	Wake *Wake
	// Take takes up to n tasks out of a queue, and tells whether it left some.
	Take func(ctx context.Context, q Queue, lease any, n int) (taken []Task, left bool, err error)
	// Requeued is called after Asynq has made a task pending itself.
	Requeued func(ctx context.Context, pending string)
	// Soon is called after a task was put off.
	Soon func(due time.Time)
	// Finish stores the completion that waits for one of the tasks. done is
	// false when there is none, or when Asynq's own call is still to be made.
	Finish func(ctx context.Context, tasks []string, r Removal) (done bool, err error)
	// Call makes a script call as it is.
	Call func(ctx context.Context, sha string, keys []string, args []any) *redis.Cmd
	// Guarded makes a call of a script of this text behind the guard, which finds
	// the task's key and our own leases at the end of keys, and the task and the
	// token of its hand-out at the end of args. nil when leases are Asynq's alone.
	Guarded func(ctx context.Context, text string, keys []string, args []any) *redis.Cmd
	// Own names our own leases of a queue, by the list of its pending tasks.
	Own func(pending string) string

	texts sync.Map // SHA -> text of Asynq's scripts that are guarded
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
		scheduled, _ := s.Known.Names.Delayed(s.Known.Names.QueueOf(keys[0]))
		if scheduled == "" { // it is for what take.lua puts off
			scheduled = strings.TrimSuffix(keys[0], "pending") + "scheduled"
		}
		return s.take(ctx, Queue{keys[0], keys[1], keys[2], keys[3], scheduled, args[1]}, args[0])
	}
	if v, local := s.answer(sha, keys, args); local {
		cmd := redis.NewCmd(ctx)
		cmd.SetVal(v)
		return cmd
	}
	if s.expires(sha, keys, args) {
		args = append([]any{s.Wake.cutoff(keys[0])}, args[1:]...)
	}
	text := ""
	if s.leaves(keys, args) {
		known, _ := s.texts.Load(sha)
		var ok bool
		if text, ok = known.(string); !ok {
			cmd := redis.NewCmd(ctx)
			cmd.SetErr(noScriptError{}) // Asynq then sends the text
			return cmd
		}
	}
	return s.settle(ctx, sha, keys, args, func(args []any) *redis.Cmd {
		if text == "" {
			return s.Call(ctx, sha, keys, args)
		}
		id, task := s.Known.leaver(keys, args)
		return s.Guarded(ctx, text, append(slices.Clip(keys), task, s.own(keys[0])), append(slices.Clip(args), id, s.Prefetch.Token(id)))
	})
}

// Eval calls a script by its text, as Asynq does when Redis does not know it.
func (s *Server) Eval(ctx context.Context, text string, keys []string, args ...any) *redis.Cmd {
	sha := redis.NewScript(text).Hash()
	if s.leaves(keys, args) {
		s.texts.Store(sha, text)
		return s.EvalSha(ctx, sha, keys, args...)
	}
	ctx, cancel := detach(ctx)
	defer cancel()
	if s.expires(sha, keys, args) {
		args = append([]any{s.Wake.cutoff(keys[0])}, args[1:]...)
	}
	return s.settle(ctx, sha, keys, args, func(args []any) *redis.Cmd { return s.UniversalClient.Eval(ctx, text, keys, args...) })
}

// leaves tells whether a script call of Asynq's takes a task out of the active
// ones, in a way that can be guarded.
func (s *Server) leaves(keys []string, args []any) bool {
	if s.Guarded == nil {
		return false
	}
	id, _ := s.Known.leaver(keys, args)
	return id != ""
}

// noScriptError is the answer of a Redis that does not know a script.
type noScriptError struct{}

func (noScriptError) Error() string { return "NOSCRIPT No matching script." }
func (noScriptError) RedisError()   {}

// ErrNoScript has Asynq call a script by its text.
var ErrNoScript error = noScriptError{}

// settle makes a script call that may end Asynq's hold on a task.
func (s *Server) settle(ctx context.Context, sha string, keys []string, args []any, call func(args []any) *redis.Cmd) *redis.Cmd {
	ids := s.Known.mentioned(keys, args)
	var r Removal
	if s.Known.removes(sha, keys, args) {
		id, _ := s.Known.leaver(keys, args)
		r = Removal{append(slices.Clip(keys), s.own(keys[0])), append(slices.Clip(args), s.Prefetch.Token(id))}
	}
	if done, err := s.Finish(ctx, ids, r); done || err != nil {
		s.Pace.pace(ctx, err)
		if err == nil {
			s.Prefetch.settled(ids)
		}
		cmd := redis.NewCmd(ctx)
		cmd.SetVal("OK")
		cmd.SetErr(err)
		return cmd
	}
	due, second := s.Prefetch.due(ids)
	if !due.IsZero() && s.Wake != nil {
		args = s.Known.Names.Exactly(s.Known.Names.QueueOf(keys[0]), keys, args, second, due)
	}
	cmd := call(args)
	s.Pace.pace(ctx, cmd.Err())
	if troubled(cmd.Err()) || redis.HasErrorPrefix(cmd.Err(), "NOSCRIPT") {
		return cmd // Asynq repeats the call
	}
	s.Prefetch.settled(ids)
	if s.Wake != nil && cmd.Err() == nil {
		s.tell(ctx, keys, due)
	}
	return cmd
}

// own names our own leases of the queue that a key belongs to.
func (s *Server) own(key string) string {
	if s.Own == nil {
		return key // nothing is written there: there is no token
	}
	return s.Own(s.Known.Names.Pending(s.Known.Names.QueueOf(key)))
}

// ZAddXX answers Asynq's renewal of leases: the pool renews them, by Redis's
// clock. While Redis is away nobody else can take a task either.
func (s *Server) ZAddXX(ctx context.Context, key string, members ...redis.Z) *redis.IntCmd {
	if s.Guarded == nil || key != s.Known.Names.lease.of(s.Known.Names.QueueOf(key)) {
		return s.UniversalClient.ZAddXX(ctx, key, members...)
	}
	cmd := redis.NewIntCmd(ctx)
	cmd.SetVal(int64(len(members)))
	return cmd
}

// tell tells of work that a call of Asynq's has made, at once or later.
func (s *Server) tell(ctx context.Context, keys []string, due time.Time) {
	if i := slices.IndexFunc(keys, func(k string) bool { return strings.HasSuffix(k, ":pending") }); i >= 0 {
		s.Requeued(ctx, keys[i])
	}
	if !due.IsZero() {
		s.Soon(due)
	}
}

// answer answers those calls of Asynq's own loops that the sweep makes
// unnecessary: each loop asks for each queue, all day.
func (s *Server) answer(sha string, keys []string, args []any) (v any, local bool) {
	switch {
	case s.Wake == nil:
		return nil, false
	case s.Known.forwards(sha, keys, args):
		return int64(0), true
	case s.expires(sha, keys, args) && s.Wake.cutoff(keys[0]) == nil:
		return []any{}, true
	case sha == reclaimSHA:
		return "OK", true
	}
	return nil, false
}

// expires tells whether a script call of Asynq's lists tasks whose lease is over.
func (s *Server) expires(sha string, keys []string, args []any) bool {
	return s.Wake != nil && sha == expiredSHA && len(keys) == 1 && len(args) == 2
}

// take answers Asynq's call for a task.
func (s *Server) take(ctx context.Context, q Queue, lease any) *redis.Cmd {
	cmd := redis.NewCmd(ctx)
	now := time.Now()
	msg, n := s.Prefetch.next(q.Pending, now)
	if n > 0 && s.Wake != nil {
		if !s.Wake.await(q.Pending) {
			cmd.SetErr(redis.Nil)
			return cmd
		}
		now = time.Now() // and slots may have become free meanwhile
		if msg, n = s.Prefetch.next(q.Pending, now); n == 0 {
			s.Wake.took(q.Pending, true, true, nil)
		}
	}
	if n == 0 {
		cmd.SetVal(msg)
		return cmd
	}
	taken, left, err := s.Take(ctx, q, lease, n)
	if s.Wake != nil {
		s.Wake.took(q.Pending, len(taken) > 0, left, err)
	}
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
