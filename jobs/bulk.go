package jobs

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// A bulk does one thing to all jobs that a query finds. It is stored, page by
// page: first which jobs, each with its generation, then what came of them. So
// who goes on after a death does the same to the same generations, which changes
// nothing where it has been done.

const (
	bulkRetry  = "retry"
	bulkCancel = "cancel"

	bulkPage = 50
	bulkLife = 7 * 24 * time.Hour
	// bulkSilent is after how long without a word another process goes on.
	bulkSilent = 15 * time.Second
)

// Bulk is what has been done to the jobs that a query found.
type Bulk struct {
	// ID names it: see BulkOf.
	ID string
	// Done are the jobs that were retried or cancelled, Skipped those for which
	// there was nothing to do any more, Failed those that refused.
	Done, Skipped, Failed int
	// Over is false while there is more to do.
	Over bool
	// Started and Updated are when it began and when it was last heard of.
	Started, Updated time.Time
}

// RetryAll retries all jobs that the query finds, as [Client.Retry] does, each
// once: those that have failed, or whichever ended states it names. It returns
// when all is done. When ctx ends or the process dies before, the bulk goes on
// where it was, by a watchdog ([Client.Watch], and any pool), within a
// minute. Jobs that are made after its beginning are not in it.
func RetryAll(ctx context.Context, c *Client, q Query) (Bulk, error) {
	if len(q.States) == 0 {
		q.States = []State{StateFailed}
	}
	for _, s := range q.States {
		if !s.Ended() {
			return Bulk{}, fmt.Errorf("%w: retry all: jobs that are %s have not ended", ErrInvalid, s)
		}
	}
	return bulks{c}.start(ctx, bulkRetry, q)
}

// CancelAll cancels all jobs that the query finds, as [Client.Cancel] does: those
// that have not ended, or whichever states of them it names. It goes on after a
// death as RetryAll does.
func CancelAll(ctx context.Context, c *Client, q Query) (Bulk, error) {
	if len(q.States) == 0 {
		q.States = slices.DeleteFunc(allStates(), State.Ended)
	}
	for _, s := range q.States {
		if s.Ended() {
			return Bulk{}, fmt.Errorf("%w: cancel all: jobs that are %s have ended", ErrInvalid, s)
		}
	}
	return bulks{c}.start(ctx, bulkCancel, q)
}

// BulkOf returns what has been done of a bulk, for 7 days after it was last heard
// of; then ErrNotFound.
func BulkOf(ctx context.Context, c *Client, id string) (Bulk, error) {
	b, err := bulks{c}.load(ctx, id)
	if err != nil {
		return Bulk{}, err
	}
	return b.Bulk, nil
}

func (k keys) bulk(id string) string { return k.prefix + ":jobs:bulk:" + id }
func (k keys) bulks() string         { return k.prefix + ":jobs:bulks" }

// bulks carries bulks out.
type bulks struct{ c *Client }

// target is a generation of a job in a stored page.
type target struct {
	ID  string `json:"i"`
	Gen int    `json:"g"`
}

// storedBulk is a bulk as read.
type storedBulk struct {
	Bulk
	action string
	query  Query
	page   []target // to be done
	next   string   // of the page, "" at the end
	begun  bool     // a page has been read
}

// start stores a bulk and carries it out.
func (b bulks) start(ctx context.Context, action string, q Query) (Bulk, error) {
	if q.After != "" {
		return Bulk{}, fmt.Errorf("%w: bulk: it begins at the beginning, not after %q", ErrInvalid, q.After)
	}
	q.Limit = bulkPage
	check := q
	if err := check.check(); err != nil {
		return Bulk{}, err
	}
	now := b.c.clock.now(ctx)
	if end := now.Add(time.Millisecond); q.CreatedBefore.IsZero() || q.CreatedBefore.After(end) {
		q.CreatedBefore = end
	}
	text, err := json.Marshal(q)
	if err != nil {
		return Bulk{}, fmt.Errorf("jobs: start bulk: %w", err)
	}
	id := rand.Text()
	// It is listed first: listed without a record it is passed over.
	err = b.c.rdb.ZAdd(ctx, b.c.bulks(), redis.Z{Score: float64(now.UnixMilli()), Member: id}).Err()
	if err == nil {
		pipe := b.c.rdb.Pipeline()
		pipe.HSet(ctx, b.c.bulk(id), "action", action, "query", text, "turn", 0, "made", ms(now))
		pipe.PExpire(ctx, b.c.bulk(id), bulkLife)
		_, err = pipe.Exec(ctx)
	}
	if err != nil {
		return Bulk{}, fmt.Errorf("jobs: start bulk: %w", err)
	}
	err = b.carryOut(ctx, id)
	done, lerr := BulkOf(ctx, b.c, id)
	if lerr != nil {
		done = Bulk{ID: id, Started: now}
	}
	if err != nil {
		return done, fmt.Errorf("jobs: bulk %q is not over, a watchdog goes on: %w", id, err)
	}
	return done, nil
}

// resume goes on with bulks of which nothing has been heard for a while.
func (b bulks) resume(ctx context.Context) error {
	ids, err := b.c.rdb.ZRange(ctx, b.c.bulks(), 0, watchBatch-1).Result()
	if err != nil {
		return fmt.Errorf("jobs: look for bulks: %w", err)
	}
	for _, id := range ids {
		if one := b.carryOut(ctx, id); one != nil {
			err = errors.Join(err, fmt.Errorf("jobs: go on with bulk %q: %w", id, one))
		}
	}
	return err
}

// carryOut takes a turn at a bulk until it is over or another process has it.
func (b bulks) carryOut(ctx context.Context, id string) error {
	turn, err := b.c.run(ctx, "bulk", []string{b.c.bulk(id)}, msOf(bulkLife), int(bulkSilent/time.Second)).Int()
	if err != nil {
		return err
	}
	s, err := b.load(ctx, id)
	switch {
	case errors.Is(err, ErrNotFound): // gone, or about to be there
		return b.c.rdb.ZRemRangeByScore(ctx, b.c.bulks(), "-inf", "("+ms(b.c.clock.now(ctx).Add(-bulkLife))).Err()
	case err != nil:
		return err
	case s.Over:
		return b.c.rdb.ZRem(ctx, b.c.bulks(), id).Err()
	case turn == 0:
		return nil
	}
	for !s.Over {
		if err := b.step(ctx, s, turn); err != nil {
			if errors.Is(err, errOtherTurn) {
				return nil
			}
			return err
		}
	}
	return b.c.rdb.ZRem(ctx, b.c.bulks(), id).Err()
}

// errOtherTurn is a bulk that another process has taken over.
var errOtherTurn = errors.New("another process goes on with it")

// step stores which jobs are next, or does to them what is to be done and stores
// what came of it.
func (b bulks) step(ctx context.Context, s *storedBulk, turn int) error {
	if len(s.page) == 0 && (!s.begun || s.next != "") {
		return b.turnPage(ctx, s, turn)
	}
	var done, skipped, failed int
	for _, t := range s.page {
		did, err := b.do(ctx, s.action, t)
		switch {
		case err != nil && (passing(err) || b.c.rdb.Ping(ctx).Err() != nil):
			return err // somebody goes on when Redis takes it
		case err != nil:
			b.c.log.WarnContext(ctx, "job left out of a bulk", "id", t.ID, "bulk", s.ID, "error", err)
			failed++
		case did:
			done++
		default:
			skipped++
		}
	}
	fields := []any{"page", ""}
	if s.next == "" {
		fields = append(fields, "ended", ms(b.c.clock.now(ctx)))
	}
	if err := b.note(ctx, s, turn, []int{done, skipped, failed}, fields...); err != nil {
		return err
	}
	s.page, s.Over = nil, s.next == ""
	return nil
}

func (b bulks) turnPage(ctx context.Context, s *storedBulk, turn int) error {
	s.query.After = s.next
	p, err := b.c.Jobs(ctx, s.query)
	if err != nil {
		return err
	}
	s.page = s.page[:0]
	for _, i := range p.Jobs {
		s.page = append(s.page, target{i.ID, i.Gen})
	}
	s.next, s.begun = p.Next, true
	text, err := json.Marshal(s.page)
	if err != nil {
		return err
	}
	return b.note(ctx, s, turn, []int{0, 0, 0}, "page", text, "next", s.next)
}

func (b bulks) note(ctx context.Context, s *storedBulk, turn int, counts []int, fields ...any) error {
	args := []any{msOf(bulkLife), turn}
	for _, n := range counts {
		args = append(args, n)
	}
	ok, err := b.c.run(ctx, "bulk", []string{b.c.bulk(s.ID)}, append(args, fields...)...).Int()
	if err == nil && ok == 0 {
		err = errOtherTurn
	}
	return err
}

// do retries or cancels a generation of a job. It is done too when it has been
// done before.
func (b bulks) do(ctx context.Context, action string, t target) (done bool, err error) {
	rec, err := b.c.load(ctx, t.ID)
	unknown := errors.Is(err, ErrNotFound)
	if err != nil && !unknown {
		return false, err
	}
	switch {
	case action == bulkRetry && unknown:
		return false, nil
	case action == bulkRetry && rec.Gen != t.Gen:
		return rec.Gen == t.Gen+1, b.rescue(ctx, rec)
	case action == bulkRetry:
		err = retryRecord(ctx, b.c, rec)
	case !unknown && (rec.Gen != t.Gen || rec.over()):
		return rec.Gen == t.Gen && rec.State == StateCancelled, nil
	default:
		err = b.c.Cancel(ctx, t.ID)
	}
	if errors.Is(err, ErrOpen) || errors.Is(err, ErrEnded) || errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// rescue sees to it that a generation which a dead process opened gets its task.
func (b bulks) rescue(ctx context.Context, rec *record) error {
	switch {
	case !rec.Started.IsZero():
		return nil
	case rec.State == StateLost: // a watchdog has missed the task already
		return retryRecord(ctx, b.c, rec)
	case rec.awaitsTask():
		return enqueueAwaited(ctx, b.c, rec)
	}
	return nil
}

func (b bulks) load(ctx context.Context, id string) (*storedBulk, error) {
	m, err := b.c.rdb.HGetAll(ctx, b.c.bulk(id)).Result()
	if err != nil {
		return nil, fmt.Errorf("jobs: read bulk %q: %w", id, err)
	}
	if m["action"] == "" {
		return nil, fmt.Errorf("%w: bulk %q", ErrNotFound, id)
	}
	p := fieldParser{m: m}
	s := &storedBulk{action: m["action"], next: m["next"], Bulk: Bulk{
		ID: id, Done: int(p.num("done")), Skipped: int(p.num("skipped")), Failed: int(p.num("failed")),
		Over: m["ended"] != "", Started: p.time("made"), Updated: p.time("made"),
	}}
	if at, err := strconv.ParseInt(m["at"], 10, 64); err == nil {
		s.Updated = time.Unix(at, 0)
	}
	_, s.begun = m["next"]
	err = errors.Join(p.err, json.Unmarshal([]byte(m["query"]), &s.query))
	if m["page"] != "" {
		err = errors.Join(err, json.Unmarshal([]byte(m["page"]), &s.page))
	}
	if err != nil {
		return nil, fmt.Errorf("jobs: read bulk %q: %w", id, err)
	}
	return s, nil
}
