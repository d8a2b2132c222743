package bench_test

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"lastmile/internal/redistest"
	"lastmile/push"
	"lastmile/push/redisstream"
)

const (
	// pushSessions is how many sessions a run's pushes go to.
	pushSessions = 500
	// pipelines and depth are redis-benchmark's: as many commands under way as
	// a Transport has.
	pipelines, depth = 4, 64
)

// BenchmarkPublish measures accepted pushes a second through one Publisher and
// one Redis, by publishers that each wait for their answer, with nodes that
// read what they are sent. Each session is held by one node. Then it measures
// redis-benchmark with the very same script on the same Redis: ratio is ours
// by its. Publishers, nodes and Redis share the machine, so the CPU time of
// Redis and of this process are told too.
func BenchmarkPublish(b *testing.B) {
	for _, bb := range []struct{ publishers, nodes int }{{16, 0}, {256, 0}, {256, 1}, {256, 4}, {256, 16}} {
		b.Run(fmt.Sprintf("publishers=%d/nodes=%d", bb.publishers, bb.nodes), func(b *testing.B) {
			server := redistest.Start(b, redistest.Config{AOF: "everysec", Args: []string{"--stream-node-max-bytes", "512"}})
			client := func() *redis.Client {
				c := redis.NewClient(&redis.Options{Addr: server.Addr(), Protocol: 2})
				b.Cleanup(func() { _ = c.Close() })
				return c
			}
			transport := func(c *redis.Client) *redisstream.Transport {
				return must(redisstream.New(c, redisstream.Config{Logger: quiet(), MailboxLen: 10_000}))(b)
			}
			heard := listenAll(b, transport, client, bb.nodes)
			rdb, tap := client(), &scriptTap{}
			publisher := must(push.NewPublisher(transport(rdb), push.PublisherConfig{Logger: quiet()}))(b)
			publishAll(b, server, publisher, bb.publishers)
			if bb.nodes > 0 {
				heard.await(b, int64(b.N))
			}
			rdb.AddHook(tap)
			if _, err := oneOf(publisher, 0).Trigger(b.Context(), "Show", pushData, push.WithID(tapID)); err != nil {
				b.Fatal(err)
			}
			limit := redisBenchmark(b, server, tap.args, max(b.N, 50_000))
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/limit, "ratio")
		})
	}
}

// pushData is what each push carries.
var pushData = map[string]string{"value": strings.Repeat("x", 200)}

// publishAll publishes b.N pushes and reports what they cost.
func publishAll(b *testing.B, server *redistest.Server, publisher *push.Publisher, publishers int) {
	b.Helper()
	var next atomic.Int64
	var all sync.WaitGroup
	redisCPU, ownCPU := server.CPU(b), cpuTime(b)
	b.ResetTimer()
	for range publishers {
		all.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				if _, err := oneOf(publisher, int(i)).Trigger(b.Context(), "Show", pushData); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	b.StopTimer()
	perPush := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(b.N) }
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "pushes/s")
	b.ReportMetric(perPush(server.CPU(b)-redisCPU), "redis-us/push")
	b.ReportMetric(perPush(cpuTime(b)-ownCPU), "own-us/push")
	b.ReportMetric(0, "ns/op")
}

// cpuTime returns the CPU time that this process has used.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// tally counts hints.
type tally struct{ hints, resyncs atomic.Int64 }

func (t *tally) Notify(n []push.Notice) { t.hints.Add(int64(len(n))) }
func (t *tally) Resync()                { t.resyncs.Add(1) }

// await waits for hints.
func (t *tally) await(b *testing.B, n int64) {
	b.Helper()
	limit := time.NewTimer(20 * time.Second)
	defer limit.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for t.hints.Load() < n {
		select {
		case <-tick.C:
		case <-limit.C:
			b.Fatalf("%d hints of %d", t.hints.Load(), n)
		}
	}
}

// listenAll runs nodes, each with clients of its own, that share the sessions.
func listenAll(b *testing.B, transport func(*redis.Client) *redisstream.Transport, client func() *redis.Client, nodes int) *tally {
	b.Helper()
	t := &tally{}
	all := make([]*redisstream.Transport, nodes)
	for i := range all {
		all[i] = transport(client())
		run(b, func(ctx context.Context) error { return all[i].Listen(ctx, nodeName(i), t) })
	}
	for s := 0; s < pushSessions && nodes > 0; s++ {
		if _, err := all[s%nodes].Attach(b.Context(), nodeName(s%nodes), sessionName(s), 0); err != nil {
			b.Fatal(err)
		}
	}
	return t
}

func nodeName(i int) string { return "node-" + strconv.Itoa(i) }

// tapID is the push that a scriptTap looks for.
const tapID = "push-of-the-tap"

// scriptTap keeps the command that appends that push.
type scriptTap struct{ args []any }

func (t *scriptTap) DialHook(next redis.DialHook) redis.DialHook { return next }

func (t *scriptTap) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		t.look(cmd)
		return next(ctx, cmd)
	}
}

func (t *scriptTap) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		for _, cmd := range cmds {
			t.look(cmd)
		}
		return next(ctx, cmds)
	}
}

func (t *scriptTap) look(cmd redis.Cmder) {
	if cmd.Name() == "evalsha" && t.args == nil {
		t.args = cmd.Args()
	}
}

// redisBenchmark returns the requests a second of redis-benchmark with a
// command whose push ID is another one each time.
func redisBenchmark(b *testing.B, server *redistest.Server, command []any, n int) float64 {
	b.Helper()
	_, port, _ := strings.Cut(server.Addr(), ":")
	args := []string{
		"-p", port, "-c", strconv.Itoa(pipelines), "-P", strconv.Itoa(depth), "-n", strconv.Itoa(n), "-r", "2147483647", "--csv",
	}
	for _, a := range command {
		text := fmt.Sprint(a)
		if raw, ok := a.([]byte); ok {
			text = string(raw)
		}
		args = append(args, strings.ReplaceAll(text, tapID, "__rand_int__"))
	}
	out, err := exec.CommandContext(b.Context(), "redis-benchmark", args...).Output()
	if err != nil {
		b.Fatal(err)
	}
	rate, err := requestRate(string(out))
	if err != nil {
		b.Fatal(err)
	}
	return rate
}

// requestRate reads the second column of the last line.
func requestRate(csv string) (float64, error) {
	lines := strings.Split(strings.TrimSpace(csv), "\n")
	columns := strings.Split(lines[len(lines)-1], `","`)
	if len(columns) < 8 { // the first holds the command, quotes and all
		return 0, errors.New("redis-benchmark: unknown output")
	}
	return strconv.ParseFloat(columns[len(columns)-7], 64)
}
