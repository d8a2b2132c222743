package push

import (
	"context"
	"errors"
	"fmt"
)

// ErrApart says that a push cannot be stored within the script of somebody
// else: the store has no scripts, or is not where that one runs, or has to do
// more than a script can (wait for replicas, say). Nothing was stored; Publish
// does it.
var ErrApart = errors.New("push: the store takes no part in that script")

// Script is an append as a part of a larger script, in the language of its
// store.
type Script struct {
	// Body is the body of a function with the parameters KEYS and ARGV. It is
	// the same for every push.
	Body string
	// Keys and Args are what the function has to be given.
	Keys []string
	Args []any
}

// Scripter is an Appender whose appends may be part of larger scripts at the
// same store, so that what belongs together is stored together and at once.
type Scripter interface {
	Appender
	// Script returns the append of m for a script that runs at the given
	// place, a client of the store as the caller has it, or ErrApart.
	Script(ctx context.Context, at any, m Message) (Script, error)
	// Scripted reads what the function returned, as Append would.
	Scripted(m Message, reply any) (Receipt, error)
}

// PublishWithin is Publish for a push that is to be stored within a script of
// the caller's, at the place where run runs it; run returns what the function
// returned. Nothing is repeated: after an error that Publish does not name
// either the fate is unknown, and publishing again with the same ID is safe.
// The error wraps ErrApart when that cannot be; run may return it too.
func (p *Publisher) PublishWithin(ctx context.Context, at any, m Message, run func(context.Context, Script) (reply any, err error)) (Receipt, error) {
	store, ok := p.store.(Scripter)
	if !ok {
		return Receipt{}, fmt.Errorf("push: publish %s %q: %w", m.Action, m.ID, ErrApart)
	}
	return p.publishBy(ctx, m, func(ctx context.Context, m Message) (Receipt, error) {
		s, err := store.Script(ctx, at, m)
		if err != nil {
			return Receipt{}, err
		}
		reply, err := run(ctx, s)
		if err != nil {
			return Receipt{}, err
		}
		return store.Scripted(m, reply)
	})
}
