package redisstream

import (
	"context"
	"fmt"

	"github.com/redis/go-redis/v9"

	"lastmile/push"
)

var _ push.Scripter = (*Transport)(nil)

// Script implements push.Scripter: at is the client that the Transport was made
// with. Only on a single server do a push and anything else share a script.
func (t *Transport) Script(ctx context.Context, at any, m push.Message) (push.Script, error) {
	client, ok := at.(redis.UniversalClient)
	if !ok || client != t.client || t.cfg.Sharded || t.cfg.WaitReplicas > 0 {
		return push.Script{}, push.ErrApart
	}
	if err := t.verify(ctx); err != nil {
		return push.Script{}, err
	}
	payload, err := encode(m)
	if err != nil {
		return push.Script{}, err
	}
	c := t.appendCall(m, payload)
	return push.Script{Body: t.scripts.body, Keys: c.keys, Args: c.args}, nil
}

// Scripted implements push.Scripter.
func (t *Transport) Scripted(m push.Message, reply any) (push.Receipt, error) {
	list, ok := reply.([]any)
	if !ok {
		return push.Receipt{}, fmt.Errorf("redisstream: append: reply of type %T", reply)
	}
	return receiptOf(m, list)
}
