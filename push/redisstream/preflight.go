package redisstream

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	"github.com/redis/go-redis/v9"

	"lastmile/internal/permission"
	"lastmile/push"
)

// Denial is something that Redis does not let this program do.
type Denial struct {
	// Text says what, and what to change, for an operator: "user web may not run
	// TIME: +time is missing".
	Text string
	// Topics tells that only topics need it, and pushes do not.
	Topics bool
}

func (d Denial) String() string { return d.Text }

// Preflight tries all that a Transport has to do, on keys of its own below the
// prefix, which it removes: each command, and then the real scripts. It returns
// what Redis denies, by its access rules, for want of a command, or for any other
// reason that does not pass by itself. An error means that it could not ask. Of
// a cluster it asks one server.
func (t *Transport) Preflight(ctx context.Context) ([]Denial, error) {
	p := newPreflight(t)
	p.rules.User = permission.Who(ctx, t.client)
	if err := p.commands(ctx); err != nil {
		return nil, t.metrics.fail("preflight", "", err)
	}
	if err := p.topics(ctx); err != nil {
		return nil, t.metrics.fail("preflight", "", err)
	}
	if len(p.denials) == 0 {
		if err := p.scripts(ctx); err != nil {
			return nil, t.metrics.fail("preflight", "", err)
		}
	}
	return p.denials, nil
}

// preflight is one run of Preflight.
type preflight struct {
	t       *Transport
	rules   permission.Rules
	channel string
	box     box    // the keys, in a slot of their own
	stream  string // and a node's stream
	denials []Denial
}

func newPreflight(t *Transport) *preflight {
	id := "preflight-" + rand.Text()
	tag := t.cfg.Prefix + ":{" + id + "}:"
	return &preflight{
		t: t, rules: permission.Rules{Keys: "~" + t.cfg.Prefix + ":*", Channels: "&" + t.cfg.Prefix + ":t:*"},
		channel: t.keys.channel(id), stream: tag + "n:x",
		box: box{
			tag: tag, session: id, meta: tag + "m:" + id, mailbox: tag + "b:" + id, parked: tag + "k:" + id,
			replaces: tag + "u:" + id, starts: tag + "x:" + id, unacked: tag + "o", dead: tag + "q",
		},
	}
}

// keys are all that a run makes.
func (p *preflight) keys() []string {
	b := p.box
	return []string{b.meta, b.mailbox, b.parked, b.replaces, b.starts, b.unacked, b.dead, b.dedupe("1"), b.dedupe("2"), b.conn("c"), b.view("v"), p.stream}
}

// needed are the commands of the scripts and of this package, each in a form
// that does no harm to keys of its own. A key is K, a second one L.
const needed = `SET K 1 EX 60|GET K|EXPIRE K 60|PEXPIRE K 60000|EXISTS K|DEL K|UNLINK K|TIME|
HSET K f 1|HGET K f|HMGET K f g|HGETALL K|HEXISTS K f|HKEYS K|HLEN K|HINCRBY K f 1|HDEL K f|DEL K|UNLINK K|
XADD L 1-1 f v|XLEN L|XRANGE L - +|XREVRANGE L + -|XREAD STREAMS L 0|XTRIM L MAXLEN 1|XDEL L 1-1|DEL L|UNLINK L|
ZADD K 1 m|ZCARD K|ZRANGE K 0 -1|ZRANGEBYSCORE K 0 1|ZREMRANGEBYSCORE K 8 9|ZREM K m|DEL K|UNLINK K|
EVAL return{} 1 K|EVALSHA 0000000000000000000000000000000000000000 1 K|MULTI|EXEC`

// commands runs each of the commands.
func (p *preflight) commands(ctx context.Context) error {
	lines := permission.Commands(needed)
	if p.t.cfg.WaitReplicas > 0 {
		lines = slices.Insert(lines, 0, "WAIT 0 1")
	}
	server, err := p.t.server(ctx, p.box.meta)
	if err != nil {
		return err
	}
	// The last is for an EXEC that was denied.
	denied, err := permission.Try(ctx, server, append(lines, "-DISCARD"), map[string]string{"K": p.box.meta, "L": p.box.mailbox})
	if err != nil {
		return err
	}
	for _, d := range denied {
		p.denied(d.Command, d.Answer, false)
	}
	// Keys that are not the scratch ones may have rules of their own.
	for _, key := range []string{p.t.keys.config(), p.t.keys.box("x").meta} {
		if answer, ok := permission.Answer(p.t.client.Exists(ctx, key).Err()); ok {
			p.denied("EXISTS", answer, false)
		}
	}
	return nil
}

// topics tries a topic.
func (p *preflight) topics(ctx context.Context) error {
	if err := p.t.client.Publish(ctx, p.channel, "").Err(); err != nil {
		refusal, ok := permission.Answer(err)
		if !ok {
			return err
		}
		p.denied("PUBLISH", refusal, true)
	}
	sub := p.t.client.Subscribe(ctx)
	defer sub.Close()
	for _, step := range []struct {
		name string
		do   func(context.Context, ...string) error
	}{{"SUBSCRIBE", sub.Subscribe}, {"UNSUBSCRIBE", sub.Unsubscribe}} {
		err := step.do(ctx, p.channel)
		if err == nil {
			_, err = sub.Receive(ctx)
		}
		if err == nil {
			continue
		}
		refusal, ok := permission.Answer(err)
		if !ok {
			return err
		}
		p.denied(step.name, refusal, true)
		break // there is nothing to unsubscribe from
	}
	return nil
}

// scripts runs the real ones, one after the other: what the commands have not
// shown, a server may still refuse to scripts.
func (p *preflight) scripts(ctx context.Context) error {
	t, b, session := p.t, p.box, p.box.session
	defer t.client.Unlink(context.WithoutCancel(ctx), p.keys()...) // else they expire
	// A record to take: without one that script has nothing to do.
	if err := t.client.HSet(ctx, b.conn("c"), "f", 0).Err(); err != nil {
		if _, ok := permission.Answer(err); !ok {
			return err
		}
	}
	for _, s := range []struct {
		name string
		call call
	}{
		{"attach", call{t.scripts.attach, []string{b.meta, b.mailbox, b.parked, p.stream}, []any{"nx", "0", 60, 60}}},
		{"append", call{t.scripts.append, []string{b.meta, b.mailbox, b.parked, b.dedupe("1"), b.unacked, b.replaces}, []any{session, "1", "{}", "1", "key", "0"}}},
		{"append", call{t.scripts.append, []string{b.meta, b.mailbox, b.parked, b.dedupe("2"), b.unacked, b.replaces}, []any{session, "2", "{}", "0", "key", "1"}}},
		{"pending", call{t.scripts.pending, []string{b.meta, b.mailbox, b.parked}, []any{"0"}}},
		{"count_start", call{t.scripts.countStart, []string{b.starts}, []any{"1", 60, 1}}},
		{"ack", call{t.scripts.ack, []string{b.meta, b.mailbox, b.parked, b.unacked, b.starts}, []any{session, "nx", "0", "1", "1000000", 60, "1", "1"}}},
		{"dead_letter", call{t.scripts.deadLetter, []string{b.meta, b.mailbox, b.parked, b.unacked, b.starts, b.dead}, []any{session, "1", "r", 1, "n", "e", 10}}},
		{"expire", call{t.scripts.expire, []string{b.meta, b.mailbox, b.parked, b.unacked, b.starts, b.dead}, []any{session, "9007199254740991", 10, 10}}},
		{"check", call{t.scripts.check, []string{b.meta}, []any{"nx", 60}}},
		{"commit", call{t.scripts.commit, []string{b.conn("c"), b.view("v"), b.meta, b.unacked}, []any{"0", "1", "nonce", "", "v", "", "", "", "", "", "0", "", "0", 60000, "1", session}}},
		{"take", call{t.scripts.take, []string{b.conn("c")}, []any{60000, 1}}},
		{"close", call{t.scripts.close, []string{b.meta, b.mailbox, b.parked, b.unacked, b.starts, b.replaces}, []any{session}}},
	} {
		err := s.call.script.Run(ctx, t.client, s.call.keys, s.call.args...).Err()
		refusal, ok := permission.Answer(err)
		switch {
		case err == nil, errors.Is(err, redis.Nil):
		case permanent(err):
			p.denials = append(p.denials, Denial{Text: fmt.Sprintf("the script %s does not run: %s", s.name, refusal)})
		case !ok:
			return err
		} // else the store is busy, full, or read-only, which passes
	}
	return nil
}

// denied notes what a refusal means.
func (p *preflight) denied(command, answer string, topics bool) {
	d := Denial{Text: p.rules.Text(permission.Denied{Command: command, Answer: answer}), Topics: topics}
	if d.Text != "" && !slices.Contains(p.denials, d) {
		p.denials = append(p.denials, d)
	}
}

// denial makes a permanent error one that publishers do not repeat.
func denial(err error) error {
	if permanent(err) {
		return fmt.Errorf("%w: %w", push.ErrDenied, err)
	}
	return err
}
