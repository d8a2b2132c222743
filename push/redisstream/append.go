package redisstream

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"lastmile/push"
)

// The append script's codes.
const (
	appendStored int64 = iota
	appendDuplicate
	appendFull
	appendClosed
	appendSuperseded
)

// errReplicas means that too few replicas have confirmed a push in time. It is
// stored on the master, which may yet be lost.
var errReplicas = errors.New("not enough replicas confirmed")

// Append implements push.Appender. An ID is required.
func (t *Transport) Append(ctx context.Context, m push.Message) (push.Receipt, error) {
	payload, err := encode(m)
	if err != nil {
		return push.Receipt{}, err
	}
	return t.store(ctx, m, payload)
}

// encode checks a message's names and returns its stored form.
func encode(m push.Message) ([]byte, error) {
	if err := errors.Join(check("session", m.Session), check("push ID", m.ID)); err != nil {
		return nil, err
	}
	if len(m.Replaces) > push.MaxIDLen {
		return nil, fmt.Errorf("redisstream: %w: Replaces key of %d bytes", push.ErrInvalid, len(m.Replaces))
	}
	return push.EncodeMessage(m)
}

// store appends an encoded message.
func (t *Transport) store(ctx context.Context, m push.Message, payload []byte) (push.Receipt, error) {
	if err := t.layout.verify(ctx); err != nil {
		return push.Receipt{}, err
	}
	c := t.appendCall(m, payload)
	reply, err := t.runSafe(ctx, c.keys[0], c)
	if err != nil {
		return push.Receipt{}, t.metrics.fail("append", m.Session, err)
	}
	return receiptOf(m, reply)
}

// receiptOf reads the append script's reply.
func receiptOf(m push.Message, reply []any) (push.Receipt, error) {
	if len(reply) < 3 {
		return push.Receipt{}, fmt.Errorf("redisstream: append: reply of %d values", len(reply))
	}
	code, _ := reply[0].(int64)
	nodes, _ := reply[2].(int64)
	r := push.Receipt{ID: m.ID, Seq: seqOf(reply[1]), Nodes: int(nodes), Duplicate: code == appendDuplicate, Superseded: code == appendSuperseded}
	switch code {
	case appendStored, appendDuplicate, appendSuperseded:
		return r, nil
	case appendFull:
		return push.Receipt{}, fmt.Errorf("redisstream: session %s: %w", push.Redact(m.Session), push.ErrMailboxFull)
	case appendClosed:
		return push.Receipt{}, fmt.Errorf("redisstream: session %s: %w", push.Redact(m.Session), push.ErrSessionClosed)
	}
	return push.Receipt{}, fmt.Errorf("redisstream: append: unknown reply %d", code)
}

// appendCall returns the run of the append script for a message.
func (t *Transport) appendCall(m push.Message, payload []byte) call {
	b := t.keys.box(m.Session)
	c := call{
		script: t.scripts.append,
		keys:   []string{b.meta, b.mailbox, b.parked, b.dedupe(m.ID), b.unacked},
		args:   []any{m.Session, m.ID, payload, flag(len(payload) <= t.cfg.InlineBytes)},
	}
	if m.Replaces != "" {
		c.keys = append(c.keys, b.replaces)
		c.args = append(c.args, m.Replaces, flag(m.Final))
	}
	return c
}

// runSafe runs an append, and waits for replicas where Config asks for it.
// WAIT counts the writes of its own connection, so it goes through the same
// pipeline.
func (t *Transport) runSafe(ctx context.Context, key string, c call) ([]any, error) {
	if t.cfg.WaitReplicas == 0 {
		return t.appends.Do(ctx, c)
	}
	server, err := t.server(ctx, key)
	if err != nil {
		return nil, err
	}
	var wait *redis.Cmd
	cmds, err := pipe(ctx, server.Pipeline(), []call{c}, func(p redis.Pipeliner) {
		wait = p.Do(ctx, "WAIT", t.cfg.WaitReplicas, milliseconds(t.cfg.WaitTimeout))
	})
	if err != nil {
		if cluster, ok := t.client.(*redis.ClusterClient); ok && classOf(err) == "cluster" {
			cluster.ReloadState(ctx) // the key has moved: this server cannot redirect us
		}
		return nil, err
	}
	reply, err := cmds[0].Slice()
	if err != nil || (reply[0] != appendStored && reply[0] != appendDuplicate) {
		return reply, err // nothing is stored that a replica could have
	}
	n, err := wait.Int()
	if err != nil {
		return nil, err
	}
	if n < t.cfg.WaitReplicas {
		return nil, fmt.Errorf("%w: %d of %d", errReplicas, n, t.cfg.WaitReplicas)
	}
	return reply, nil
}

// server returns the client of the server that holds key.
func (t *Transport) server(ctx context.Context, key string) (redis.Cmdable, error) {
	if cluster, ok := t.client.(*redis.ClusterClient); ok {
		return cluster.MasterForKey(ctx, key)
	}
	return t.client, nil
}
