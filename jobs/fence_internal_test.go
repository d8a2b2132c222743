package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"lastmile/jobs/internal/tasks"
)

// fencing is a run that was paused for longer than its lease, or whose process was
// killed with calls still on their way, and its successor.
type fencing struct {
	t     *testing.T
	mini  *miniredis.Miniredis
	rdb   *redis.Client
	first *Pool // that was silent
	next  *Pool
	x     *execution // the run of the first
}

// deed is something that a run which another has followed may still do.
type deed struct {
	name string
	do   func(ctx context.Context, f *fencing) error
	// late has no say once the successor has the task; the others have one until it has
	// begun: then the end, or the wait, of the first run is the job's, and the successor
	// finds it over.
	late bool
}

func deeds() []deed {
	ends := func(s State, cause error) func(context.Context, *fencing) error {
		return func(ctx context.Context, f *fencing) error {
			return f.first.conclude(ctx, f.x, s, []byte("7"), "code", "text", cause)
		}
	}
	waits := func(s State, back bool, cause error) func(context.Context, *fencing) error {
		return func(ctx context.Context, f *fencing) error {
			return f.first.again(ctx, f.x, s, time.Second, back, cause)
		}
	}
	return []deed{
		{name: "begins", late: true, do: func(ctx context.Context, f *fencing) error {
			b, err := f.first.begin(ctx, ctx, f.x, false)
			if err == nil && b.beginning == beginStale {
				err = errSuperseded
			}
			return err
		}},
		{name: "joins", late: true, do: func(ctx context.Context, f *fencing) error {
			if f.x.record == recordKnows {
				return errSuperseded // it has joined
			}
			v, _, err := f.first.client.join(ctx, f.x)
			if err == nil && v == joinStale {
				err = errSuperseded
			}
			return err
		}},
		{name: "beats, with progress", do: func(ctx context.Context, f *fencing) error {
			ctx, cancel := context.WithCancelCause(ctx)
			f.x.report(0.5, "half")
			f.x.beatOnce(ctx, cancel)
			return context.Cause(ctx)
		}},
		{name: "stores a step", do: func(ctx context.Context, f *fencing) error {
			if f.x.record != recordKnows {
				return errSuperseded // it joins before, see there
			}
			s := &step{j: &journal{x: f.x, stored: map[string]*done{}}, name: "charge", began: time.Now()}
			if err := s.store(ctx); !errors.Is(err, ErrFenced) {
				return err
			}
			return errSuperseded
		}},
		{name: "waits for an answer", do: func(ctx context.Context, f *fencing) error {
			if f.x.record != recordKnows {
				return errSuperseded // it joins before, see there
			}
			c := f.first.client
			v, err := c.run(ctx, "wait", []string{c.job(f.x.id)[0], c.durable(f.x.id)}, f.x.gen, f.x.run, "approve", 1000, 10).Slice()
			if err == nil && reply(v).num(0) == -1 {
				err = errSuperseded
			}
			return err
		}},
		{name: "completes", do: ends(StateCompleted, nil)},
		{name: "fails", do: ends(StateFailed, errors.New("boom"))},
		{name: "acknowledges a cancellation", do: ends(StateCancelled, ErrCancelled)},
		{name: "is to be tried again", do: waits(StateRetrying, false, errors.New("boom"))},
		{name: "snoozes", do: waits(StateScheduled, true, Snooze(time.Second))},
		{name: "is given back by a stop", do: waits(StateQueued, true, ErrShutdown)},
		{name: "notes its run with the task", late: true, do: func(ctx context.Context, f *fencing) error {
			f.first.misfits.noteRun(ctx, f.x, false, true)
			return nil
		}},
		{name: "is of another version", late: true, do: func(ctx context.Context, f *fencing) error {
			f.first.misfits.putOff(ctx, f.x.queue, f.x.task(), f.x.kind, misfit(codeUnknown, "", errBoomInside))
			return nil
		}},
		{name: "is alone", late: true, do: func(ctx context.Context, f *fencing) error { return f.first.alone.mark(ctx, f.x) }},
		{name: "renews its lease", late: true, do: func(ctx context.Context, f *fencing) error {
			holder{f.first}.beat(ctx)
			select {
			case <-f.x.taken:
				return errSuperseded
			default:
				return errors.New("its execution does not hear of it")
			}
		}},
		{name: "takes a place", late: true, do: func(ctx context.Context, f *fencing) error {
			f.x.opts.Limits = []limit{{Key: "k", N: 1}}
			_, err := f.first.limited(ctx, f.x)
			return err
		}},
		{name: "gives a place back", late: true, do: func(ctx context.Context, f *fencing) error {
			f.x.opts.Limits = []limit{{Key: "k", N: 1}}
			f.first.client.limits.release(ctx, f.x)
			return nil
		}},
		{name: "gives the task back", late: true, do: func(ctx context.Context, f *fencing) error {
			pending := f.base() + "pending"
			q := tasks.Queue{Pending: pending, Active: f.base() + "active", Lease: f.base() + "lease", Prefix: f.base() + "t:"}
			return holder{f.first}.untake(ctx, []tasks.Held{{Task: tasks.Task{ID: f.x.task(), Token: f.first.prefetch.Token(f.x.task())}, Queue: q}}, 0)
		}},
		{name: "has Asynq do something to the task", late: true, do: func(ctx context.Context, f *fencing) error {
			id := f.x.task()
			keys := []string{f.base() + "active", f.base() + "t:" + id, f.first.client.own(f.base() + "pending")}
			return holder{f.first}.guarded(ctx, `redis.call("LREM", KEYS[1], 0, ARGV[1]) return redis.status_reply("OK")`, keys,
				[]any{id, id, f.first.prefetch.Token(id)}).Err()
		}},
		{name: "has its end stored with Asynq's", late: true, do: func(ctx context.Context, f *fencing) error {
			if f.x.record == recordKnows {
				return nil // it ends by its record
			}
			id, b := f.x.task(), f.base()
			r := tasks.Removal{
				Keys: []string{b + "active", b + "lease", b + "t:" + id, b + "processed", b + "total", f.first.client.own(b + "pending")},
				Args: []any{id, time.Now().Add(time.Hour).Unix(), 1 << 40, f.first.prefetch.Token(id)},
			}
			done, err := f.first.client.completeRun(ctx, newCompletion(ctx, f.x, []byte("7")), r)
			if err == nil && done.stored {
				err = errors.New("it was stored")
			}
			return err
		}},
	}
}

var errBoomInside = errors.New("boom")

// TestFences: whatever a run still does that has lost its task changes nothing of
// the task, which is its successor's; and once that has begun, nothing at all.
func TestFences(t *testing.T) {
	t.Parallel()
	for _, d := range deeds() {
		for _, how := range []string{"session", "session, unaware", "plain", "plain, begun"} {
			for _, begun := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, %s, successor begun %t", d.name, how, begun), func(t *testing.T) {
					t.Parallel()
					f := newFencing(t, how)
					f.supersede(begun)
					before, rec := f.state("asynq:", ":own:", ":l:"), f.state("")
					err := d.do(t.Context(), f)
					if after := f.state("asynq:", ":own:", ":l:"); after != before {
						t.Errorf("the successor's task was\n%s\nand is\n%s", before, after)
					}
					if after := f.state(""); (begun || d.late) && after != rec {
						t.Errorf("Redis had\n%s\nand has\n%s", rec, after)
					}
					if _, back := errors.AsType[*retryError](err); begun && err != nil && !back && !errors.Is(err, errSuperseded) {
						t.Errorf("it is told %v", err)
					}
				})
			}
		}
	}
}

func (f *fencing) base() string { return "asynq:{lm.default}:" }

func newFencing(t *testing.T, how string) *fencing {
	t.Helper()
	f := &fencing{t: t, mini: miniredis.RunT(t)}
	f.rdb = redis.NewClient(&redis.Options{Addr: f.mini.Addr()})
	t.Cleanup(func() { _ = f.rdb.Close() })
	f.first, f.next = f.pool(), f.pool()
	kind := Define[struct{}, int]("k", MaxRetry(5))
	opts := []Option{}
	if strings.HasPrefix(how, "session") {
		opts = append(opts, ID("one"))
	}
	h, err := kind.With(f.first.client).Enqueue(t.Context(), struct{}{}, opts...)
	if err != nil {
		t.Fatal(err)
	}
	f.x = f.taken(f.first, h.ID, strings.HasPrefix(how, "plain"))
	if how == "session, unaware" {
		f.x.record, f.x.attempt = recordUnaware, 1
	}
	if how == "session" {
		f.begin(f.first, f.x)
	}
	if how == "plain, begun" {
		if v, _, err := f.first.client.join(t.Context(), f.x); err != nil || v != joined {
			t.Fatal(v, err)
		}
	}
	return f
}

func (f *fencing) pool() *Pool {
	f.t.Helper()
	p, err := NewPool(f.rdb, nobody{}, PoolConfig{ClientConfig: ClientConfig{Logger: slog.New(slog.DiscardHandler)}})
	if err != nil {
		f.t.Fatal(err)
	}
	return p
}

// taken is the run of the task that a pool takes.
func (f *fencing) taken(p *Pool, id string, plain bool) *execution {
	f.t.Helper()
	if _, err := p.Take(f.t.Context(), "lm.default"); err != nil {
		f.t.Fatal(err)
	}
	x := &execution{
		pool: p, id: id, gen: 1, kind: "k", queue: "default", attempt: 1, limit: 6, payload: []byte("{}"),
		opts:       jobOptions{Timeout: time.Minute, Retention: time.Hour, Limit: 6},
		progressed: make(chan struct{}, 1), interrupted: make(chan struct{}, 1), joins: make(chan chan<- error), taken: make(chan struct{}, 1),
	}
	p.enter(x)
	if plain {
		x.record = noRecord
		x.plain = &plainTask{id: id, kind: "k", queue: "default", payload: x.payload, rawOpts: "{}", opts: x.opts, made: time.Now()}
	}
	return x
}

func (f *fencing) begin(p *Pool, x *execution) {
	f.t.Helper()
	b, err := p.begin(f.t.Context(), f.t.Context(), x, p.prefetch.Past(x.task()).Losses > 0)
	if err != nil || b.beginning != beginRun {
		f.t.Fatal(b, err)
	}
	x.run, x.record = b.run, recordKnows
}

// supersede has the task taken over, and perhaps begun.
func (f *fencing) supersede(begun bool) {
	f.t.Helper()
	ctx, own := f.t.Context(), f.next.client.own(f.base()+"pending")
	f.rdb.ZAdd(ctx, own, redis.Z{Score: 1, Member: f.x.task()})
	f.rdb.HSet(ctx, f.next.waker.swept, "at", time.Now().UnixMilli(), "since", 1)
	if _, err := f.next.waker.sweep(ctx); err != nil {
		f.t.Fatal(err)
	}
	y := f.taken(f.next, f.x.id, f.x.plain != nil)
	if begun {
		f.begin(f.next, y)
	}
}

// state is what Redis has under keys that have one of these in them.
func (f *fencing) state(parts ...string) string {
	f.t.Helper()
	ctx, b := f.t.Context(), strings.Builder{}
	keys := f.mini.Keys()
	slices.Sort(keys)
	for _, key := range keys {
		if !slices.ContainsFunc(parts, func(part string) bool { return strings.Contains(key, part) }) {
			continue
		}
		var v any
		switch f.mini.Type(key) {
		case "hash":
			v = f.rdb.HGetAll(ctx, key).Val()
		case "zset":
			v = f.rdb.ZRangeWithScores(ctx, key, 0, -1).Val()
		case "list":
			v = f.rdb.LRange(ctx, key, 0, -1).Val()
		case "set":
			v = f.rdb.SMembers(ctx, key).Val()
		default:
			v = f.rdb.Get(ctx, key).Val()
		}
		fmt.Fprintf(&b, "%s %v\n", key, v)
	}
	return b.String()
}
