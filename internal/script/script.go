// Package script stores a push within a larger Redis script, so that what
// belongs together is stored together and at once: the end of a job and the
// push that tells it.
//
// It is neither a way to run scripts nor part of the public API: package jobs
// calls it, and push/redisstream and the test store of jobstest answer. Anybody
// else publishes with push.Publisher.
package script

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"lastmile/push"
)

// ErrApart says that a push cannot be stored within the script of somebody
// else: the store has no scripts, or is not where that one runs, or has to do
// more than a script can (wait for replicas, say). Nothing was stored; Publish
// of the publisher does it.
var ErrApart = errors.New("the store takes no part in that script")

// Append is the append of a push as a part of a larger script.
type Append struct {
	// Body is the body of a Lua function with the parameters KEYS and ARGV. It
	// is the same for every push of a store.
	Body string
	// Keys and Args are what the function has to be given.
	Keys []string
	Args []any
	// Read reads what the function returned, as push.Appender.Append would.
	Read func(reply any) (push.Receipt, error)
}

// Store is a store whose appends may be part of larger scripts.
type Store interface {
	push.Appender
	// ScriptAppend returns the append of m for a script that runs on client, or
	// ErrApart.
	ScriptAppend(ctx context.Context, client redis.UniversalClient, m push.Message) (Append, error)
}

// Publisher is a *push.Publisher.
type Publisher interface {
	PublishVia(ctx context.Context, m push.Message, store func(context.Context, push.Appender, push.Message) (push.Receipt, error)) (push.Receipt, error)
}

// Publish is p.Publish for a push that is stored within a script of the
// caller's on client. run runs that script, and returns what the function of
// the append returned. Nothing is repeated: after an error that Publish does
// not name either, the fate is unknown, and publishing again with the same ID
// is safe. The error wraps ErrApart when that cannot be; run may return it too.
func Publish(ctx context.Context, p Publisher, client redis.UniversalClient, m push.Message, run func(context.Context, Append) (reply any, err error)) (push.Receipt, error) {
	return p.PublishVia(ctx, m, func(ctx context.Context, a push.Appender, m push.Message) (push.Receipt, error) {
		store, ok := a.(Store)
		if !ok {
			return push.Receipt{}, fmt.Errorf("script: append to a %T: %w", a, ErrApart)
		}
		part, err := store.ScriptAppend(ctx, client, m)
		if err != nil {
			return push.Receipt{}, err
		}
		reply, err := run(ctx, part)
		if err != nil {
			return push.Receipt{}, err
		}
		return part.Read(reply)
	})
}
