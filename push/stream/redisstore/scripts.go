package redisstore

import (
	"context"
	_ "embed"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"lastmile/push/stream"
)

// The scripts. All stand behind lib.lua, and one behind fast.lua too.
var (
	//go:embed lua/lib.lua
	libLua string
	//go:embed lua/fast.lua
	fastLua string
	//go:embed lua/create.lua
	createLua string
	//go:embed lua/copy.lua
	copyLua string
	//go:embed lua/open.lua
	openLua string
	//go:embed lua/append.lua
	appendLua string
	//go:embed lua/read.lua
	readLua string
	//go:embed lua/delete.lua
	deleteLua string
	//go:embed lua/expire.lua
	expireLua string
)

// scripts holds a Store's scripts, each with its digest.
type scripts struct {
	create, copy, open, append, read, delete, expire *redis.Script
}

func newScripts() scripts {
	script := func(body string) *redis.Script { return redis.NewScript(libLua + body) }
	return scripts{
		create: script(createLua), copy: script(copyLua), open: script(openLua), append: redis.NewScript(fastLua + libLua + appendLua),
		read: script(readLua), delete: script(deleteLua), expire: script(expireLua),
	}
}

// run runs a script for a stream. go-redis sends its source where the server
// does not know the digest.
func (s *Store) run(ctx context.Context, script *redis.Script, key stream.Key, args ...any) *redis.Cmd {
	return s.runWith(ctx, script, key, s.names(key), args...)
}

func (s *Store) runWith(ctx context.Context, script *redis.Script, key stream.Key, names []string, args ...any) *redis.Cmd {
	return script.Run(ctx, s.client, names, append([]any{s.tag(key.Group), s.channel(key)}, args...)...)
}

// reply reads an answer that is {code, ...}.
func reply(cmd *redis.Cmd) (code string, rest []any, err error) {
	all, err := cmd.Slice()
	if err != nil {
		return "", nil, err
	}
	if len(all) == 0 {
		return "", nil, errShort
	}
	return text(all[0]), all[1:], nil
}

var errShort = fmt.Errorf("redisstore: answer of a script: %w", strconv.ErrSyntax)

func text(v any) string {
	s, _ := v.(string)
	return s
}

func number(v any) int64 {
	n, _ := strconv.ParseInt(text(v), 10, 64)
	return n
}

// stateOf reads what lib.lua's state has written.
func stateOf(rest []any) (stream.State, error) {
	if len(rest) == 0 {
		return stream.State{}, errShort
	}
	f, ok := rest[0].([]any)
	if !ok || len(f) < 10 {
		return stream.State{}, errShort
	}
	edition := number(f[2])
	return stream.State{
		ID: text(f[0]), ContentType: text(f[1]),
		First:  stream.Offset{Edition: edition, Pos: number(f[9])},
		Begin:  stream.Offset{Edition: edition, Pos: number(f[3])},
		End:    stream.Offset{Edition: edition, Pos: number(f[4])},
		Closed: text(f[5]) != "", Run: number(f[6]),
		TTL: time.Duration(number(f[7])) * time.Millisecond, ExpiresAt: text(f[8]),
	}, nil
}

// refusal is the error that a code stands for, or nil.
func refusal(code string) error {
	switch code {
	case "none":
		return stream.ErrNotFound
	case "gone":
		return stream.ErrGone
	case "moved":
		return stream.ErrMoved
	case "fenced":
		return stream.ErrFenced
	case "closed":
		return stream.ErrClosed
	case "full", "producers":
		return stream.ErrFull
	case "conflict", "type":
		return stream.ErrConflict
	case "order":
		return stream.ErrOrder
	case "place":
		return stream.ErrPlace
	case "busy", "lost":
		return stream.ErrBusy
	case "source":
		return stream.ErrSource
	case "forks":
		return stream.ErrForks
	}
	return nil
}

// flag is how a script is told of a bool.
func flag(b bool) string {
	if b {
		return "1"
	}
	return ""
}

// optional leaves a zero out.
func optional(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

func millis(d time.Duration) int64 { return int64((d + time.Millisecond - 1) / time.Millisecond) }
