package jobs_test

import (
	"bytes"
	"context"
	"encoding/gob"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"lastmile/jobs"
	"lastmile/jobs/jobstest"
)

// gobCodec is a codec whose bytes are no JSON.
func gobCodec(name string) jobs.Codec {
	return jobs.Codec{
		Name: name,
		Encode: func(v any) ([]byte, error) {
			var b bytes.Buffer
			err := gob.NewEncoder(&b).Encode(v)
			return b.Bytes(), err
		},
		Decode: func(data []byte, v any) error { return gob.NewDecoder(bytes.NewReader(data)).Decode(v) },
	}
}

// names is a handler that notes the arguments it got.
type names struct {
	mu   sync.Mutex
	seen []string
}

func (n *names) handle(_ context.Context, j *jobs.Job[args]) (result, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.seen = append(n.seen, j.Args.Name)
	if j.Args.Name == "bad" {
		return result{}, jobs.Discard(errBoom)
	}
	return result{7}, nil
}

func (n *names) count() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.seen)
}

func (n *names) want(t *testing.T, want ...string) {
	t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	if slices.Sort(n.seen); !slices.Equal(n.seen, want) {
		t.Errorf("handled %q, want %q", n.seen, want)
	}
}

// Every way to a handler carries arguments in the kind's own form: with and
// without a session, as steps, as members of a batch, opened again.
func TestCodec(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		kind := define(jobs.MaxRetry(0), jobs.Codecs(gobCodec("gob/1")))
		bound := kind.With(k.Client)
		put := func(name string, opts ...jobs.Option) jobs.Handle {
			t.Helper()
			h, err := bound.Enqueue(t.Context(), args{name}, opts...)
			if err != nil {
				t.Fatal(err)
			}
			return h
		}
		later := put("later", notify(k), jobs.ProcessIn(time.Minute))
		info, err := k.Client.Get(t.Context(), later.ID)
		if err != nil || !json.Valid(info.Args) || info.Args[0] != '"' {
			t.Errorf("arguments to look at = %s, %v, want a JSON string", info.Args, err)
		}
		if a, err := kind.Args(info); err != nil || a.Name != "later" {
			t.Errorf("Args = %+v, %v", a, err)
		}
		if found := jobstest.RequireEnqueued(k, kind, "s", func(a args) bool { return a.Name == "later" }); found.ID != later.ID {
			t.Errorf("RequireEnqueued found %s, want %s", found.ID, later.ID)
		}
		var n names
		start(k, kind, n.handle)
		put("plain")
		put("first", jobs.ID("first"), jobs.Then(kind.Step(args{"step"})))
		if err := k.Client.Batch(t.Context(), "b", []jobs.Step{kind.Step(args{"member"})}, kind.Step(args{"finally"})); err != nil {
			t.Fatal(err)
		}
		bad := put("bad", notify(k))
		k.Drain()
		if err := k.Client.Retry(t.Context(), bad.ID); err != nil {
			t.Fatal(err)
		}
		k.Drain()
		n.want(t, "bad", "bad", "finally", "first", "later", "member", "plain", "step")
	})
}

// A kind's form may change while jobs wait: the next program reads the old ones,
// and what a program does not know waits for one that does.
func TestCodecChanges(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		patient := []jobs.Option{jobs.MaxRetry(5), jobs.RetryBackoff(time.Minute, time.Minute)}
		before := define(patient...)
		now := define(append(patient, jobs.Codecs(gobCodec("gob/1")))...)
		next := define(append(patient, jobs.Codecs(gobCodec("gob/2"), gobCodec("gob/1")))...)
		enqueue(t, k, before)
		enqueue(t, k, now)
		newest := enqueue(t, k, next)
		var old, young names
		first := start(k, now, old.handle)
		k.Until("the old ones have run", func() bool { return old.count() == 2 })
		time.Sleep(10 * time.Second)
		if info, err := k.Client.Get(t.Context(), newest); err != nil || info.State != jobs.StateQueued {
			t.Errorf("the newest is %+v, %v, want it to wait", info, err)
		}
		old.want(t, "a", "a")
		if err := first.Stop(); err != nil {
			t.Fatal(err)
		}
		k.Start(jobs.PoolConfig{CheckInterval: checkEvery, VersionSkew: 30 * time.Second}, func(p *jobs.Pool) { next.Handle(p, young.handle) })
		if end := wantEnd(t, k, newest, jobs.StateCompleted); end.Event.Attempt != 1 {
			t.Errorf("attempt = %d, want 1", end.Event.Attempt)
		}
		young.want(t, "a")
		only := define(jobs.MaxRetry(1), jobs.Codecs(gobCodec("gob/3")))
		if end := wantEnd(t, k, enqueue(t, k, only), jobs.StateFailed); end.Event.Code != "bad_args" || end.Event.Attempt != 1 {
			t.Errorf("a codec that nobody knows: %+v, want bad_args", end.Event)
		}
	})
}

func TestInvalidCodecs(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, k *jobstest.Kit) {
		t.Helper()
		good := gobCodec("gob/1")
		for name, opt := range map[string]jobs.Option{
			"no name": jobs.Codecs(gobCodec("")), "long": jobs.Codecs(gobCodec(strings.Repeat("x", 65))), "ours": jobs.Codecs(gobCodec("json/1")),
			"no functions": jobs.Codecs(jobs.Codec{Name: "x"}), "twice": jobs.Codecs(good, good),
		} {
			if _, err := define(opt).With(k.Client).Enqueue(t.Context(), args{}); !errors.Is(err, jobs.ErrInvalid) {
				t.Errorf("%s: Enqueue = %v, want ErrInvalid", name, err)
			}
		}
		if _, err := define().With(k.Client).Enqueue(t.Context(), args{}, jobs.Codecs(good)); !errors.Is(err, jobs.ErrInvalid) {
			t.Errorf("for one job only: %v, want ErrInvalid", err)
		}
		if _, err := jobs.Define[func(), int]("test.func").With(k.Client).Enqueue(t.Context(), nil); !errors.Is(err, jobs.ErrInvalid) {
			t.Errorf("arguments that do not marshal: %v, want ErrInvalid", err)
		}
	})
}

// Steps go through the middleware like any other job. One that is refused for
// good does not hold up the end of the job before it.
func TestMiddlewareSeesSteps(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T) {
		t.Helper()
		var n names
		var mu sync.Mutex
		tries := 0
		k := jobstest.New(t)
		wrap := func(next func(context.Context, *jobs.Work) (jobs.Handle, error)) func(context.Context, *jobs.Work) (jobs.Handle, error) {
			return func(ctx context.Context, w *jobs.Work) (jobs.Handle, error) {
				mu.Lock()
				tries++
				first := tries == 1
				mu.Unlock()
				switch {
				case bytes.Contains(w.Args, []byte("never")):
					return jobs.Handle{}, jobs.ErrInvalid
				case first:
					return jobs.Handle{}, errBoom // for a while
				}
				w.Args = bytes.ToUpper(w.Args)
				return next(ctx, w)
			}
		}
		kind := define()
		k.Start(jobs.PoolConfig{ClientConfig: jobs.ClientConfig{Middleware: []jobs.Middleware[jobs.Handle]{wrap}}, CheckInterval: checkEvery},
			func(p *jobs.Pool) { kind.Handle(p, n.handle) })
		id := enqueue(t, k, kind, jobs.ID("first"), jobs.Then(kind.Step(args{"b"}), kind.Step(args{"never"})))
		wantEnd(t, k, id, jobs.StateCompleted)
		k.Drain()
		time.Sleep(5 * time.Minute)
		wantEnd(t, k, id, jobs.StateCompleted)
		n.want(t, "B", "a")
	})
}
