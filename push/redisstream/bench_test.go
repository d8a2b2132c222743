package redisstream_test

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"lastmile/internal/patience"
	"lastmile/internal/redistest"
	"lastmile/push"
	"lastmile/push/redisstream"
)

const benchSessions = 1024

// benchServer is set up as the README tells operators to.
func benchServer(b *testing.B) (*redistest.Server, *redis.Client) {
	b.Helper()
	s := redistest.Start(b, redistest.Config{AOF: "everysec", Args: []string{"--stream-node-max-bytes", "512"}})
	return s, s.Client(b)
}

func benchMessage(i int64) push.Message {
	return push.Message{
		ID: strconv.FormatInt(i, 36), Session: "session-" + strconv.FormatInt(i%benchSessions, 10), Action: "ReportProgress",
		Data: []byte(`{"fraction":0.5,"message":"` + strings.Repeat("x", 200) + `"}`),
	}
}

// BenchmarkAppend stores pushes for sessions that nobody holds; batched has so
// many goroutines that they share pipelines.
func BenchmarkAppend(b *testing.B) {
	for _, workers := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("goroutines=%d", workers), func(b *testing.B) {
			server, client := benchServer(b)
			transport := newTransport(b, client, redisstream.Config{MailboxLen: 10_000, DedupeTTL: time.Minute})
			appendMany(b, transport, server, workers)
		})
	}
}

// BenchmarkNodes stores pushes for sessions held by this many nodes.
func BenchmarkNodes(b *testing.B) {
	for _, nodes := range []int{1, 4, 16} {
		b.Run(fmt.Sprintf("nodes=%d", nodes), func(b *testing.B) {
			server, client := benchServer(b)
			transport := newTransport(b, client, redisstream.Config{MailboxLen: 10_000, DedupeTTL: time.Minute})
			e := &counter{}
			runNodes(b, transport, e, nodes)
			for i := range int64(benchSessions) {
				node := "node-" + strconv.FormatInt(i%int64(nodes), 10)
				if _, err := transport.Attach(b.Context(), node, benchMessage(i).Session, 0); err != nil {
					b.Fatal(err)
				}
			}
			appendMany(b, transport, server, 256)
			patience.Until(b, "all hints", func() bool { return e.n.Load() >= int64(b.N) })
		})
	}
}

// counter is a Listener that counts hints.
type counter struct{ n, resyncs atomic.Int64 }

func (c *counter) Notify(n []push.Notice) { c.n.Add(int64(len(n))) }
func (c *counter) Resync()                { c.resyncs.Add(1) }

// runNodes has nodes listen until the benchmark ends.
func runNodes(b *testing.B, transport *redisstream.Transport, e *counter, nodes int) {
	b.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.Context()))
	var wg sync.WaitGroup
	for i := range nodes {
		wg.Go(func() {
			if err := transport.Listen(ctx, "node-"+strconv.Itoa(i), e); err != nil {
				b.Error(err)
			}
		})
	}
	b.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	patience.Until(b, "all nodes", func() bool { return e.resyncs.Load() >= int64(nodes) })
}

// appendMany measures b.N appends.
func appendMany(b *testing.B, transport *redisstream.Transport, server *redistest.Server, workers int) {
	b.Helper()
	if err := transport.Ping(b.Context()); err != nil {
		b.Fatal(err)
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	cpu := server.CPU(b)
	b.ResetTimer()
	for range workers {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				if _, err := transport.Append(b.Context(), benchMessage(i)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "pushes/s")
	b.ReportMetric(float64((server.CPU(b)-cpu).Microseconds())/float64(b.N), "redis-us/push")
}

// BenchmarkScriptCeiling runs the append script's commands in explicit
// pipelines: what one Redis can do at most.
func BenchmarkScriptCeiling(b *testing.B) {
	server, client := benchServer(b)
	transport := newTransport(b, client, redisstream.Config{MailboxLen: 10_000, DedupeTTL: time.Minute})
	if err := transport.Ping(b.Context()); err != nil {
		b.Fatal(err)
	}
	const batch = 64
	var next atomic.Int64
	var wg sync.WaitGroup
	cpu := server.CPU(b)
	b.ResetTimer()
	for range 4 {
		wg.Go(func() {
			for i := next.Add(batch); i <= int64(b.N)+batch; i = next.Add(batch) {
				messages := make([]push.Message, batch)
				for j := range messages {
					messages[j] = benchMessage(i - int64(j))
				}
				if err := transport.AppendPipeline(b.Context(), messages); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "pushes/s")
	b.ReportMetric(float64((server.CPU(b)-cpu).Microseconds())/float64(b.N), "redis-us/push")
}

// BenchmarkNotice measures from the start of Append to Listener.Notify, one
// push at a time, beside the least that could be done: XADD and a blocked
// XREAD, in turn in the same run.
func BenchmarkNotice(b *testing.B) {
	_, client := benchServer(b)
	transport := newTransport(b, client, redisstream.Config{MailboxLen: 10_000})
	heard := make(chan struct{}, 1)
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.Context()))
	var wg sync.WaitGroup
	ready := make(chan struct{})
	wg.Go(func() {
		if err := transport.Listen(ctx, "a", &bell{heard: heard, ready: ready}); err != nil {
			b.Error(err)
		}
	})
	wg.Go(func() { minimalReader(ctx, client, heard) })
	b.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	<-ready
	for i := range int64(benchSessions) {
		if _, err := transport.Attach(b.Context(), "a", benchMessage(i).Session, 0); err != nil {
			b.Fatal(err)
		}
	}
	ours, least := make([]time.Duration, b.N), make([]time.Duration, b.N)
	b.ResetTimer()
	for i := range b.N {
		m := benchMessage(int64(i))
		start := time.Now()
		if _, err := transport.Append(b.Context(), m); err != nil {
			b.Fatal(err)
		}
		<-heard
		ours[i] = time.Since(start)
		start = time.Now()
		if err := client.XAdd(b.Context(), &redis.XAddArgs{Stream: "least", MaxLen: 1000, Approx: true, Values: []any{"p", []byte(m.Data)}}).Err(); err != nil {
			b.Fatal(err)
		}
		<-heard
		least[i] = time.Since(start)
	}
	b.StopTimer()
	for name, d := range map[string][]time.Duration{"push": ours, "xadd": least} {
		slices.Sort(d)
		b.ReportMetric(float64(d[len(d)/2].Microseconds()), name+"-p50-us")
		b.ReportMetric(float64(d[len(d)*99/100].Microseconds()), name+"-p99-us")
	}
	b.ReportMetric(float64(ours[len(ours)/2])/float64(least[len(least)/2]), "ratio-p50")
}

// bell is a Listener that rings for each hint.
type bell struct {
	heard chan struct{}
	ready chan struct{}
}

func (l *bell) Notify(n []push.Notice) {
	for range n {
		l.heard <- struct{}{}
	}
}

func (l *bell) Resync() {
	select {
	case <-l.ready:
	default:
		close(l.ready)
	}
}

// minimalReader is the loop that one would write by hand.
func minimalReader(ctx context.Context, client *redis.Client, heard chan<- struct{}) {
	last := "$"
	for ctx.Err() == nil {
		got, err := client.XRead(ctx, &redis.XReadArgs{Streams: []string{"least", last}, Block: 200 * time.Millisecond}).Result()
		if err != nil {
			continue
		}
		for _, m := range got[0].Messages {
			last = m.ID
			heard <- struct{}{}
		}
	}
}

// BenchmarkMemory reports what the store needs for a session without pushes
// after one was acknowledged, and for a session with one push parked.
func BenchmarkMemory(b *testing.B) {
	const sessions = 10_000
	for range b.N {
		server, client := benchServer(b)
		_ = server
		transport := newTransport(b, client, redisstream.Config{DedupeTTL: time.Second, ResumeWindow: time.Millisecond})
		used := func() float64 {
			info, err := client.Info(b.Context(), "memory").Result()
			if err != nil {
				b.Fatal(err)
			}
			_, rest, _ := strings.Cut(info, "used_memory:")
			var n float64
			if _, err := fmt.Sscan(rest, &n); err != nil {
				b.Fatal(err)
			}
			return n
		}
		mustAppend(b, transport, message("warm", "up"))
		before := used()
		for i := range sessions {
			session := fmt.Sprintf("idle-session-of-26-chars-%05d", i)
			if _, err := transport.Attach(b.Context(), "node", session, 0); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric((used()-before)/sessions, "B/idle-session")
		before = used()
		for i := range sessions {
			m := benchMessage(int64(i))
			m.Session = fmt.Sprintf("away-session-of-26-chars-%05d", i)
			mustAppend(b, transport, m)
		}
		patience.Until(b, "dedupe keys to expire", func() bool {
			return client.DBSize(b.Context()).Val() < 3*sessions+200
		})
		b.ReportMetric((used()-before)/sessions, "B/parked-push")
	}
}
