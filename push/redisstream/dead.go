package redisstream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/redis/go-redis/v9"

	"lastmile/push"
)

const (
	// maxErrorLen bounds the error text of a dead letter, in bytes.
	maxErrorLen = 1024
	// deadPage is how many dead letters are read at once.
	deadPage = 500
	// deadLimit and maxDeadLimit are DeadQuery.Limit's default and bound.
	deadLimit, maxDeadLimit = 100, 1000
)

var _ push.DeadLetters = (*DeadLetters)(nil)

// DeadLetters is the operator's view of the pushes that were given up. Get it
// from Transport.DeadLetters.
type DeadLetters struct{ t *Transport }

// DeadLetters returns the pushes that were given up.
func (t *Transport) DeadLetters() *DeadLetters { return &DeadLetters{t} }

// DeadLetter implements push.Transport.
func (t *Transport) DeadLetter(ctx context.Context, session string, seq push.Seq, f push.Failure) error {
	if err := errors.Join(check("session", session), checkSeq(seq)); err != nil {
		return err
	}
	x := t.keys.box(session)
	keys := []string{x.meta, x.mailbox, x.parked, x.unacked, x.starts, x.dead}
	err := t.scripts.deadLetter.Run(ctx, t.client, keys, session, seq.String(),
		string(f.Reason), f.Attempts, f.Node, cut(f.Error, maxErrorLen), t.cfg.DeadLetterLen).Err()
	if err != nil {
		return t.metrics.fail("dead letter", session, err)
	}
	return nil
}

// cut returns the first n bytes of s, less a broken last character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// deadID is the place of a dead letter: that in its partition's stream, and
// the partition, which breaks ties.
type deadID struct {
	ms, n uint64
	p     int
}

func (d deadID) stream() string { return fmt.Sprintf("%d-%d", d.ms, d.n) }
func (d deadID) String() string { return fmt.Sprintf("%d-%d-%d", d.ms, d.n, d.p) }

func (d deadID) compare(o deadID) int {
	return cmp.Or(cmp.Compare(d.ms, o.ms), cmp.Compare(d.n, o.n), cmp.Compare(d.p, o.p))
}

// parseDeadID reads an ID; ok is false for what cannot name a dead letter.
func (l *DeadLetters) parseDeadID(id string) (d deadID, ok bool) {
	parts := strings.Split(id, "-")
	if len(parts) != 3 {
		return d, false
	}
	var errs [3]error
	d.ms, errs[0] = strconv.ParseUint(parts[0], 10, 64)
	d.n, errs[1] = strconv.ParseUint(parts[1], 10, 64)
	d.p, errs[2] = strconv.Atoi(parts[2])
	ok = errors.Join(errs[:]...) == nil && d.p >= 0 && d.p < l.t.cfg.Partitions && d.String() == id
	return d, ok
}

// stored is a dead letter with its place and its payload as it was stored.
type stored struct {
	id      deadID
	payload string
	push.DeadLetter
}

func storedOf(p int, m redis.XMessage) stored {
	field := func(name string) string {
		s, _ := m.Values[name].(string)
		return s
	}
	ms, n, _ := strings.Cut(m.ID, "-")
	id := deadID{p: p}
	id.ms, _ = strconv.ParseUint(ms, 10, 64)
	id.n, _ = strconv.ParseUint(n, 10, 64)
	attempts, _ := strconv.Atoi(field("n"))
	return stored{id: id, payload: field("p"), DeadLetter: push.DeadLetter{
		ID: id.String(), At: time.UnixMilli(int64(id.ms)), //nolint:gosec // the store's clock
		Entry:   entryOf(field("s"), seqOf(field("i")), seqOf(field("v")), field("j"), field("p")),
		Failure: push.Failure{Reason: push.Reason(field("r")), Attempts: attempts, Node: field("w"), Error: field("e")},
	}}
}

// List implements push.DeadLetters.
func (l *DeadLetters) List(ctx context.Context, q push.DeadQuery) ([]push.DeadLetter, error) {
	limit := min(cmp.Or(max(q.Limit, 0), deadLimit), maxDeadLimit)
	var found []stored
	for _, p := range l.partitionsOf(q) {
		n := 0
		err := l.walkDead(ctx, p, q, limit, func(page []stored) (bool, error) {
			found = append(found, page...)
			n += len(page)
			return n < limit, nil
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(found, func(a, b stored) int { return a.id.compare(b.id) })
	found = found[:min(len(found), limit)]
	out := make([]push.DeadLetter, len(found))
	for i, d := range found {
		out[i] = d.DeadLetter
	}
	return out, nil
}

func (l *DeadLetters) partitionsOf(q push.DeadQuery) []int {
	if q.Session != "" {
		return []int{l.t.keys.partition(q.Session)}
	}
	all := make([]int, l.t.cfg.Partitions)
	for p := range all {
		all[p] = p
	}
	return all
}

// walkDead hands a partition's dead letters that q selects to fn, a page at a
// time and oldest first, until fn says that it is enough.
func (l *DeadLetters) walkDead(ctx context.Context, p int, q push.DeadQuery, page int, fn func([]stored) (bool, error)) error {
	from := "-"
	if q.After != "" {
		after, ok := l.parseDeadID(q.After)
		if !ok {
			return fmt.Errorf("redisstream: %w: dead letter %q", push.ErrInvalid, q.After)
		}
		from = after.stream()
		if p <= after.p {
			from = "(" + from
		}
	}
	if q.Session != "" || q.Reason != "" {
		page = deadPage // most of it may be passed over
	}
	for {
		list, err := l.t.client.XRangeN(ctx, l.t.keys.dead(p), from, "+", int64(page)).Result()
		if err != nil {
			return l.t.metrics.fail("list dead letters", "", err)
		}
		var keep []stored
		for _, m := range list {
			d := storedOf(p, m)
			if (q.Session == "" || d.Entry.Session == q.Session) && (q.Reason == "" || d.Reason == q.Reason) {
				keep = append(keep, d)
			}
		}
		more, err := fn(keep)
		if err != nil || !more || len(list) < page {
			return err
		}
		from = "(" + list[len(list)-1].ID
	}
}

// get reads one dead letter.
func (l *DeadLetters) get(ctx context.Context, id string) (stored, error) {
	d, ok := l.parseDeadID(id)
	if !ok {
		return stored{}, fmt.Errorf("redisstream: dead letter %q: %w", id, push.ErrNotFound)
	}
	list, err := l.t.client.XRangeN(ctx, l.t.keys.dead(d.p), d.stream(), d.stream(), 1).Result()
	if err != nil {
		return stored{}, l.t.metrics.fail("get dead letter", "", err)
	}
	if len(list) == 0 {
		return stored{}, fmt.Errorf("redisstream: dead letter %q: %w", id, push.ErrNotFound)
	}
	return storedOf(d.p, list[0]), nil
}

// Get implements push.DeadLetters.
func (l *DeadLetters) Get(ctx context.Context, id string) (push.DeadLetter, error) {
	d, err := l.get(ctx, id)
	return d.DeadLetter, err
}

// Replay implements push.DeadLetters. The push goes in as it was stored, so
// that one which could not be decoded can be replayed to a newer program; it
// replaces nothing. The new ID is remembered for DedupeTTL, and the dead letter
// goes only after the append: whatever fails in between, a repeat stores
// nothing twice.
func (l *DeadLetters) Replay(ctx context.Context, id string) (push.Receipt, error) {
	d, err := l.get(ctx, id)
	if err != nil {
		return push.Receipt{}, err
	}
	m := push.Message{ID: "replay:" + id, Session: d.Entry.Session}
	r, err := l.t.store(ctx, m, []byte(d.payload))
	if err != nil {
		return push.Receipt{}, err
	}
	if err := l.t.client.XDel(ctx, l.t.keys.dead(d.id.p), d.id.stream()).Err(); err != nil {
		return push.Receipt{}, l.t.metrics.fail("replay dead letter", d.Entry.Session, err)
	}
	return r, nil
}

// Purge implements push.DeadLetters.
func (l *DeadLetters) Purge(ctx context.Context, q push.DeadQuery) (int, error) {
	purged := 0
	for _, p := range l.partitionsOf(q) {
		err := l.walkDead(ctx, p, q, deadPage, func(page []stored) (bool, error) {
			if len(page) == 0 {
				return true, nil
			}
			ids := make([]string, len(page))
			for i, d := range page {
				ids[i] = d.id.stream()
			}
			n, err := l.t.client.XDel(ctx, l.t.keys.dead(p), ids...).Result()
			purged += int(n)
			if err != nil {
				return false, l.t.metrics.fail("purge dead letters", "", err)
			}
			return true, nil
		})
		if err != nil {
			return purged, err
		}
	}
	return purged, nil
}

// Count implements push.DeadLetters.
func (l *DeadLetters) Count(ctx context.Context) (int, error) {
	lens := make([]*redis.IntCmd, l.t.cfg.Partitions)
	_, err := l.t.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i := range lens {
			lens[i] = p.XLen(ctx, l.t.keys.dead(i))
		}
		return nil
	})
	if err != nil {
		return 0, l.t.metrics.fail("count dead letters", "", err)
	}
	n := 0
	for _, l := range lens {
		n += int(l.Val())
	}
	return n, nil
}
