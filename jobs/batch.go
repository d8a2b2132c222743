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

	"lastmile/jobs/internal/tasks"
)

// A batch is a hash: its steps while they are not enqueued, the end of each
// member, and finally. It is made in one step, so it is there with all of its
// steps or not at all, and whoever made it or, after a crash, a watchdog
// enqueues what is left of them.

// batches looks after all batches.
type batches struct{ c *Client }

const (
	batchPage  = 20 // steps or members that are read at once
	batchCheck = 20 * time.Second
	stagingFor = time.Hour
)

// Batch enqueues the steps side by side, and then finally once all of them have
// ended, however they ended: [Client.BatchOf] tells its handler. A step's own
// failure does not stop the others.
//
// The batch is known for 30 days after the last end of a member, and for
// finally's retention on top. As long as it is known, repeating the call with the
// same ID enqueues nothing twice, whatever the steps and however short the
// members' retention. All members are enqueued or none: after a crash within the
// call a watchdog enqueues the rest; one that middleware refuses for good counts
// as failed.
//
// A member that is opened again ([Client.Retry]) after all have ended makes
// finally run again when it ends, as finally's next generation, whose handler
// sees the new end. Retrying several may make it run several times.
func (c *Client) Batch(ctx context.Context, id string, steps []Step, finally Step) error {
	if id == "" || len(id) > maxIDLen-16 || !tasks.ValidJob(id) || len(steps) == 0 || len(steps) > maxSteps {
		return fmt.Errorf("%w: a batch needs an ID of at most %d bytes without '~', and 1 to %d steps", ErrInvalid, maxIDLen-16, maxSteps)
	}
	all := append(slices.Clip(steps), finally)
	for _, s := range all {
		if s.err != nil {
			return fmt.Errorf("jobs: batch %q: %w", id, s.err)
		}
	}
	texts, err := encodeSteps(all)
	if err == nil {
		err = batches{c}.make(ctx, id, texts, stepLife+finally.spec.Opts.Retention)
	}
	if err == nil {
		err = batches{c}.fill(ctx, id, false)
	}
	if err != nil {
		return fmt.Errorf("jobs: batch %q: %w", id, err)
	}
	return nil
}

// make stores a batch, unless it is known. The last text is finally's.
func (b batches) make(ctx context.Context, id string, texts []string, life time.Duration) error {
	key, n := b.c.batch(id), len(texts)-1
	if known, err := b.c.rdb.Exists(ctx, key).Result(); err != nil || known == 1 {
		return err
	}
	staging := key + ":" + rand.Text()
	if err := b.c.putSteps(ctx, staging, "s:", texts[:n], stagingFor); err != nil {
		return err
	}
	if err := b.c.rdb.HSet(ctx, staging, "n", n, "finally", texts[n], "life", msOf(life)).Err(); err != nil {
		return err
	}
	// The watchdog looks for it before it is there: whatever comes then, it finds
	// all of it or nothing.
	due := redis.Z{Score: float64(b.c.clock.now(ctx).Add(batchCheck).UnixMilli()), Member: id}
	if err := b.c.rdb.ZAdd(ctx, b.c.batches(), due).Err(); err != nil {
		return err
	}
	made, err := b.c.run(ctx, "batch", []string{staging, key}, msOf(life)).Int()
	if err == nil && made == 0 { // somebody else was faster
		err = b.c.rdb.Del(ctx, staging).Err()
	}
	return err
}

// fill enqueues the members of a batch that are not enqueued yet. With
// refused, one that is refused for good counts as failed instead of ending it.
func (b batches) fill(ctx context.Context, id string, refused bool) error {
	key := b.c.batch(id)
	n, err := b.c.rdb.HGet(ctx, key, "n").Int()
	if err != nil && !errors.Is(err, redis.Nil) {
		return err
	}
	for from := 0; from < n; from += batchPage {
		var fields, done []string
		for i := from; i < min(from+batchPage, n); i++ {
			fields = append(fields, "s:"+strconv.Itoa(i))
		}
		texts, err := b.c.rdb.HMGet(ctx, key, fields...).Result()
		if err != nil {
			return err
		}
		for i, v := range texts {
			text, left := v.(string)
			if !left {
				continue
			}
			if err := b.put(ctx, id, from+i, text, refused); err != nil {
				return fmt.Errorf("step %d: %w", from+i, err)
			}
			done = append(done, fields[i])
		}
		if len(done) > 0 {
			if err := b.c.rdb.HDel(ctx, key, done...).Err(); err != nil {
				return err
			}
		}
	}
	return b.c.rdb.ZRem(ctx, b.c.batches(), id).Err()
}

func (b batches) put(ctx context.Context, id string, i int, text string, refused bool) error {
	var s Step
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return err
	}
	f, member := &follow{Batch: id, Member: i}, memberID(id, i)
	_, err := b.c.putStep(ctx, s, member, f)
	if !refused || !errors.Is(err, ErrInvalid) {
		return err
	}
	b.c.log.ErrorContext(ctx, "member of a batch refused for good", "id", member, "action", s.spec.Kind, "error", err)
	return b.note(ctx, f, &Info{
		ID: member, Kind: s.spec.Kind, Queue: s.spec.Queue, State: StateFailed, Gen: 1, Code: codeRefused, Error: "the work was refused",
		Attempts: s.spec.MaxRetry + 1, Ended: b.c.clock.now(ctx),
	})
}

func memberID(batch string, i int) string { return batch + ":" + strconv.Itoa(i) }

func finallyID(batch string) string { return batch + ":finally" }

// end is called when a member has ended, maybe more than once.
func (b batches) end(ctx context.Context, f *follow, e *Event) error {
	rec, err := b.c.load(ctx, e.ID)
	if err != nil {
		return err
	}
	info := rec.Info
	info.Args = nil
	return b.note(ctx, f, &info)
}

// note keeps the end of a member with the batch, and has finally run when
// it was the last, or once more when the member was opened again since.
func (b batches) note(ctx context.Context, f *follow, info *Info) error {
	end, err := json.Marshal(info)
	if err != nil {
		return fmt.Errorf("jobs: batch %q: %w", f.Batch, err)
	}
	last := finallyID(f.Batch)
	seen, err := b.c.rdb.HGet(ctx, b.c.job(last)[0], "gen").Int()
	if err != nil && !errors.Is(err, redis.Nil) {
		return fmt.Errorf("jobs: batch %q: %w", f.Batch, err)
	}
	key := b.c.batch(f.Batch)
	v, err := b.c.run(ctx, "member", []string{key}, f.Member, info.Gen, end, seen).Slice()
	if err != nil {
		return fmt.Errorf("jobs: count job %q in batch %q: %w", info.ID, f.Batch, err)
	}
	m := parseMember(v)
	if !m.due {
		return nil
	}
	if m.seen > 0 {
		again, err := b.again(ctx, last, m.seen)
		if err != nil {
			return err
		}
		if !again { // its record is gone
			m.seen = 0
		}
	}
	if m.seen <= 0 {
		var s Step
		if err := json.Unmarshal([]byte(m.finally), &s); err != nil {
			return fmt.Errorf("jobs: read batch %q: %w", f.Batch, err)
		}
		if err := b.c.enqueueStep(ctx, s, last, nil); err != nil {
			return err
		}
	}
	if err := b.c.rdb.HSet(ctx, key, "d:"+strconv.Itoa(f.Member), info.Gen, "done", 1).Err(); err != nil {
		return fmt.Errorf("jobs: batch %q: %w", f.Batch, err)
	}
	return nil
}

// again opens the job after the generation that was there when a member
// ended, unless somebody has done so since. It returns false when there is no
// such job any more.
func (b batches) again(ctx context.Context, id string, seen int) (there bool, err error) {
	rec, err := b.c.load(ctx, id)
	switch {
	case errors.Is(err, ErrNotFound):
		return false, nil
	case err != nil:
		return false, err
	case rec.Gen > seen:
		return true, nil
	case !rec.over():
		return true, fmt.Errorf("%w: %q runs once more when it has ended", ErrOpen, id)
	}
	if err := b.c.notify.deliver(ctx, id); err != nil {
		return true, err
	}
	_, err = b.c.reopen(ctx, rec, nil, nil, "") // nothing opened means that somebody else has
	return true, err
}

// BatchOf returns what is known of the members of a batch, in the order of its
// steps: of one whose retention has passed, how it ended and its result, without
// its arguments.
func (c *Client) BatchOf(ctx context.Context, id string) ([]Info, error) {
	n, err := c.rdb.HGet(ctx, c.batch(id), "n").Int()
	if errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("%w: batch %q", ErrNotFound, id)
	}
	if err != nil {
		return nil, fmt.Errorf("jobs: read batch %q: %w", id, err)
	}
	infos := make([]Info, 0, n)
	for from := 0; from < n; from += batchPage {
		page, err := batches{c}.page(ctx, id, from, min(from+batchPage, n))
		if err != nil {
			return nil, fmt.Errorf("jobs: read batch %q: %w", id, err)
		}
		infos = append(infos, page...)
	}
	return infos, nil
}

func (b batches) page(ctx context.Context, id string, from, to int) ([]Info, error) {
	var fields, ids []string
	for i := from; i < to; i++ {
		fields, ids = append(fields, "m:"+strconv.Itoa(i)), append(ids, memberID(id, i))
	}
	records, err := b.c.loadAll(ctx, ids)
	if err != nil {
		return nil, err
	}
	ends, err := b.c.rdb.HMGet(ctx, b.c.batch(id), fields...).Result()
	if err != nil {
		return nil, err
	}
	var infos []Info
	for i, r := range records {
		if r != nil {
			infos = append(infos, r.Info)
			continue
		}
		if text, ok := ends[i].(string); ok {
			var info Info
			if err := json.Unmarshal([]byte(text), &info); err != nil {
				return nil, err
			}
			infos = append(infos, info)
		}
	}
	return infos, nil
}

// fillBatches enqueues what is left of batches whose maker died.
func (w watchdog) fillBatches(ctx context.Context) error {
	v, err := w.c.run(ctx, "claim", []string{w.c.batches()}, msOf(batchCheck), watchBatch).Slice()
	if err != nil {
		return fmt.Errorf("jobs: claim batches: %w", err)
	}
	r := reply(v)
	for i := 0; i < len(r); i += 2 {
		if err := batches(w).fill(ctx, r.str(i), true); err != nil {
			w.c.log.WarnContext(ctx, "batch not filled, trying again", "batch", r.str(i), "error", err)
		}
	}
	return nil
}
