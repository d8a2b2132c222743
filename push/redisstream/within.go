package redisstream

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"

	"lastmile/internal/script"
	"lastmile/push"
)

var _ script.Store = (*Transport)(nil)

// ScriptAppend is for package jobs, which stores the end of a job and its push
// in one script. Only on a single server, and with the client that the
// Transport was made with, do they share one.
func (t *Transport) ScriptAppend(ctx context.Context, client redis.UniversalClient, m push.Message) (script.Append, error) {
	if client != t.client || t.cfg.Sharded || t.cfg.WaitReplicas > 0 {
		return script.Append{}, script.ErrApart
	}
	if err := t.layout.verify(ctx); err != nil {
		return script.Append{}, err
	}
	payload, err := encode(m)
	if err != nil {
		return script.Append{}, err
	}
	c := t.appendCall(m, payload)
	read := func(reply any) (push.Receipt, error) {
		list, ok := reply.([]any)
		if !ok {
			return push.Receipt{}, fmt.Errorf("redisstream: append: reply of type %T", reply)
		}
		return receiptOf(m, list)
	}
	return script.Append{Body: t.scripts.body, Keys: c.keys, Args: c.args, Read: read}, nil
}
