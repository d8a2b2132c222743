package jobs_test

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"lastmile/internal/patience"
	"lastmile/internal/redistest"
	"lastmile/jobs"
	"lastmile/push"
	"lastmile/push/redisstream"
)

// refusal is a way of a real Redis to refuse writes.
type refusal struct {
	name string
	args []string
	on   func(t *testing.T, rdb *redis.Client)
	off  func(ctx context.Context, rdb *redis.Client) error
	in   string // what it says
}

func refusals(t *testing.T) []refusal {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "gone")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return []refusal{
		{
			name: "full", in: "OOM",
			on: func(t *testing.T, rdb *redis.Client) {
				t.Helper()
				must(t, rdb.ConfigSet(t.Context(), "maxmemory", "1").Err())
			},
			off: func(ctx context.Context, rdb *redis.Client) error { return rdb.ConfigSet(ctx, "maxmemory", "0").Err() },
		},
		{
			name: "unsaved", in: "MISCONF", args: []string{"--save", "86400 1000000", "--dir", dir},
			on: func(t *testing.T, rdb *redis.Client) {
				t.Helper()
				must(t, os.RemoveAll(dir))
				must(t, rdb.BgSave(t.Context()).Err())
			},
			off: func(ctx context.Context, rdb *redis.Client) error {
				return rdb.ConfigSet(ctx, "stop-writes-on-bgsave-error", "no").Err()
			},
		},
		{
			name: "replica", in: "READONLY",
			on: func(t *testing.T, rdb *redis.Client) {
				t.Helper()
				must(t, rdb.ReplicaOf(t.Context(), "127.0.0.1", "1").Err())
			},
			off: func(ctx context.Context, rdb *redis.Client) error { return rdb.ReplicaOf(ctx, "NO", "ONE").Err() },
		},
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestRefusingRedis takes jobs through their lives in which a real Redis refuses
// writes: before they are enqueued, while they run and as they end.
func TestRefusingRedis(t *testing.T) {
	t.Parallel()
	for _, tt := range refusals(t) {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			rdb := redistest.Start(t, redistest.Config{Args: tt.args}).Client(t)
			s := newStage(t, rdb)
			for _, life := range lives() {
				s.begin(life, true)
				s.begin(life, false)
			}
			early := len(s.all)
			for _, j := range s.all {
				patience.Until(t, j.name+" runs", func() bool { return s.ran(j.name) > 0 })
			}
			tt.on(t, rdb)
			patience.Until(t, "Redis refuses", func() bool {
				err := rdb.Set(t.Context(), "x", 1, 0).Err()
				return err != nil && strings.HasPrefix(err.Error(), tt.in)
			})
			close(s.go1)
			tick := time.NewTimer(cmp.Or(*roomFor, 1500*time.Millisecond))
			var wg sync.WaitGroup
			wg.Go(func() {
				for _, life := range lives() {
					s.begin(life, true)
				}
			})
			for _, j := range s.all[:early:early] {
				if j.during != nil {
					wg.Go(func() { s.during(j) })
				}
			}
			if tt.in == "OOM" {
				for _, j := range s.all[:early:early] {
					if j.opts != nil && j.runs == 1 && j.during == nil { // the others come again, or go on
						patience.Until(t, j.name+" ends in a full Redis", func() bool { return s.ended(j) })
					}
				}
			}
			<-tick.C
			must(t, tt.off(context.WithoutCancel(t.Context()), rdb))
			wg.Wait()
			for _, j := range s.all[early:] {
				if j.during != nil {
					patience.Until(t, j.name+" runs", func() bool { return s.ran(j.name) > 0 })
					s.during(j)
				}
			}
			for _, j := range s.all {
				s.end(j)
			}
		})
	}
}

// stage is an application whose jobs wait for go1 in their handlers at first.
type stage struct {
	*living
	t      *testing.T
	client *jobs.Client
	kind   *jobs.Kind[args, result]
	store  *redisstream.Transport
	pub    *push.Publisher
	go1    chan struct{}
	all    []*staged
}

type staged struct {
	life
	name, id, session string
}

func newStage(t *testing.T, rdb *redis.Client) *stage {
	t.Helper()
	s := &stage{living: newLiving(), t: t, go1: make(chan struct{})}
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
	var err error
	s.store, err = redisstream.New(rdb, redisstream.Config{Logger: log})
	must(t, err)
	s.pub, err = push.NewPublisher(s.store, push.PublisherConfig{Logger: log})
	must(t, err)
	pool, err := jobs.NewPool(rdb, s.pub, jobs.PoolConfig{ClientConfig: jobs.ClientConfig{Logger: log}, Concurrency: 100})
	must(t, err)
	s.client = pool.Client()
	s.kind = define().With(s.client)
	s.kind.Handle(pool, func(ctx context.Context, j *jobs.Job[args]) (result, error) {
		s.note(j.Args.Name)
		select {
		case <-s.go1:
		case <-ctx.Done():
		}
		return s.run(ctx, j)
	})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := pool.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	return s
}

// begin enqueues a job of a life, with a session of its own or without any.
func (s *stage) begin(life life, session bool) {
	s.t.Helper()
	j := &staged{life: life, name: life.name + "/" + time.Now().Format(time.RFC3339Nano)}
	opts := append([]jobs.Option{}, life.opts...)
	if strings.Contains(life.name, "limit") { // who waits for one before it runs would wait for ever
		opts = append(opts[:1:1], jobs.Concurrency(j.name, 1), jobs.RateLimit(j.name, 1, time.Second))
	}
	if session {
		j.session = fmt.Sprint("s", len(s.all))
		opts = append(opts, jobs.Notify(s.pub.Session(j.session), jobs.OnDone("Done"), jobs.OnFailed("Failed"), jobs.On("Cancelled", jobs.StateCancelled)))
	}
	if life.after {
		opts = append(opts, jobs.Then(define().Step(args{"next of " + j.name})))
	}
	insistently(s.t, 20*time.Millisecond, func() error {
		h, err := s.kind.Enqueue(s.t.Context(), args{j.name}, opts...)
		j.id = h.ID
		return err
	})
	s.all = append(s.all, j)
}

func (s *stage) during(j *staged) {
	insistently(s.t, 20*time.Millisecond, func() error { return j.during(s.t.Context(), s.client, j.id) })
}

func (s *stage) ended(j *staged) bool {
	info, err := s.client.Get(s.t.Context(), j.id)
	return err == nil && info.State.Ended()
}

// end waits for a job's end and checks it, and what the page is told.
func (s *stage) end(j *staged) {
	s.t.Helper()
	patience.Until(s.t, j.name+" ends", func() bool { return s.ended(j) })
	info, err := s.client.Get(s.t.Context(), j.id)
	must(s.t, err)
	s.check(s.t, s.kind, j.life, j.name, info)
	if j.after {
		patience.Until(s.t, "the step behind "+j.name+" runs", func() bool { return s.ran("next of "+j.name) > 0 })
	}
	if j.session == "" {
		return
	}
	patience.Until(s.t, "the page of "+j.name+" is told", func() bool {
		back, err := s.store.Pending(s.t.Context(), j.session, 0)
		if err != nil || len(back.Entries) != 1 {
			return false
		}
		e, err := jobs.EventOf(pushData(back.Entries[0].Data))
		return err == nil && e.State == j.want
	})
}
