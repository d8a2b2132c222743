package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"lastmile/jobs/internal/tasks"
)

// The index of jobs. Each shard has a sorted set of entries, in the slot of its
// records: whatever script changes a job's state moves its entry too, so there is
// no moment in which one says other than the other. entry.lua says what an entry
// is. A plain job that has no record yet has an entry nevertheless, which is
// there before its task. What has ended is in a second set, by the time ended.
//
// Entries go when their records have expired, by way of tidy.lua, which compares
// all with the records, some at a time: that also mends whatever else may be
// wrong with them.

const (
	countEvery = 15 * time.Second // also how often bulks are looked for
	tidyEvery  = 30 * time.Second
	skewEvery  = time.Minute
	tidyBatch  = 500
	// tidyRounds bounds how often a tidying goes on at once while it finds much.
	tidyRounds = 50
)

func (k keys) listing(n int) string { return k.tag(n) + "index" }

// ends is the set of those entries that have ended, by when.
func (k keys) ends(n int) string { return k.tag(n) + "ends" }

// entry is the entry of a job, as entry.lua makes it.
func entry(s State, kind, queue string, made, ended time.Time, id string) string {
	return string(s) + "\x01" + indexed(kind) + "\x01" + indexed(queue) + "\x01" + stamp(made) + id + "\x01" + stamp(ended)
}

// entry is that of a task's job which waits.
func (t *task) entry(s State) string { return entry(s, t.kind, t.queue, t.made, time.Time{}, t.id) }

// indexed is a name as entries have it, in which \1 and \2 have a meaning.
func indexed(name string) string {
	return strings.Map(func(r rune) rune {
		if r == 1 || r == 2 {
			return '?'
		}
		return r
	}, name)
}

// stamp is a time as entries have it: of thirteen digits, zeros for none.
func stamp(t time.Time) string {
	if t.IsZero() {
		return "0000000000000"
	}
	return fmt.Sprintf("%013d", max(0, t.UnixMilli()))
}

// listed is a job as its entry tells.
type listed struct {
	entry           string
	state           State
	kind, queue, id string
	made            time.Time
	place           string // in the order of all entries
}

func parseEntry(e string) (listed, error) {
	part := strings.SplitN(e, "\x01", 4)
	if len(part) != 4 || len(part[3]) < 27 {
		return listed{}, fmt.Errorf("jobs: entry %q of the index is none", e)
	}
	rest := part[3]
	made, err := strconv.ParseInt(rest[:13], 10, 64)
	if err != nil {
		return listed{}, fmt.Errorf("jobs: entry %q of the index: %w", e, err)
	}
	place := rest[:len(rest)-14]
	return listed{e, State(part[0]), part[1], part[2], place[13:], time.UnixMilli(made), place}, nil
}

// add lists a job that is to have a task and no record.
func (x index) add(ctx context.Context, t *task) error {
	if err := x.c.run(ctx, "list", []string{x.c.listing(shard(t.id))}, t.entry(t.state(t.made))).Err(); err != nil {
		return fmt.Errorf("jobs: list job %q: %w", t.id, err)
	}
	return nil
}

// housekeeping is when a watchdog did last what it does now and then.
type housekeeping struct{ counted, tidied, measured time.Time }

// keepHouse does what is due.
func (w watchdog) keepHouse(ctx context.Context, last *housekeeping) (err error) {
	now := time.Now()
	if now.Sub(last.measured) >= skewEvery {
		last.measured = now
		err = w.c.clock.measure(ctx, skewSamples)
	}
	if now.Sub(last.counted) >= countEvery {
		last.counted = now
		err = errors.Join(err, w.measureDepth(ctx), bulks(w).resume(ctx))
	}
	if now.Sub(last.tidied) >= tidyEvery {
		last.tidied = now
		err = errors.Join(err, w.tidy(ctx))
	}
	return err
}

// tidy compares some of the index with the records. Of all processes one does.
func (w watchdog) tidy(ctx context.Context) error {
	prefix, suffix := "", ""
	if w.c.single() {
		prefix, suffix, _ = strings.Cut(w.c.known.Names.Task(w.c.inAsynq("\x00")), "\x00")
	}
	for range tidyRounds {
		much := false
		for _, some := range w.c.shardGroups() {
			keys := make([]string, 0, 2*len(some))
			for _, n := range some {
				keys = append(keys, w.c.listing(n), w.c.tag(n)+"tidy")
			}
			v, err := w.c.run(ctx, "tidy", keys, int(tidyEvery/time.Second), tidyBatch, prefix, suffix).Slice()
			if err != nil {
				return fmt.Errorf("jobs: compare the index: %w", err)
			}
			r := reply(v)
			much = much || r.num(0) == 1
			if err := w.dropUntasked(ctx, r); err != nil {
				return err
			}
		}
		if !much {
			break
		}
	}
	return nil
}

// dropUntasked removes the entries of jobs that have neither record nor task,
// which the script could not look for.
func (w watchdog) dropUntasked(ctx context.Context, r reply) error {
	for i := 1; i < len(r); i++ {
		l, err := parseEntry(r.str(i))
		if err != nil {
			return err
		}
		_, err = w.c.inspect.GetTaskInfo(w.c.inAsynq(l.queue), l.id)
		if err == nil {
			continue
		}
		if !tasks.Gone(err) {
			return fmt.Errorf("jobs: look for task %q: %w", l.id, err)
		}
		if _, err := w.c.load(ctx, l.id); err == nil { // it has one meanwhile
			continue
		} else if !errors.Is(err, ErrNotFound) {
			return err
		}
		if err := w.c.rdb.ZRem(ctx, w.c.listing(shard(l.id)), l.entry).Err(); err != nil {
			return fmt.Errorf("jobs: remove job %q from the index: %w", l.id, err)
		}
	}
	return nil
}

// shardGroups groups the shards whose keys one script may have.
func (s *store) shardGroups() [][]int {
	all := make([]int, shards)
	for n := range all {
		all[n] = n
	}
	if s.single() {
		return [][]int{all}
	}
	return slices.Collect(slices.Chunk(all, 1))
}
