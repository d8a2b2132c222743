package jobstest

import (
	"reflect"
	"sync"

	"github.com/alicebob/miniredis/v2/server"
)

// Refusal is the answer of a Redis that takes no writes. Reads go on.
type Refusal string

// What Redis refuses writes with.
const (
	// Full: it has no memory left (maxmemory, with noeviction). What needs none is
	// taken all the same, and so is the rest of a script that has begun with it.
	Full Refusal = "OOM command not allowed when used memory > 'maxmemory'."
	// Unsaved: it could not save its file (stop-writes-on-bgsave-error).
	Unsaved Refusal = "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk."
	// ReadOnly: it is a replica.
	ReadOnly Refusal = "READONLY You can't write against a read only replica."
)

// Refuse has Redis refuse writes as a real one does, once it has taken so many
// more: a script as a whole, or not at all. A script is one write. The empty
// Refusal ends it.
func (k *Kit) Refuse(r Refusal, after int) {
	k.front.mark()
	if r == "" {
		k.mini.Server().SetPreHook(nil)
		return
	}
	f := &refuser{srv: k.mini.Server(), refusal: r, after: after, runs: map[any]bool{}}
	k.refuser.Store(f)
	k.mini.Server().SetPreHook(f.refuse)
}

// Refused returns how many writes have been refused since Refuse was last called
// with a refusal.
func (k *Kit) Refused() int {
	f := k.refuser.Load()
	if f == nil {
		return 0
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.refused
}

// refuser decides before each command, those of scripts included.
type refuser struct {
	srv     *server.Server
	refusal Refusal

	mu      sync.Mutex
	after   int
	refused int
	runs    map[any]bool // runs of scripts that have written
}

// refuse answers a command that is refused, and returns true then.
func (f *refuser) refuse(c *server.Peer, cmd string, _ ...string) bool {
	if apart(cmd) || f.srv.IsReadOnlyCommand(cmd) {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	nested := inScript(c)
	if nested && f.runs[c.Ctx] {
		return false
	}
	refused := f.after <= 0 && (f.refusal != Full || !spares(cmd))
	if !refused && f.after > 0 {
		f.after--
	}
	if refused {
		f.refused++
	}
	if nested && !refused {
		f.runs[c.Ctx] = true
	}
	if refused && nested {
		c.WriteError("-" + string(f.refusal)) // as Redis 6 has it within the error of a script
	} else if refused {
		c.WriteError(string(f.refusal))
	}
	return refused
}

// inScript tells whether a command comes from a script. All commands of one run
// have one context.
func inScript(c *server.Peer) bool {
	v := reflect.ValueOf(c.Ctx)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return false
	}
	nested := v.Elem().FieldByName("nested")
	return nested.IsValid() && nested.Bool()
}

// apart tells the commands that are neither reads nor writes.
func apart(cmd string) bool {
	switch cmd {
	case "PING", "HELLO", "AUTH", "SELECT", "CLIENT", "ECHO", "QUIT", "COMMAND", "CLUSTER", "INFO", "TIME", "WAIT", "WATCH", "UNWATCH",
		"MULTI", "EXEC", "DISCARD", "SCRIPT", "EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO",
		"PUBLISH", "PUBSUB", "SUBSCRIBE", "UNSUBSCRIBE", "PSUBSCRIBE", "PUNSUBSCRIBE":
		return true
	default:
		return false
	}
}

// spares tells the writes that need no memory.
func spares(cmd string) bool {
	switch cmd {
	case "DEL", "UNLINK", "HDEL", "LREM", "LTRIM", "LPOP", "RPOP", "SREM", "SPOP", "ZREM", "ZPOPMIN", "ZPOPMAX", "ZREMRANGEBYRANK",
		"ZREMRANGEBYSCORE", "ZREMRANGEBYLEX", "EXPIRE", "PEXPIRE", "EXPIREAT", "PEXPIREAT", "PERSIST", "RENAME", "RENAMENX",
		"XACK", "XDEL", "XTRIM", "XREADGROUP", "FLUSHALL", "FLUSHDB":
		return true
	default:
		return false
	}
}
