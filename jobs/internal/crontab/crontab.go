// Package crontab keeps what all processes have to know of the entries of
// jobs/cron: what they are, which times have been dealt with, and which are
// paused. It decides nothing and enqueues nothing. Package cron calls it, with the
// table that the jobs client gives; it is no part of the public API.
package crontab

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Table is the entries of an application, in one hash:
//
//	e:<name>  the entry as JSON          t:<name>  when a process last said so, ms
//	r:<name>  the times dealt with, newest last, seconds
//	j:<name>  the last job's ID          k:<name>  the last time that was skipped
//	p:<name>  1 while it is paused
type Table struct {
	Redis redis.UniversalClient
	Key   string
}

// State is what is known of one entry.
type State struct {
	// Entry is what Put stored last, at Seen.
	Entry []byte
	Seen  time.Time
	// Recent are the last times that were dealt with.
	Recent []int64
	// LastJob is the job of the last one, Skipped the last one without.
	LastJob string
	Skipped time.Time
	Paused  bool
}

// maxRecent bounds the times that are kept.
const maxRecent = 100

// Dealt tells whether a time has been dealt with.
func (s *State) Dealt(slot time.Time) bool { return slices.Contains(s.Recent, slot.Unix()) }

// Put says that a process runs an entry.
func (t *Table) Put(ctx context.Context, name string, entry []byte, now time.Time) error {
	if err := t.Redis.HSet(ctx, t.Key, "e:"+name, entry, "t:"+name, now.UnixMilli()).Err(); err != nil {
		return fmt.Errorf("crontab: put %q: %w", name, err)
	}
	return nil
}

// Get returns an entry's state, empty for one that nobody has put.
func (t *Table) Get(ctx context.Context, name string) (*State, error) {
	var fields []string
	for _, f := range "etrjkp" {
		fields = append(fields, string(f)+":"+name)
	}
	v, err := t.Redis.HMGet(ctx, t.Key, fields...).Result()
	if err != nil {
		return nil, fmt.Errorf("crontab: get %q: %w", name, err)
	}
	m := make(map[byte]string, len(v))
	for i, x := range v {
		if text, ok := x.(string); ok {
			m[fields[i][0]] = text
		}
	}
	s := &State{Entry: []byte(m['e']), LastJob: m['j'], Paused: m['p'] == "1"}
	if ms, err := strconv.ParseInt(m['t'], 10, 64); err == nil {
		s.Seen = time.UnixMilli(ms)
	}
	if sec, err := strconv.ParseInt(m['k'], 10, 64); err == nil {
		s.Skipped = time.Unix(sec, 0)
	}
	for r := range strings.SplitSeq(m['r'], ",") {
		if sec, err := strconv.ParseInt(r, 10, 64); err == nil {
			s.Recent = append(s.Recent, sec)
		}
	}
	return s, nil
}

// Names returns the names of the entries, in order.
func (t *Table) Names(ctx context.Context) ([]string, error) {
	fields, err := t.Redis.HKeys(ctx, t.Key).Result()
	if err != nil {
		return nil, fmt.Errorf("crontab: list: %w", err)
	}
	var names []string
	for _, f := range fields {
		if name, ok := strings.CutPrefix(f, "e:"); ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// note notes a time as dealt with, once.
//
// KEYS: table. ARGV: name, slot or "", job or "" when it was skipped, most.
// Invariant: the newest most times stay, in the order in which they came.
//
//nolint:gochecknoglobals // a script is a constant that Go cannot spell
var note = redis.NewScript(`
local key = KEYS[1]
local name, slot, job, most = unpack(ARGV)
if slot ~= "" then
  local kept = {}
  for s in string.gmatch(redis.call("HGET", key, "r:" .. name) or "", "%d+") do
    if s == slot then return 0 end
    kept[#kept + 1] = s
  end
  kept[#kept + 1] = slot
  local from = math.max(1, #kept - tonumber(most) + 1)
  redis.call("HSET", key, "r:" .. name, table.concat(kept, ",", from))
end
if job == "" then
  redis.call("HSET", key, "k:" .. name, slot)
else
  redis.call("HSET", key, "j:" .. name, job)
end
return 1`)

// Note notes a time as dealt with: by the job, or skipped with "". A zero time
// notes the job alone.
func (t *Table) Note(ctx context.Context, name string, slot time.Time, job string) error {
	at := ""
	if !slot.IsZero() {
		at = strconv.FormatInt(slot.Unix(), 10)
	}
	if err := note.Run(ctx, t.Redis, []string{t.Key}, name, at, job, maxRecent).Err(); err != nil {
		return fmt.Errorf("crontab: note %q: %w", name, err)
	}
	return nil
}

// Pause pauses an entry, or lets it go on.
func (t *Table) Pause(ctx context.Context, name string, paused bool) error {
	var err error
	if paused {
		err = t.Redis.HSet(ctx, t.Key, "p:"+name, 1).Err()
	} else {
		err = t.Redis.HDel(ctx, t.Key, "p:"+name).Err()
	}
	if err != nil {
		return fmt.Errorf("crontab: pause %q: %w", name, err)
	}
	return nil
}
