package tasks_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"lastmile/jobs/internal/tasks"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestPinnedAsynqIsKnown fails when another version of Asynq is pinned whose
// scripts differ: read them beside ours before their sums are changed here.
func TestPinnedAsynqIsKnown(t *testing.T) {
	t.Parallel()
	k := tasks.Probe()
	if unknown := k.Unknown(); len(unknown) > 0 || !k.Enqueue || !k.Dequeue || !k.Done || !k.Forward {
		t.Errorf("unknown: %q", unknown)
	}
	got := k.Keys("q", "id")
	if want := []string{"asynq:queues", "asynq:{q}:t:id", "asynq:{q}:active", "asynq:{q}:lease", "asynq:{q}:archived", "asynq:{q}:scheduled", "asynq:{q}:retry"}; !slices.Equal(got, want) {
		t.Errorf("keys %q, want %q", got, want)
	}
}

// other is an Asynq that makes its script calls in another way.
type other struct {
	redis.UniversalClient
	sha    string
	change func(ctx context.Context, c redis.UniversalClient, sha string, keys []string, args []any) *redis.Cmd
}

func (o other) EvalSha(ctx context.Context, sha string, keys []string, args ...any) *redis.Cmd {
	if sha != o.sha {
		return o.UniversalClient.EvalSha(ctx, sha, keys, args...)
	}
	return o.change(ctx, o.UniversalClient, sha, slices.Clone(keys), slices.Clone(args))
}

func TestOtherCallsAreUnknown(t *testing.T) {
	t.Parallel()
	changes := map[string]func(ctx context.Context, c redis.UniversalClient, sha string, keys []string, args []any) *redis.Cmd{
		"one more argument": func(ctx context.Context, c redis.UniversalClient, sha string, keys []string, args []any) *redis.Cmd {
			return c.EvalSha(ctx, sha, keys, append(args, "more")...)
		},
		"one argument less": func(ctx context.Context, c redis.UniversalClient, sha string, keys []string, args []any) *redis.Cmd {
			return c.EvalSha(ctx, sha, keys, args[:len(args)-1]...)
		},
		"arguments in another order": func(ctx context.Context, c redis.UniversalClient, sha string, keys []string, args []any) *redis.Cmd {
			args[0], args[1] = args[1], args[0]
			return c.EvalSha(ctx, sha, keys, args...)
		},
		"keys in another order": func(ctx context.Context, c redis.UniversalClient, sha string, keys []string, args []any) *redis.Cmd {
			keys[0], keys[1] = keys[1], keys[0]
			return c.EvalSha(ctx, sha, keys, args...)
		},
		"a renamed key": func(ctx context.Context, c redis.UniversalClient, sha string, keys []string, args []any) *redis.Cmd {
			keys[1] += "s"
			return c.EvalSha(ctx, sha, keys, args...)
		},
		"another text": func(ctx context.Context, c redis.UniversalClient, _ string, keys []string, args []any) *redis.Cmd {
			return c.EvalSha(ctx, "0123", keys, args...)
		},
		"the text itself": func(ctx context.Context, c redis.UniversalClient, _ string, keys []string, args []any) *redis.Cmd {
			return c.Eval(ctx, "return 1", keys, args...)
		},
		"two scripts": func(ctx context.Context, c redis.UniversalClient, sha string, keys []string, args []any) *redis.Cmd {
			c.EvalSha(ctx, sha, keys, args...)
			return c.EvalSha(ctx, sha, keys, args...)
		},
		"no script": func(ctx context.Context, c redis.UniversalClient, _ string, _ []string, _ []any) *redis.Cmd {
			return c.Do(ctx, "get", "x")
		},
		"a pipeline": func(ctx context.Context, c redis.UniversalClient, sha string, keys []string, args []any) *redis.Cmd {
			p := c.Pipeline()
			cmd := p.EvalSha(ctx, sha, keys, args...)
			_, _ = p.Exec(ctx)
			return cmd
		},
		"a panic": func(context.Context, redis.UniversalClient, string, []string, []any) *redis.Cmd { panic("other") },
	}
	for _, script := range []struct{ name, sha string }{{"enqueue", tasks.EnqueueSHA}, {"dequeue", tasks.DequeueSHA}, {"done", tasks.DoneSHA}, {"forward", tasks.ForwardSHA}} {
		for name, change := range changes {
			t.Run(script.name+" "+name, func(t *testing.T) {
				t.Parallel()
				k := tasks.ProbeWith(func(c redis.UniversalClient) redis.UniversalClient { return other{c, script.sha, change} })
				if known := map[string]bool{"enqueue": k.Enqueue, "dequeue": k.Dequeue, "done": k.Done, "forward": k.Forward}[script.name]; known {
					t.Error("it is taken for known")
				}
				if len(k.Unknown()) == 0 {
					t.Error("nobody is told")
				}
			})
		}
	}
}

// TestCallerIsLost: an enqueue whose context is not the caller's cannot carry
// what belongs to it.
func TestCallerIsLost(t *testing.T) {
	t.Parallel()
	k := tasks.ProbeWith(func(c redis.UniversalClient) redis.UniversalClient {
		return other{c, tasks.EnqueueSHA, func(ctx context.Context, c redis.UniversalClient, sha string, keys []string, args []any) *redis.Cmd {
			return c.EvalSha(detached{ctx}, sha, keys, args...) //nolint:contextcheck // that is the fault
		}}
	})
	if k.Enqueue || !strings.Contains(strings.Join(k.Unknown(), " "), "context") {
		t.Errorf("unknown: %q", k.Unknown())
	}
}

type detached struct{ context.Context } // it hides values

func (detached) Value(any) any { return nil }

// TestRenamedKeysAreLearned: what looks after tasks follows Asynq's names.
func TestRenamedKeysAreLearned(t *testing.T) {
	t.Parallel()
	k := tasks.ProbeWith(func(c redis.UniversalClient) redis.UniversalClient { return renaming{c} })
	got := k.Keys("q", "id")
	if want := []string{"asynq:queues", "asynq:{q}:t:id", "asynq:{q}:working", "asynq:{q}:leases", "asynq:{q}:archived", "asynq:{q}:scheduled", "asynq:{q}:retry"}; !slices.Equal(got, want) {
		t.Errorf("keys %q, want %q", got, want)
	}
	if k.Dequeue || k.Done {
		t.Errorf("renamed keys are taken for known")
	}
}

type renaming struct{ redis.UniversalClient }

func (r renaming) EvalSha(ctx context.Context, sha string, keys []string, args ...any) *redis.Cmd {
	keys = slices.Clone(keys)
	for i := range keys {
		keys[i] = strings.Replace(strings.Replace(keys[i], ":active", ":working", 1), ":lease", ":leases", 1)
	}
	return r.UniversalClient.EvalSha(ctx, sha, keys, args...)
}

func (r renaming) ZAddXX(ctx context.Context, key string, members ...redis.Z) *redis.IntCmd {
	return r.UniversalClient.ZAddXX(ctx, key+"s", members...)
}

func TestEnqueues(t *testing.T) {
	t.Parallel()
	k := tasks.Probe()
	if !k.Enqueues(tasks.EnqueueSHA, make([]string, 2), make([]any, 3)) {
		t.Error("the call is not known")
	}
	for _, bad := range []bool{
		k.Enqueues(tasks.DoneSHA, make([]string, 2), make([]any, 3)),
		k.Enqueues(tasks.EnqueueSHA, make([]string, 3), make([]any, 3)),
		k.Enqueues(tasks.EnqueueSHA, make([]string, 2), make([]any, 4)),
		(&tasks.Known{}).Enqueues(tasks.EnqueueSHA, make([]string, 2), make([]any, 3)),
	} {
		if bad {
			t.Error("another call is known")
		}
	}
}

// TestWhatLeavesIsGuarded fails when an Asynq takes a task out of the active ones
// by a script that does not say which: then it cannot be guarded.
func TestWhatLeavesIsGuarded(t *testing.T) {
	t.Parallel()
	n, unguarded, err := tasks.LeavingCalls()
	if err != nil || n < 5 || len(unguarded) > 0 { // done, complete, retry, archive, requeue
		t.Errorf("%d calls, of which %q cannot be guarded; %v", n, unguarded, err)
	}
}
