package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"lastmile/internal/redistest"
)

// sized is a script at the largest size that a bound of the package allows.
type sized struct {
	scripts string
	bound   string
	run     func(ctx context.Context, p *Pool, rdb *redis.Client) (got, want int, err error)
}

// constant are the scripts that are about one job, one task or one list of fixed
// length: no bound makes them longer.
const constant = "abandon adopt again alone answer awaits batch beat begin bulk cancel complete confirm create enqueue entry finish gate guard hand index join keep list " +
	"member misfit note put reopen room rouse settle soon stall step wait wake"

// TestScriptsAtTheirBounds runs each script whose work depends on a size, at the
// largest one, on a real Redis: Lua unpacks some 8,000 values at most, and all
// others wait for a script.
func TestScriptsAtTheirBounds(t *testing.T) {
	t.Parallel()
	tested := strings.Fields(constant)
	for _, tt := range sizes() {
		tested = append(tested, strings.Fields(tt.scripts)...)
		t.Run(tt.scripts, func(t *testing.T) {
			t.Parallel()
			rdb := redistest.Start(t, redistest.Config{}).Client(t)
			queues := map[string]int{}
			for i := range maxQueues {
				queues["q"+strconv.Itoa(i)] = 1
			}
			p, err := NewPool(rdb, nobody{}, PoolConfig{
				ClientConfig: ClientConfig{Logger: slog.New(slog.DiscardHandler)}, Concurrency: maxConcurrency, Queues: queues,
			})
			if err != nil {
				t.Fatal(err)
			}
			if got, want, err := tt.run(t.Context(), p, rdb); err != nil || got != want {
				t.Errorf("%s: %d, %v; want %d", tt.bound, got, err, want)
			}
			var slowest time.Duration
			for _, l := range rdb.SlowLogGet(t.Context(), 1000).Val() {
				slowest = max(slowest, l.Duration)
			}
			t.Logf("%s: the slowest call took Redis %v", tt.bound, slowest)
		})
	}
	files, err := luaFiles.ReadDir("lua")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if name := strings.TrimSuffix(f.Name(), ".lua"); !slices.Contains(tested, name) {
			t.Errorf("%s is at the bounds of nothing", name)
		}
	}
}

// nobody is a publisher that nobody asks.
type nobody struct{ Publisher }

// filled sends commands in pipelines of a bounded size.
func filled(ctx context.Context, rdb *redis.Client, n int, add func(pipe redis.Pipeliner, i int)) error {
	for from := 0; from < n; from += 1000 {
		pipe := rdb.Pipeline()
		for i := from; i < min(from+1000, n); i++ {
			add(pipe, i)
		}
		if _, err := pipe.Exec(ctx); err != nil {
			return err
		}
	}
	return nil
}

func sizes() []sized {
	return []sized{
		{"sweep", fmt.Sprintf("PoolConfig.Queues: %d, each with 100 tasks that are due", maxQueues), sweepMost},
		{"archived", fmt.Sprintf("%d queues, each with 20 that were archived", maxQueues), archivedMost},
		{"claim", fmt.Sprintf("%d shards with 200 jobs to look at each", shards), claimMost},
		{"tidy count find", fmt.Sprintf("%d shards of an index, 1,200 jobs each of 24 kinds, none of which is there", shards), indexMost},
		{"acquire release renew", fmt.Sprintf("%d limits, and 2,000 that wait for each", maxLimits), limitsMost},
		{"handover", "100 limits, and 100 that wait for each", handoverMost},
		{"outbox", fmt.Sprintf("%d sessions told at once, of any number", othersPage), outboxMost},
		{"take untake", fmt.Sprintf("PoolConfig.Concurrency: %d, and as many that wait", maxConcurrency), takeMost},
	}
}

func sweepMost(ctx context.Context, p *Pool, rdb *redis.Client) (int, int, error) {
	const each = 20
	err := filled(ctx, rdb, maxQueues*each, func(pipe redis.Pipeliner, i int) {
		base := fmt.Sprintf("asynq:{lm.q%d}:", i%maxQueues)
		pipe.ZAdd(ctx, base+"scheduled", redis.Z{Score: 1, Member: strconv.Itoa(i)})
		pipe.HSet(ctx, base+"t:"+strconv.Itoa(i), "state", "scheduled", "msg", "m")
	})
	rounds := 0
	for due := time.Duration(0); err == nil && due == 0; rounds++ {
		due, err = p.waker.sweep(ctx)
	}
	n := 0
	for i := range maxQueues {
		n += int(rdb.LLen(ctx, fmt.Sprintf("asynq:{lm.q%d}:pending", i)).Val())
	}
	if rounds < 2 {
		return rounds, 2, err
	}
	return n, maxQueues * each, err
}

func archivedMost(ctx context.Context, p *Pool, rdb *redis.Client) (int, int, error) {
	now := float64(time.Now().Unix())
	err := filled(ctx, rdb, maxQueues*20, func(pipe redis.Pipeliner, i int) {
		pipe.ZAdd(ctx, fmt.Sprintf("asynq:{lm.q%d}:archived", i%maxQueues), redis.Z{Score: now, Member: strconv.Itoa(i)})
	})
	if err != nil {
		return 0, 0, err
	}
	return 0, 0, p.client.watchdog.checkArchived(ctx)
}

func claimMost(ctx context.Context, p *Pool, rdb *redis.Client) (int, int, error) {
	const each = 2 * watchBatch
	err := filled(ctx, rdb, shards*each, func(pipe redis.Pipeliner, i int) {
		pipe.ZAdd(ctx, p.client.open(i%shards), redis.Z{Score: 1, Member: "j" + strconv.Itoa(i)})
	})
	if err != nil {
		return 0, 0, err
	}
	v, err := p.client.run(ctx, "claim", p.client.watchdog.shards(), msOf(watchLease), watchBatch).Slice()
	return len(v), 2 * shards * watchBatch, err
}

func indexMost(ctx context.Context, p *Pool, rdb *redis.Client) (int, int, error) {
	const each = 1200
	made := time.Now().Add(-time.Hour)
	err := filled(ctx, rdb, shards*each, func(pipe redis.Pipeliner, i int) {
		e := entry(StateQueued, fmt.Sprintf("kind%d", i%24), "q"+strconv.Itoa(i%10), made, time.Time{}, "j"+strconv.Itoa(i))
		pipe.ZAdd(ctx, p.client.listing(i%shards), redis.Z{Member: e})
	})
	if err != nil {
		return 0, 0, err
	}
	all, err := index{p.client}.counts(ctx, []State{StateQueued, StateRunning})
	if err != nil {
		return 0, 0, err
	}
	n := 0
	for _, c := range all {
		n += int(c.jobs)
	}
	if n != shards*each {
		return n, shards * each, nil
	}
	found, more, err := index{p.client}.findEntries(ctx, Query{Limit: pageMost, States: []State{StateQueued}}, "")
	if err != nil || !more || len(found) != pageMost {
		return len(found), pageMost, err
	}
	for range 4 {
		if err := rdb.Del(ctx, p.client.tag(0)+"tidy").Err(); err != nil {
			return 0, 0, err
		}
		if err := p.client.watchdog.tidy(ctx); err != nil {
			return 0, 0, err
		}
	}
	return int(rdb.ZCard(ctx, p.client.listing(0)).Val()), 0, nil // none has a record or a task
}

func limitsMost(ctx context.Context, p *Pool, rdb *redis.Client) (int, int, error) {
	const waiting = 2000
	x := &execution{pool: p, id: "j", kind: "k", queue: "q0", gen: 1, run: 1, came: waiting + 1}
	for i := range maxLimits {
		x.opts.Limits = append(x.opts.Limits, limit{Key: fmt.Sprintf("%0*d", maxNameLen, i), N: 1})
	}
	err := filled(ctx, rdb, maxLimits*waiting, func(pipe redis.Pipeliner, i int) {
		task := "w" + strconv.Itoa(i/maxLimits)
		pipe.ZAdd(ctx, p.client.limits.key("k", x.opts.Limits[i%maxLimits])+":w", redis.Z{Score: float64(i/maxLimits + 1), Member: p.client.limits.member("q0", task)})
	})
	if err != nil {
		return 0, 0, err
	}
	base := p.client.limits.base("q0")
	rdb.HSet(ctx, p.client.job("j")[0], "gen", 1, "run", 1, "st", "running", "kind", "k", "queue", "q0", "made", 1)
	rdb.HSet(ctx, base+"t:j", "state", "active", "msg", "m")
	got, err := p.client.limits.acquire(ctx, x)
	if err != nil {
		return 0, 0, err
	}
	p.client.limits.renew(ctx, x)
	p.client.limits.release(ctx, x)
	return int(got.acquiring), int(acquireWait), nil // all of those who wait are gone, a hundred at a time
}

func handoverMost(ctx context.Context, p *Pool, rdb *redis.Client) (int, int, error) {
	const limits, waiting = 100, 100
	base := p.client.limits.base("q0")
	err := filled(ctx, rdb, limits*waiting, func(pipe redis.Pipeliner, i int) {
		task := "w" + strconv.Itoa(i)
		key := p.client.limits.key("k", limit{Key: strconv.Itoa(i % limits), N: waiting})
		pipe.ZAdd(ctx, key+":w", redis.Z{Score: float64(i + 1), Member: p.client.limits.member("q0", task)})
		pipe.ZAdd(ctx, base+"scheduled", redis.Z{Score: 1e12, Member: task})
		pipe.HSet(ctx, base+"t:"+task, "state", "scheduled", "msg", "m")
		pipe.ZAdd(ctx, p.client.limitsInUse(), redis.Z{Score: 1, Member: fmt.Sprintf("%d:0:%s", waiting, key)})
	})
	if err == nil {
		err = p.client.limits.handOver(ctx)
	}
	return int(rdb.LLen(ctx, base+"pending").Val()), limits * waiting, err
}

func outboxMost(ctx context.Context, p *Pool, rdb *redis.Client) (int, int, error) {
	if err := rdb.HSet(ctx, p.client.job("j")[0], "gen", 1, "fin", 1, "out", 1).Err(); err != nil {
		return 0, 0, err
	}
	told := make([]string, othersPage)
	for i := range told {
		told[i] = strconv.Itoa(i) + strings.Repeat("d", 1000)
	}
	err := p.client.notify.noteTold(ctx, &Event{ID: "j", Gen: 1}, []string{wentField, toldField}, told)
	return int(rdb.HLen(ctx, p.client.others("j")).Val()), othersPage, err
}

func takeMost(ctx context.Context, p *Pool, rdb *redis.Client) (int, int, error) {
	base := p.client.limits.base("only")
	one, err := NewPool(rdb, nobody{}, PoolConfig{
		ClientConfig: ClientConfig{Logger: slog.New(slog.DiscardHandler)}, Concurrency: maxConcurrency, Queues: map[string]int{"only": 1},
	})
	if err != nil {
		return 0, 0, err
	}
	err = filled(ctx, rdb, maxConcurrency, func(pipe redis.Pipeliner, i int) {
		pipe.HSet(ctx, base+"t:"+strconv.Itoa(i), "state", "pending", "msg", "m", "lm", "")
		pipe.LPush(ctx, base+"pending", strconv.Itoa(i))
	})
	if err == nil {
		_, err = one.Take(ctx, p.client.inAsynq("only"))
	}
	if n := rdb.LLen(ctx, base+"active").Val(); n < 2 || err != nil {
		return int(n), 500, err
	}
	one.GiveBack(ctx, 0)
	if n := int(rdb.LLen(ctx, base+"active").Val()); n != 1 {
		return n, 1, nil
	}
	for n := 1; n < maxConcurrency && err == nil; n++ {
		if _, err = one.Take(ctx, p.client.inAsynq("only")); errors.Is(err, redis.Nil) { // what is held for too long is not handed out
			one.GiveBack(ctx, 0)
			n, err = n-1, nil
		}
	}
	if err != nil {
		return 0, 0, err
	}
	if n := int(rdb.LLen(ctx, base+"active").Val()); n != maxConcurrency || err != nil {
		return n, maxConcurrency, err
	}
	return 0, 0, nil
}
