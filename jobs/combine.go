package jobs

import (
	"context"

	"github.com/redis/go-redis/v9"

	"lastmile/internal/flight"
)

// scriptFlights is how many script calls, or pipelines of them, are under way
// before calls begin to share: fewer than a publisher's, since each of them
// does more.
const scriptFlights = 2

// combiner lets concurrent script calls share pipelines, which saves most of a
// busy pool's system calls.
type combiner struct {
	rdb   redis.UniversalClient
	group *flight.Group[call, *redis.Cmd]
}

// call is one script call.
type call struct {
	sha  string
	keys []string
	args []any
}

func newCombiner(rdb redis.UniversalClient) *combiner {
	c := &combiner{rdb: rdb}
	c.group = flight.New(flight.Config[call, *redis.Cmd]{One: c.one, Many: c.many, Flights: scriptFlights})
	return c
}

// run calls a script. When ctx ends early the script may still run.
func (c *combiner) run(ctx context.Context, script *redis.Script, keys []string, args []any) *redis.Cmd {
	cmd := c.do(ctx, call{sha: script.Hash(), keys: keys, args: args})
	if redis.HasErrorPrefix(cmd.Err(), "NOSCRIPT") {
		return script.Eval(ctx, c.rdb, keys, args...)
	}
	return cmd
}

// do makes a call, of a script that Redis knows.
func (c *combiner) do(ctx context.Context, t call) *redis.Cmd {
	cmd, err := c.group.Do(ctx, t)
	if cmd == nil { // it was not made, or nobody waited for it
		cmd = redis.NewCmd(ctx)
		cmd.SetErr(err)
	}
	return cmd
}

// one makes a call alone. Its error is the command's own.
func (c *combiner) one(ctx context.Context, t call) (*redis.Cmd, error) {
	cmd := c.rdb.EvalSha(ctx, t.sha, t.keys, t.args...)
	return cmd, cmd.Err()
}

// many makes calls in one pipeline.
func (c *combiner) many(ctx context.Context, calls []call, done func(i int, cmd *redis.Cmd, err error)) {
	pipe := c.rdb.Pipeline()
	cmds := make([]*redis.Cmd, len(calls))
	for i, t := range calls {
		cmds[i] = pipe.EvalSha(ctx, t.sha, t.keys, t.args...)
	}
	_, err := pipe.Exec(ctx)
	for i, cmd := range cmds {
		if err != nil && cmd.Err() == nil && cmd.Val() == nil {
			cmd.SetErr(err) // no connection: then the commands know of nothing
		}
		done(i, cmd, cmd.Err())
	}
}

// sharing is a client for Asynq, whose scripts share the pipelines too.
type sharing struct {
	redis.UniversalClient
	combine *combiner
}

// EvalSha calls a script; Asynq runs all of its scripts through it first.
func (s sharing) EvalSha(ctx context.Context, sha string, keys []string, args ...any) *redis.Cmd {
	return s.combine.do(ctx, call{sha: sha, keys: keys, args: args})
}
