// Package jobstest tests code that enqueues or handles jobs, with the real job
// layer, real Asynq and a Redis in memory, in a testing/synctest bubble where
// hours of retries cost no time:
//
//	synctest.Test(t, func(t *testing.T) {
//		kit := jobstest.New(t)
//		kit.Start(jobs.PoolConfig{}, func(p *jobs.Pool) { Resize.Handle(p, resize) })
//		h, err := Resize.With(kit.Client).Enqueue(t.Context(), args, jobs.Notify(kit.Session("s"), jobs.OnDone("Resized")))
//		info := kit.Wait(h.ID)
//		events := kit.Events("s")
//	})
//
// It works outside a bubble too, at the pace of the real clock.
package jobstest

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"lastmile/jobs"
	"lastmile/jobs/internal/tasks"
	"lastmile/push"
)

// Kit is a Redis in memory, a client, and a record of what sessions were sent.
// Its methods are safe for concurrent use but for those that take a *testing.T
// by failing the test.
type Kit struct {
	// Client enqueues and looks after jobs.
	Client *jobs.Client
	// Redis is a connection of the kit's own; cut links do not affect it.
	Redis redis.UniversalClient
	// Publisher stores pushes, over the kit's own connection.
	Publisher *push.Publisher

	t     testing.TB
	mini  *miniredis.Miniredis
	box   *mailbox
	log   *slog.Logger
	front *link

	refuser atomic.Pointer[refuser] // the last one

	mu    sync.Mutex
	links []*link
}

// New starts a kit that ends with the test. Call it inside the bubble.
func New(t testing.TB, middleware ...jobs.Middleware[jobs.Handle]) *Kit {
	t.Helper()
	m := miniredis.NewMiniRedis()
	m.ClockTTL(true)
	// The first connection starts it, so it is made here: others read what that writes.
	if conn, err := m.Dial(); err != nil {
		t.Fatalf("start Redis: %v", err)
	} else {
		_ = conn.Close() // nothing was said on it
	}
	k := &Kit{t: t, mini: m, log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo}))}
	k.front = newLink(m)
	own, front := newLink(m).client(), k.front.client()
	k.Redis = own
	k.links = append(k.links, k.front)
	var err error
	if k.box, err = newMailbox(own, k.log); err != nil {
		t.Fatalf("make mailbox: %v", err)
	}
	if k.Publisher, err = k.box.publisher(own, k.log); err != nil {
		t.Fatalf("make publisher: %v", err)
	}
	k.Client, err = jobs.NewClient(front, k.Publisher, jobs.ClientConfig{Logger: k.log, Middleware: middleware})
	if err != nil {
		t.Fatalf("make client: %v", err)
	}
	t.Cleanup(func() {
		_ = own.Close()
		_ = front.Close()
		if k.wasCut() {
			time.Sleep(lingering) //nolint:forbidigo // there is nothing of go-redis to wait for
		}
		m.Close()
	})
	return k
}

// Session returns a session to name in jobs.Notify.
func (k *Kit) Session(id string) push.Session { return k.Publisher.Session(id) }

// Events returns everything that the session was sent, in order. What a later
// push replaced is included.
func (k *Kit) Events(session string) []Push {
	k.t.Helper()
	pushes, err := k.box.list(context.WithoutCancel(k.t.Context()), session)
	if err != nil {
		k.t.Fatalf("read the mailbox: %v", err)
	}
	return pushes
}

// Terminal returns the terminal events that the session was sent for the job.
func (k *Kit) Terminal(session, id string) []Push {
	var out []Push
	for _, p := range k.Events(session) {
		if p.Event.ID == id && p.Event.State.Ended() {
			out = append(out, p)
		}
	}
	return out
}

// OnPush calls before and after around the storing of every push; either may
// be nil. An error from before is what the publisher gets. To crash a worker at
// that very point, call Worker.Crash in one of them.
func (k *Kit) OnPush(before func(push.Message) error, after func(push.Message)) {
	k.box.mu.Lock()
	defer k.box.mu.Unlock()
	k.box.before, k.box.after = before, after
}

// Outage cuts every connection to Redis but the kit's own for d.
func (k *Kit) Outage(d time.Duration) {
	k.setAll(true)
	time.Sleep(d) //nolint:forbidigo // the outage is the time
	k.setAll(false)
}

func (k *Kit) setAll(cut bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, l := range k.links {
		l.set(cut)
	}
}

// Fail makes Redis answer every command with the error, or works again with "".
func (k *Kit) Fail(reply string) {
	k.front.mark()
	k.mini.SetError(reply)
}

// RedisAhead has Redis's clock run ahead of the process's from now on, or behind
// it. Call it before anything else.
func (k *Kit) RedisAhead(by time.Duration) {
	set := func() { k.mini.SetTime(time.Now().Add(by)) }
	set()
	tick := time.NewTicker(clockTick)
	done := make(chan struct{})
	k.t.Cleanup(func() {
		tick.Stop()
		<-done
	})
	ctx := k.t.Context()
	go func() {
		defer close(done)
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				set()
			}
		}
	}()
}

// clockTick is how often a clock of RedisAhead ticks.
const clockTick = 10 * time.Millisecond

// lingering is how long go-redis keeps dialing after a cut, even when closed.
const lingering = 3 * time.Second

func (k *Kit) wasCut() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.ContainsFunc(k.links, func(l *link) bool { return l.wasCut() })
}

// waitLimit bounds Wait, Drain and Until; in a bubble it costs nothing.
const waitLimit = 30 * time.Minute

// Until polls until ok returns true, and fails the test when it does not.
func (k *Kit) Until(what string, ok func() bool) {
	k.t.Helper()
	for since := time.Now(); !ok(); {
		waited := time.Since(since)
		if waited > waitLimit {
			k.t.Fatalf("gave up waiting until %s", what)
		}
		// Each look takes real time, so a long wait has fewer of them.
		time.Sleep(min(max(waited/50, 10*time.Millisecond), time.Second)) //nolint:forbidigo // it polls
	}
}

// Wait returns the job once it has ended and its event is delivered.
func (k *Kit) Wait(id string) jobs.Info {
	k.t.Helper()
	var info jobs.Info
	k.Until("job "+id+" ends", func() bool {
		var err error
		info, err = k.Client.Get(k.t.Context(), id)
		return err == nil && info.State.Ended() && !k.isOpen(id)
	})
	return info
}

// WaitState returns the job once it is in the state.
func (k *Kit) WaitState(id string, s jobs.State) jobs.Info {
	k.t.Helper()
	var info jobs.Info
	k.Until("job "+id+" is "+string(s), func() bool {
		var err error
		info, err = k.Client.Get(k.t.Context(), id)
		return err == nil && info.State == s
	})
	return info
}

// Drain waits until no job is open.
func (k *Kit) Drain() {
	k.t.Helper()
	k.Until("all jobs end", func() bool { return len(k.all()) == 0 })
}

func (k *Kit) isOpen(id string) bool {
	return slices.Contains(k.open(), id)
}

// openJobs reads all shards at once: between two looks a job may end in one that
// is still to be read, and what follows it begin in one that has been.
//
//nolint:gochecknoglobals // a script is a constant that Go cannot spell
var openJobs = redis.NewScript(`local r = {}
for _, key in ipairs(redis.call("KEYS", "*:open")) do
  for _, id in ipairs(redis.call("ZRANGE", key, 0, -1)) do r[#r + 1] = id end
end
return r`)

// open returns the jobs that are open or have an undelivered event.
func (k *Kit) open() []string {
	ids, err := openJobs.Run(context.WithoutCancel(k.t.Context()), k.Redis, nil).StringSlice()
	if err != nil {
		k.t.Fatalf("read open jobs: %v", err)
	}
	return ids
}

// all returns the open jobs, and those that only Asynq knows of so far.
func (k *Kit) all() []string {
	ids := k.open()
	inspect := k.Inspector()
	queues, err := inspect.Queues()
	if err != nil {
		k.t.Fatalf("list queues: %v", err)
	}
	for _, q := range queues {
		for _, list := range []func(string, ...asynq.ListOption) ([]*asynq.TaskInfo, error){
			inspect.ListPendingTasks, inspect.ListActiveTasks, inspect.ListScheduledTasks, inspect.ListRetryTasks,
		} {
			listed, err := list(q, asynq.PageSize(1000))
			if err != nil && !errors.Is(err, asynq.ErrQueueNotFound) {
				k.t.Fatalf("list tasks: %v", err)
			}
			for _, task := range listed {
				if id := tasks.JobOf(task.ID); tasks.IsPlain(task.Headers) && !slices.Contains(ids, id) {
					ids = append(ids, id)
				}
			}
		}
	}
	return ids
}

// RequireEnqueued fails the test unless the session (or, with "", anybody) has
// a job of the kind whose arguments match, and returns the newest. A nil match
// takes any.
func RequireEnqueued[A, R any](k *Kit, kind *jobs.Kind[A, R], session string, match func(A) bool) jobs.Info {
	k.t.Helper()
	for _, info := range k.jobs(session) {
		args, err := kind.Args(info)
		if err != nil {
			continue // of another kind
		}
		if match == nil || match(args) {
			return info
		}
	}
	k.t.Fatalf("no job of kind %q is enqueued that matches", kind.Name())
	return jobs.Info{}
}

func (k *Kit) jobs(session string) []jobs.Info {
	k.t.Helper()
	ctx := k.t.Context()
	if session != "" {
		infos, err := jobs.ForSession(ctx, k.Client, k.Session(session))
		if err != nil {
			k.t.Fatalf("list jobs: %v", err)
		}
		return infos
	}
	var infos []jobs.Info
	for _, id := range k.all() {
		info, err := k.Client.Get(ctx, id)
		if err != nil && !errors.Is(err, jobs.ErrNotFound) {
			k.t.Fatalf("read job: %v", err)
		}
		if err == nil {
			infos = append(infos, info)
		}
	}
	slices.SortFunc(infos, func(a, b jobs.Info) int { return b.Created.Compare(a.Created) })
	return infos
}

// Inspector returns Asynq's own tool to look at and change tasks.
func (k *Kit) Inspector() *asynq.Inspector { return asynq.NewInspectorFromRedisClient(k.Redis) }

// Commands returns how many commands Redis was sent so far.
func (k *Kit) Commands() int { return k.mini.CommandCount() }
