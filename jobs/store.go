package jobs

import (
	"context"
	"embed"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

//go:embed lua/*.lua
var luaFiles embed.FS

// store keeps job records. All methods are safe for concurrent use.
type store struct {
	keys
	rdb     redis.UniversalClient
	scripts map[string]*redis.Script
	combine *combiner
	sharded bool // whatever the client looks like

	guard      string                  // the text of what goes before scripts of Asynq's
	guards     sync.Map                // text of such a script -> *redis.Script
	await      string                  // the text of what goes around a script of Asynq's
	awaits     sync.Map                // as guards
	completion string                  // the text of a script that needs another in front of it
	pushing    atomic.Pointer[pushing] // the last one of that kind, since they are all alike
}

func newStore(rdb redis.UniversalClient, prefix string, sharded bool) (*store, error) {
	entries, err := luaFiles.ReadDir("lua")
	if err != nil {
		return nil, err
	}
	k, err := newKeys(rdb, prefix)
	if err != nil {
		return nil, err
	}
	s := &store{keys: k, rdb: rdb, combine: newCombiner(rdb), sharded: sharded, scripts: make(map[string]*redis.Script, len(entries))}
	text := make(map[string]string, len(entries))
	for _, e := range entries {
		src, err := luaFiles.ReadFile("lua/" + e.Name())
		if err != nil {
			return nil, err
		}
		text[strings.TrimSuffix(e.Name(), ".lua")] = string(src)
	}
	text["put"] = "local offset = 9\n" + function("create", text["create"]) + text["put"]
	for _, name := range []string{"put", "enqueue", "rouse", "sweep", "untake"} {
		text[name] = text["wake"] + text[name]
	}
	text["enqueue"] = text["awaits"] + text["enqueue"]
	s.await = text["awaits"] + text["confirm"]
	s.guard = text["guard"]
	delete(text, "guard")
	delete(text, "awaits")
	delete(text, "confirm")
	text["create"] = "local offset = 0\n" + text["create"]
	for _, name := range []string{"abandon", "adopt", "again", "beat", "begin", "complete", "create", "finish", "join", "put", "reopen", "stall", "tidy"} {
		text[name] = text["entry"] + text[name]
	}
	for _, name := range []string{"adopt", "again", "beat", "begin", "cancel", "complete", "finish", "join", "note", "outbox", "settle"} {
		text[name] = text["room"] + text[name]
	}
	delete(text, "room")
	s.completion = text["complete"]
	text["complete"] = "local append\n" + s.completion
	for _, name := range []string{"acquire", "release", "renew", "handover"} {
		text[name] = text["entry"] + text["wake"] + text["hand"] + text[name]
	}
	delete(text, "wake")
	delete(text, "entry")
	delete(text, "hand")
	for name, src := range text {
		s.scripts[name] = redis.NewScript(src)
	}
	return s, nil
}

// function makes a function of a script, for another script to call.
func function(name, body string) string {
	return "local function " + name + "(KEYS, ARGV)\n" + body + "\nend\n"
}

// completing returns the script that completes a job and pushes its end by the
// append script of the push's store.
func (s *store) completing(body string) *redis.Script {
	if last := s.pushing.Load(); last != nil && last.body == body {
		return last.script
	}
	p := &pushing{body, redis.NewScript(function("append", body) + s.completion)}
	s.pushing.Store(p)
	return p.script
}

// pushing is a script with somebody else's append script in it.
type pushing struct {
	body   string
	script *redis.Script
}

// guarding returns the script of Asynq's with this text behind the guard. There are
// as many as Asynq has.
func (s *store) guarding(text string) *redis.Script {
	known, ok := s.guards.Load(text)
	if !ok {
		known, _ = s.guards.LoadOrStore(text, redis.NewScript(s.guard+text))
	}
	script, _ := known.(*redis.Script)
	return script
}

// single tells whether all keys are on one server, so that scripts and
// pipelines may bring together what belongs together.
func (s *store) single() bool {
	_, ok := s.rdb.(*redis.Client)
	return ok && !s.sharded
}

func (s *store) run(ctx context.Context, script string, keys []string, args ...any) *redis.Cmd {
	return s.combine.run(ctx, s.scripts[script], keys, args)
}

// reply runs a script that answers with an array.
func (s *store) reply(ctx context.Context, script, id string, args ...any) (reply, error) {
	v, err := s.run(ctx, script, s.job(id), args...).Slice()
	if err != nil {
		return nil, fmt.Errorf("jobs: %s job %q: %w", script, id, err)
	}
	if len(v) == 0 {
		return nil, fmt.Errorf("jobs: %s job %q: empty reply", script, id)
	}
	return v, nil
}

func (s *store) number(ctx context.Context, script, id string, args ...any) (int, error) {
	n, err := s.run(ctx, script, s.job(id), args...).Int()
	if err != nil {
		return 0, fmt.Errorf("jobs: %s job %q: %w", script, id, err)
	}
	return n, nil
}

// reply is a script's answer.
type reply []any

func (r reply) str(i int) string {
	if i >= len(r) {
		return ""
	}
	switch v := r[i].(type) {
	case string:
		return v
	case int64:
		return strconv.FormatInt(v, 10)
	default:
		return ""
	}
}

// list returns what is an array in the answer.
func (r reply) list(i int) reply {
	if i >= len(r) {
		return nil
	}
	v, _ := r[i].([]any)
	return v
}

func (r reply) num(i int) int64 {
	n, _ := strconv.ParseInt(r.str(i), 10, 64) // scripts answer with numbers
	return n
}

// load returns a job's record, or ErrNotFound.
func (s *store) load(ctx context.Context, id string) (*record, error) {
	m, err := s.rdb.HGetAll(ctx, s.job(id)[0]).Result()
	if err != nil {
		return nil, fmt.Errorf("jobs: read job %q: %w", id, err)
	}
	if m["gen"] == "" {
		return nil, fmt.Errorf("%w: %q", ErrNotFound, id)
	}
	r, err := parseRecord(id, m)
	if err != nil {
		return nil, fmt.Errorf("jobs: read job %q: %w", id, err)
	}
	return r, nil
}

// loadAll returns the records of jobs, nil for those that have none.
func (s *store) loadAll(ctx context.Context, ids []string) ([]*record, error) {
	records := make([]*record, len(ids))
	if len(ids) == 0 {
		return records, nil
	}
	pipe := s.rdb.Pipeline()
	cmds := make([]*redis.MapStringStringCmd, len(ids))
	for i, id := range ids {
		cmds[i] = pipe.HGetAll(ctx, s.job(id)[0])
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("jobs: read jobs: %w", err)
	}
	for i, id := range ids {
		m := cmds[i].Val()
		if m["gen"] == "" {
			continue
		}
		var err error
		if records[i], err = parseRecord(id, m); err != nil {
			return nil, fmt.Errorf("jobs: read job %q: %w", id, err)
		}
	}
	return records, nil
}

// list returns the records of a session's jobs, newest first.
func (s *store) list(ctx context.Context, session string, limit int) ([]Info, error) {
	key := s.session(session)
	ids, err := s.rdb.ZRevRange(ctx, key, 0, int64(limit)-1).Result()
	if err != nil {
		return nil, fmt.Errorf("jobs: list jobs: %w", err)
	}
	records, err := s.loadAll(ctx, ids)
	if err != nil {
		return nil, err
	}
	infos := make([]Info, 0, len(ids))
	var gone []any
	for i, r := range records {
		if r == nil {
			gone = append(gone, ids[i])
			continue
		}
		infos = append(infos, r.Info)
	}
	if len(gone) > 0 {
		if err := s.rdb.ZRem(ctx, key, gone...).Err(); err != nil {
			return nil, fmt.Errorf("jobs: list jobs: %w", err)
		}
	}
	return infos, nil
}

// index adds a job to its session's list and bounds the list.
func (s *store) index(ctx context.Context, session, id string, made time.Time, life time.Duration) error {
	err := s.run(ctx, "index", []string{s.session(session)}, ms(made), id, maxListed, msOf(life)).Err()
	if err != nil {
		return fmt.Errorf("jobs: list job %q: %w", id, err)
	}
	return nil
}
