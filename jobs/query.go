package jobs

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"lastmile/jobs/internal/tasks"
)

// Query says which jobs to list: those for which everything holds that it asks
// for. The zero value lists all.
type Query struct {
	// States are the states that a job may be in. Defaults to all.
	States []State
	// Kind is the name of its kind, Queue its queue.
	Kind, Queue string
	// Session is the ID of the session it is listed with. Of a session the newest
	// 200 jobs are known.
	Session string
	// CreatedSince and CreatedBefore bound when it was made, the one included, the
	// other not.
	CreatedSince, CreatedBefore time.Time
	// EndedSince and EndedBefore bound when it ended, likewise; a job that has not
	// ended is left out when either is given.
	EndedSince, EndedBefore time.Time
	// After continues behind the page whose Next it is.
	After string
	// Limit is how many jobs a page has at most. Defaults to 100; at most 1,000.
	Limit int
}

// Page is a part of a list of jobs.
type Page struct {
	// Jobs are the jobs, newest first by the time they were made, without their
	// arguments, result and failures, which [Client.Get] returns.
	Jobs []Info
	// Next is where the next page begins: Query.After, to go on. It is empty when
	// there is nothing behind this page.
	Next string
}

const (
	pageDefault = 100
	pageMost    = 1000
	// clockSlack is how far the clocks of those who make jobs and of those who end
	// them may be apart.
	clockSlack = 10 * time.Minute
	// endedFew is how many ends of a shard are read one by one, rather than each
	// group by the time made: 2 to 3 ms of Redis's processor.
	endedFew = 2000
)

func allStates() []State {
	return []State{
		StateQueued, StateScheduled, StateRunning, StateRetrying, StateStalled,
		StateCompleted, StateFailed, StateCancelled, StateLost,
	}
}

// check fills in what a query leaves open.
func (q *Query) check() error {
	for _, s := range q.States {
		if !slices.Contains(allStates(), s) {
			return fmt.Errorf("%w: query: there is no state %q", ErrInvalid, s)
		}
	}
	if q.Limit < 0 || q.Limit > pageMost {
		return fmt.Errorf("%w: query: a page has 1 to %d jobs, not %d", ErrInvalid, pageMost, q.Limit)
	}
	q.Limit = cmp.Or(q.Limit, pageDefault)
	if len(q.States) == 0 {
		q.States = allStates()
	}
	q.States = slices.Compact(slices.Sorted(slices.Values(q.States)))
	if !q.EndedSince.IsZero() || !q.EndedBefore.IsZero() {
		q.States = slices.DeleteFunc(slices.Clone(q.States), func(s State) bool { return !s.Ended() })
	}
	return nil
}

// matches tells whether a job is one that the query asks for.
func (q *Query) matches(i *Info) bool {
	within := func(t, since, before time.Time) bool {
		return (since.IsZero() || !t.Before(since.Truncate(time.Millisecond))) && (before.IsZero() || t.Before(before))
	}
	return (i.plain || slices.Contains(q.States, i.State)) && (q.Kind == "" || i.Kind == q.Kind) && (q.Queue == "" || i.Queue == q.Queue) &&
		within(i.Created, q.CreatedSince, q.CreatedBefore) && within(i.Ended, q.EndedSince, q.EndedBefore)
}

// Jobs lists jobs: all that there are a record or a task of. A job is found as it
// stands when its page is read; one that changes between two pages is in one of
// them or in none, never in both, and one that is made meanwhile is in none. A
// plain job is found among those that wait until it has run for some seconds or
// reported something, and shown as running meanwhile.
//
// It returns an error that wraps ErrInvalid when the query makes no sense.
func (c *Client) Jobs(ctx context.Context, q Query) (Page, error) {
	if err := q.check(); err != nil {
		return Page{}, err
	}
	after, err := base64.RawURLEncoding.DecodeString(q.After)
	if err != nil || len(after) > 0 && len(after) < 13 {
		return Page{}, fmt.Errorf("%w: query: After %q is no page's Next", ErrInvalid, q.After)
	}
	place := string(after)
	if q.Session != "" {
		return index{c}.jobsOf(ctx, q, place)
	}
	var p Page
	wide := q
	for {
		some, err := index{c}.find(ctx, wide, place)
		if err != nil {
			return Page{}, err
		}
		for i, info := range some.infos {
			place = some.places[i]
			if info == nil || !q.matches(info) { // it has moved on meanwhile
				continue
			}
			if p.Jobs = append(p.Jobs, *info); len(p.Jobs) == q.Limit {
				if i < len(some.infos)-1 || some.more {
					p.Next = base64.RawURLEncoding.EncodeToString([]byte(place))
				}
				return p, nil
			}
		}
		if !some.more {
			return p, nil
		}
		if gone := slices.Index(some.infos, nil); gone >= 0 {
			wide.Limit = pageMost // there may be much that has expired
		}
	}
}

// index reads the index.
type index struct{ c *Client }

// found is a part of the index with what its entries stand for.
type found struct {
	infos  []*Info // nil for what is no job any more
	places []string
	more   bool
}

// find reads the newest entries behind a place.
func (x index) find(ctx context.Context, q Query, place string) (found, error) {
	entries, more, err := x.findEntries(ctx, q, place)
	if err != nil {
		return found{}, err
	}
	f := found{more: more, places: make([]string, len(entries))}
	for i, l := range entries {
		f.places[i] = l.place
	}
	f.infos, err = x.loadListed(ctx, entries)
	return f, err
}

// findEntries merges what the shards find. more tells whether there is anything
// behind the last one.
func (x index) findEntries(ctx context.Context, q Query, place string) (entries []listed, more bool, err error) {
	// Jobs are spread evenly, so a shard is asked for little more than its share.
	most := q.Limit/shards*2 + 8
	replies, err := x.c.askShards(ctx, "find", findArgs(q, place, most, endedFew))
	if err != nil {
		return nil, false, fmt.Errorf("jobs: list jobs: %w", err)
	}
	known := "" // the place down to which all shards have told what they have
	for _, r := range replies {
		some, err := r.StringSlice()
		if err != nil {
			return nil, false, fmt.Errorf("jobs: list jobs: %w", err)
		}
		for _, e := range some {
			l, err := parseEntry(e)
			if err != nil {
				return nil, false, err
			}
			entries = append(entries, l)
		}
		if len(some) == most {
			more = true
			known = max(known, entries[len(entries)-1].place+"\x01")
		}
	}
	slices.SortFunc(entries, func(a, b listed) int { return strings.Compare(b.place+"\x01", a.place+"\x01") })
	if i := slices.IndexFunc(entries, func(l listed) bool { return l.place+"\x01" < known }); i >= 0 {
		entries = entries[:i]
	}
	if len(entries) > q.Limit {
		return entries[:q.Limit], true, nil
	}
	return entries, more, nil
}

// findArgs are what find.lua is asked: for most entries behind a place, of which
// few that have ended are read one by one.
func findArgs(q Query, place string, most, few int) []any {
	stampOf := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return stamp(t)
	}
	// What is before a time or behind a place is below it in the order.
	before := stampOf(q.CreatedBefore)
	if end := q.EndedBefore.Add(clockSlack); !q.EndedBefore.IsZero() && (before == "" || stamp(end) < before) {
		before = stamp(end) // what ended before was made before
	}
	if place != "" && (before == "" || place < before) {
		before = place + "\x01"
	}
	args := []any{
		most, before, stampOf(q.CreatedSince), stampOf(q.EndedSince), stampOf(q.EndedBefore), indexed(q.Kind), indexed(q.Queue), few,
	}
	for _, s := range q.States {
		args = append(args, string(s))
	}
	return args
}

// askShards runs a script on the index of each shard, in one pipeline.
func (s *store) askShards(ctx context.Context, name string, args []any) ([]*redis.Cmd, error) {
	script, replies := s.scripts[name], make([]*redis.Cmd, shards)
	ask := func(call func(p redis.Pipeliner, keys []string) *redis.Cmd) error {
		pipe := s.rdb.Pipeline()
		for n := range replies {
			replies[n] = call(pipe, []string{s.listing(n)})
		}
		_, err := pipe.Exec(ctx)
		return err
	}
	err := ask(func(p redis.Pipeliner, keys []string) *redis.Cmd { return p.EvalSha(ctx, script.Hash(), keys, args...) })
	if redis.HasErrorPrefix(err, "NOSCRIPT") {
		err = ask(func(p redis.Pipeliner, keys []string) *redis.Cmd { return script.Eval(ctx, p, keys, args...) })
	}
	return replies, err
}

// shortFields are what a list shows of a record: neither arguments nor result,
// which may be large.
func shortFields() []string {
	return []string{
		"gen", "fin", "st", "kind", "queue", "cancel", "att", "lim", "frac", "msg", "code", "err", "made", "upd", "start", "end", "next", "worker", "waits",
	}
}

// loadListed returns what the entries stand for.
func (x index) loadListed(ctx context.Context, entries []listed) ([]*Info, error) {
	infos := make([]*Info, len(entries))
	if len(entries) == 0 {
		return infos, nil
	}
	fields := shortFields()
	pipe := x.c.rdb.Pipeline()
	replies := make([]*redis.SliceCmd, len(entries))
	for i, l := range entries {
		replies[i] = pipe.HMGet(ctx, x.c.job(l.id)[0], fields...)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, fmt.Errorf("jobs: read jobs: %w", err)
	}
	var plain []int
	forget := x.c.rdb.Pipeline()
	defer func() { _, _ = forget.Exec(ctx) }() // what is refused is left to tidy.lua
	for i, l := range entries {
		m := make(map[string]string, len(fields))
		for j, v := range replies[i].Val() {
			if s, ok := v.(string); ok {
				m[fields[j]] = s
			}
		}
		if m["gen"] == "" {
			if !l.state.Ended() {
				plain = append(plain, i)
			} else { // it has expired
				forget.ZRem(ctx, x.c.listing(shard(l.id)), l.entry)
				forget.ZRem(ctx, x.c.ends(shard(l.id)), l.entry)
			}
			continue
		}
		rec, err := parseRecord(l.id, m)
		if err != nil {
			return nil, fmt.Errorf("jobs: read job %q: %w", l.id, err)
		}
		infos[i] = &rec.Info
	}
	return infos, x.loadPlain(ctx, entries, plain, infos)
}

// loadPlain asks Asynq for those jobs that have no record.
func (x index) loadPlain(ctx context.Context, entries []listed, plain []int, infos []*Info) error {
	if len(plain) == 0 {
		return nil
	}
	if x.c.known.Names.Task("q") == "" {
		for _, i := range plain {
			info, err := plainInfo(x.c, entries[i].id)
			if err != nil && !errors.Is(err, ErrNotFound) {
				return err
			}
			if err == nil {
				info.plain = true
				infos[i] = &info
			}
		}
		return nil
	}
	pipe := x.c.rdb.Pipeline()
	replies := make([]*redis.SliceCmd, len(plain))
	for n, i := range plain {
		replies[n] = pipe.HMGet(ctx, x.c.known.Names.Task(x.c.inAsynq(entries[i].queue))+entries[i].id, "state", "msg")
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("jobs: read tasks: %w", err)
	}
	for n, i := range plain {
		v := replies[n].Val()
		state, ok := v[0].(string)
		if !ok {
			continue
		}
		msg, _ := v[1].(string)
		l := entries[i]
		s := plainStateNamed(state, l.state)
		info := Info{ID: l.id, Kind: l.kind, Queue: l.queue, State: s, Gen: 1, Created: l.made, Updated: l.made, plain: true}
		if h, err := tasks.HeaderOf([]byte(msg)); err == nil {
			opts, _ := x.c.options.decode(l.kind, h.Options)
			info.Attempts = opts.Limit
		}
		if s == StateRunning {
			info.Attempt = 1
		}
		infos[i] = &info
	}
	return nil
}

// plainStateNamed is what the state that Asynq stores of a task means.
func plainStateNamed(state string, waiting State) State {
	switch state {
	case asynq.TaskStateActive.String():
		return StateRunning
	case asynq.TaskStateArchived.String():
		return StateFailed
	default:
		return waiting
	}
}

// jobsOf lists jobs of a session, of which there are few.
func (x index) jobsOf(ctx context.Context, q Query, place string) (Page, error) {
	infos, err := x.c.list(ctx, q.Session, maxListed)
	if err != nil {
		return Page{}, err
	}
	placeOf := func(i *Info) string { return stamp(i.Created) + i.ID }
	slices.SortFunc(infos, func(a, b Info) int { return bytes.Compare([]byte(placeOf(&b)+"\x01"), []byte(placeOf(&a)+"\x01")) })
	var p Page
	for _, i := range infos {
		if !q.matches(&i) || place != "" && placeOf(&i)+"\x01" >= place+"\x01" {
			continue
		}
		if len(p.Jobs) == q.Limit {
			p.Next = base64.RawURLEncoding.EncodeToString([]byte(placeOf(&p.Jobs[len(p.Jobs)-1])))
			break
		}
		i.Args, i.Result, i.Failures, i.payload = nil, nil, nil, nil
		p.Jobs = append(p.Jobs, i)
	}
	return p, nil
}
