package redisstream

import (
	"context"
	_ "embed"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"
)

// The scripts. Those that handle a mailbox stand behind lib.lua, those that
// append or wake nodes behind settings.lua too, and those that move entries
// about behind entry.lua.
var (
	//go:embed lua/lib.lua
	libLua string
	//go:embed lua/settings.lua
	settingsLua string
	//go:embed lua/entry.lua
	entryLua string
	//go:embed lua/append.lua
	appendLua string
	//go:embed lua/attach.lua
	attachLua string
	//go:embed lua/pending.lua
	pendingLua string
	//go:embed lua/ack.lua
	ackLua string
	//go:embed lua/count_start.lua
	countStartLua string
	//go:embed lua/dead_letter.lua
	deadLetterLua string
	//go:embed lua/expire.lua
	expireLua string
	//go:embed lua/check.lua
	checkLua string
	//go:embed lua/close.lua
	closeLua string
	//go:embed lua/take.lua
	takeLua string
	//go:embed lua/commit.lua
	commitLua string
)

// scripts holds a Transport's scripts, each with its digest.
type scripts struct {
	append, attach, pending, ack, countStart, deadLetter, expire, check, close, take, commit *redis.Script

	body string // of append
}

func newScripts(cfg Config, k keys) scripts {
	settings := settings(cfg, k)
	return scripts{
		append:     redis.NewScript(libLua + settings + appendLua),
		attach:     redis.NewScript(libLua + attachLua),
		pending:    redis.NewScript(pendingLua),
		ack:        redis.NewScript(libLua + entryLua + ackLua),
		countStart: redis.NewScript(countStartLua),
		deadLetter: redis.NewScript(libLua + entryLua + deadLetterLua),
		expire:     redis.NewScript(libLua + entryLua + expireLua),
		check:      redis.NewScript(libLua + checkLua),
		close:      redis.NewScript(libLua + settings + closeLua),
		take:       redis.NewScript(takeLua),
		commit:     redis.NewScript(libLua + settings + commitLua),
		body:       libLua + settings + appendLua,
	}
}

// settings returns settings.lua with what a Config says.
func settings(cfg Config, k keys) string {
	first := ""
	if !cfg.Sharded {
		first = k.node(0, "")
	}
	return fmt.Sprintf(settingsLua, cfg.MailboxLen, cfg.keepFor(), seconds(cfg.DedupeTTL),
		luaString(first), cfg.NodeStreamLen*cfg.Partitions, cfg.NodeStreamLen)
}

// luaString quotes a string of any bytes.
func luaString(s string) string {
	var b strings.Builder
	b.WriteByte('\'')
	for i := range len(s) {
		fmt.Fprintf(&b, "\\%03d", s[i])
	}
	b.WriteByte('\'')
	return b.String()
}

// call is one run of a script.
type call struct {
	script *redis.Script
	keys   []string
	args   []any
}

// run runs a script by its digest, and by its source where the server does
// not know it (a restart, a failover, a new master).
func (t *Transport) run(ctx context.Context, c call) ([]any, error) {
	return c.script.Run(ctx, t.client, c.keys, c.args...).Slice()
}

// runMany runs calls in one pipeline.
func (t *Transport) runMany(ctx context.Context, calls []call, done func(i int, reply []any, err error)) {
	cmds, failed := pipe(ctx, t.client.Pipeline(), calls, nil)
	for i, cmd := range cmds {
		reply, err := cmd.Slice() // each command has its own error
		if failed != nil && cmd.Err() == nil && cmd.Val() == nil {
			err = failed // but when the server refuses the connection
		}
		done(i, reply, err)
	}
}

// pipe runs calls, and what extra adds, in one pipeline of p. A pipeline has no
// fallback of its own for a script that a server does not know, so those calls
// go once more, by source.
func pipe(ctx context.Context, p redis.Pipeliner, calls []call, extra func(redis.Pipeliner)) ([]*redis.Cmd, error) {
	cmds := make([]*redis.Cmd, len(calls))
	for i, c := range calls {
		cmds[i] = c.script.EvalSha(ctx, p, c.keys, c.args...)
	}
	if extra != nil {
		extra(p)
	}
	_, err := p.Exec(ctx)
	if err == nil {
		return cmds, nil
	}
	again := false
	for i, c := range calls {
		if redis.HasErrorPrefix(cmds[i].Err(), "NOSCRIPT") {
			cmds[i] = c.script.Eval(ctx, p, c.keys, c.args...)
			again = true
		}
	}
	if !again {
		return cmds, err
	}
	if extra != nil {
		extra(p)
	}
	_, err = p.Exec(ctx)
	return cmds, err
}
