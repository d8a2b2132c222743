package redisstream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"lastmile/push"
)

// startsTTL is how long starts of a redelivered entry are remembered.
const startsTTL = 24 * time.Hour

// Attach implements push.Transport.
func (t *Transport) Attach(ctx context.Context, node, session string, after push.Seq) (push.Attachment, error) {
	if err := errors.Join(check("node", node), check("session", session), checkSeq(after)); err != nil {
		return push.Attachment{}, err
	}
	b := t.keys.box(session)
	r, err := t.layout.routing(ctx)
	if err != nil {
		return push.Attachment{}, err
	}
	reply, epoch, err := t.runOne(ctx, call{
		script: t.scripts.attach,
		keys:   []string{b.meta, b.mailbox, b.parked, r.stream(b.p, node)},
		args:   []any{r.route(node), after.String(), t.cfg.keepFor(), seconds(t.cfg.NodeTTL)},
	})
	if err != nil {
		return push.Attachment{}, t.metrics.fail("attach", session, err)
	}
	switch reply[0] {
	case int64(1):
		return push.Attachment{}, fmt.Errorf("redisstream: session %s, cursor %s: %w", push.Redact(session), after, push.ErrCursorTooOld)
	case int64(2):
		return push.Attachment{}, fmt.Errorf("redisstream: session %s: %w", push.Redact(session), push.ErrSessionClosed)
	}
	return push.Attachment{
		Acked: seqOf(reply[1]), Last: seqOf(reply[2]), Epoch: epoch, Parked: parkedOf(session, reply[3]),
	}, nil
}

// runOne is runWithEpoch for one script.
func (t *Transport) runOne(ctx context.Context, c call) ([]any, string, error) {
	cmds, epoch, err := t.runWithEpoch(ctx, []call{c})
	if err != nil {
		return nil, "", err
	}
	reply, err := cmds[0].Slice()
	return reply, epoch, err
}

// runWithEpoch runs scripts and reads the epoch behind them: when the store is
// emptied between the two, the caller sees old data under the new epoch, which
// it throws away, and never new data under the old one.
func (t *Transport) runWithEpoch(ctx context.Context, calls []call) ([]*redis.Cmd, string, error) {
	if err := t.layout.verify(ctx); err != nil {
		return nil, "", err
	}
	var get *redis.StringCmd
	cmds, err := pipe(ctx, t.client.Pipeline(), calls, func(p redis.Pipeliner) { get = p.Get(ctx, t.keys.epoch()) })
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, "", err
	}
	epoch, err := get.Result()
	if errors.Is(err, redis.Nil) {
		t.layout.doubt()
		epoch, err = t.layout.epoch(ctx)
	}
	return cmds, epoch, err
}

// Detach implements push.Transport.
func (t *Transport) Detach(ctx context.Context, node, session string) error {
	if err := errors.Join(check("node", node), check("session", session)); err != nil {
		return err
	}
	r, err := t.layout.routing(ctx)
	if err != nil {
		return err
	}
	if err := t.client.HDel(ctx, t.keys.box(session).meta, r.route(node)).Err(); err != nil {
		return t.metrics.fail("detach", session, err)
	}
	return nil
}

// Read implements push.Transport.
func (t *Transport) Read(ctx context.Context, session string, after push.Seq, limit int) ([]push.Entry, error) {
	if err := errors.Join(check("session", session), checkSeq(after)); err != nil {
		return nil, err
	}
	if limit <= 0 {
		return nil, nil // Redis takes COUNT 0 for no limit
	}
	list, err := t.client.XRangeN(ctx, t.keys.box(session).mailbox, "("+streamID(after), "+", int64(limit)).Result()
	if err != nil {
		return nil, t.metrics.fail("read", session, err)
	}
	out := make([]push.Entry, len(list))
	for i, x := range list {
		id, _ := x.Values["j"].(string)
		payload, _ := x.Values["p"].(string)
		out[i] = entryOf(session, streamSeq(x.ID), seqOf(x.Values["v"]), id, payload)
	}
	return out, nil
}

// Pending implements push.Transport.
func (t *Transport) Pending(ctx context.Context, session string, after push.Seq) (push.Backlog, error) {
	if err := errors.Join(check("session", session), checkSeq(after)); err != nil {
		return push.Backlog{}, err
	}
	b := t.keys.box(session)
	reply, epoch, err := t.runOne(ctx, call{
		script: t.scripts.pending,
		keys:   []string{b.meta, b.mailbox, b.parked},
		args:   []any{after.String()},
	})
	if err != nil {
		return push.Backlog{}, t.metrics.fail("pending", session, err)
	}
	if len(reply) == 0 {
		return push.Backlog{}, fmt.Errorf("redisstream: session %s: %w", push.Redact(session), push.ErrSessionClosed)
	}
	log := push.Backlog{
		Entries: append(parkedOf(session, reply[1]), entriesOf(session, reply[2])...),
		Cursor:  max(after, seqOf(reply[0])),
		Acked:   seqOf(reply[0]),
		Epoch:   epoch,
	}
	if n := len(log.Entries); n > 0 {
		log.Cursor = max(log.Cursor, log.Entries[n-1].Seq)
	}
	return log, nil
}

// ackBatch bounds the skipped entries that one run of the ack script parks.
const ackBatch = 500

// Ack implements push.Transport. What skips a lot is acknowledged in parts.
func (t *Transport) Ack(ctx context.Context, session string, a push.Ack) error {
	if err := errors.Join(check("session", session), checkSeq(a.After, a.UpTo, a.Route), checkSeq(a.Skipped...)); err != nil {
		return err
	}
	r, err := t.layout.routing(ctx)
	if err != nil {
		return err
	}
	if len(a.Skipped) > ackBatch {
		a.Skipped = slices.Sorted(slices.Values(a.Skipped))
	}
	for len(a.Skipped) > ackBatch {
		part := a
		part.Skipped = a.Skipped[:ackBatch]
		part.UpTo = min(a.UpTo, part.Skipped[ackBatch-1])
		if err := t.ack(ctx, session, r.route(a.Node), part); err != nil {
			return err
		}
		a.After, a.Skipped = max(a.After, part.UpTo), a.Skipped[ackBatch:]
	}
	return t.ack(ctx, session, r.route(a.Node), a)
}

func (t *Transport) ack(ctx context.Context, session, route string, a push.Ack) error {
	b := t.keys.box(session)
	args := make([]any, 0, 7+len(a.Skipped))
	args = append(args, session, route, a.After.String(), a.UpTo.String(), t.cfg.ResumeWindow.Microseconds(), t.cfg.keepFor(), a.Route.String())
	for _, s := range a.Skipped {
		args = append(args, s.String())
	}
	keys := []string{b.meta, b.mailbox, b.parked, b.unacked, b.starts}
	if err := t.scripts.ack.Run(ctx, t.client, keys, args...).Err(); err != nil {
		return t.metrics.fail("ack", session, err)
	}
	return nil
}

// CountStart implements push.Transport. An acknowledgement, ClearStarts, or a dead letter of the
// entry for another reason ends the count.
func (t *Transport) CountStart(ctx context.Context, session string, seq push.Seq, most int) (int, error) {
	if err := errors.Join(check("session", session), checkSeq(seq)); err != nil {
		return 0, err
	}
	keys := []string{t.keys.box(session).starts}
	before, err := t.scripts.countStart.Run(ctx, t.client, keys, seq.String(), seconds(startsTTL), most).Int()
	if err != nil {
		return 0, t.metrics.fail("count start", session, err)
	}
	return before, nil
}

// ClearStarts implements push.Transport.
func (t *Transport) ClearStarts(ctx context.Context, session string, seq push.Seq) error {
	if err := errors.Join(check("session", session), checkSeq(seq)); err != nil {
		return err
	}
	if err := t.client.HDel(ctx, t.keys.box(session).starts, seq.String()).Err(); err != nil {
		return t.metrics.fail("clear starts", session, err)
	}
	return nil
}

// checkBatch bounds the sessions that one run of the check script goes
// through, since nothing else runs meanwhile.
const checkBatch = 256

// Check implements push.Transport.
func (t *Transport) Check(ctx context.Context, node string, sessions []string) ([]push.Status, error) {
	if err := check("node", node); err != nil {
		return nil, err
	}
	r, err := t.layout.routing(ctx)
	if err != nil {
		return nil, err
	}
	var calls []call
	var members [][]int // of each call: indexes of its sessions
	open := map[int]int{}
	for i, s := range sessions {
		b := t.keys.box(s)
		at, ok := open[b.p]
		if !ok || len(members[at]) == checkBatch {
			at = len(calls)
			open[b.p] = at
			calls = append(calls, call{script: t.scripts.check, args: []any{r.route(node), t.cfg.keepFor()}})
			members = append(members, nil)
		}
		calls[at].keys = append(calls[at].keys, b.meta)
		members[at] = append(members[at], i)
	}
	if len(calls) == 0 {
		return nil, nil
	}
	cmds, epoch, err := t.runWithEpoch(ctx, calls)
	if err != nil {
		return nil, t.metrics.fail("check", "", err)
	}
	out := make([]push.Status, len(sessions))
	for c, cmd := range cmds {
		reply, err := cmd.Slice()
		if err != nil {
			return nil, t.metrics.fail("check", "", err)
		}
		for j, i := range members[c] {
			out[i] = push.Status{Session: sessions[i], Last: seqOf(reply[2*j]), Epoch: epoch, Rerouted: reply[2*j+1] == int64(1)}
		}
	}
	return out, nil
}

// CloseSession implements push.Transport.
func (t *Transport) CloseSession(ctx context.Context, session string) error {
	if err := check("session", session); err != nil {
		return err
	}
	b := t.keys.box(session)
	keys := []string{b.meta, b.mailbox, b.parked, b.unacked, b.starts, b.replaces}
	err := t.scripts.close.Run(ctx, t.client, keys, session).Err()
	if err != nil {
		return t.metrics.fail("close", session, err)
	}
	return nil
}
