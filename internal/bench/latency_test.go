package bench_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/redis/go-redis/v9"

	"lastmile/internal/bench"
)

// pause lies between two measured pushes: the figure is that of an idle system,
// not of one that catches up.
const pause = 2 * time.Millisecond

// BenchmarkPushToFrame measures from the start of Trigger to the frame in the
// client's hands, as it was read and before anything is made of it, in turn with
// the least that could do the job: XADD, XREAD, write. Both use the same Redis,
// the same client library and loopback, in the same run; each comes as often
// behind the other as behind itself, since what came before leaves its traces in
// the caches. A push is safe from the end of Redis's process with the append-only
// file written each second, and from that of its machine with always.
func BenchmarkPushToFrame(b *testing.B) {
	for _, aof := range []string{"everysec", "always"} {
		b.Run(aof, func(b *testing.B) { benchPushToFrame(b, aof) })
	}
}

func benchPushToFrame(b *testing.B, aof string) {
	b.Helper()
	s := newStack(b, aof)
	f := newFloor(b, s)
	var product, floor bench.Times
	pace := time.NewTicker(pause)
	defer pace.Stop()
	ours := func(value string) {
		<-pace.C
		start := time.Now()
		if _, err := s.session.Trigger(b.Context(), "Show", map[string]string{"value": value}); err != nil {
			b.Fatal(err)
		}
		s.wait(b, value)
		product = append(product, time.Unix(0, s.came.Load()).Sub(start))
	}
	theirs := func(value string) {
		<-pace.C
		start := time.Now()
		f.send(b, value)
		floor = append(floor, time.Since(start))
	}
	for i := range b.N {
		for turn, one := range []func(string){ours, theirs, theirs, ours} {
			one(strconv.Itoa(4*i + turn))
		}
	}
	product.Report(b, "frame")
	floor.Report(b, "floor")
	b.ReportMetric(float64(product.Quantile(0.5))/float64(floor.Quantile(0.5)), "ratio-p50")
	b.ReportMetric(0, "ns/op") // the pauses are in it
}

// BenchmarkClickToPatch measures from a click, over a job with an empty handler,
// to the patch that shows its result.
func BenchmarkClickToPatch(b *testing.B) {
	s := newStack(b, "everysec")
	var times bench.Times
	for i := range b.N {
		value := "job " + strconv.Itoa(i)
		start := time.Now()
		s.page.Click("Start", map[string]any{"value": value})
		s.wait(b, value)
		times = append(times, time.Since(start))
	}
	times.Report(b, "patch")
	b.ReportMetric(0, "ns/op") // the mean says less than the quantiles
}

// floor is a hand-written XADD -> XREAD -> write loop.
type floor struct {
	publisher *redis.Client
	ws        *websocket.Conn
}

const floorStream = "bench:floor"

func newFloor(b *testing.B, s *stack) *floor {
	b.Helper()
	reader := s.client(b)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = ws.CloseNow() }()
		pump(r.Context(), reader, ws)
	}))
	b.Cleanup(server.Close)
	ws, res, err := websocket.Dial(b.Context(), "ws"+strings.TrimPrefix(server.URL, "http"), nil)
	if err != nil {
		b.Fatal(err)
	}
	if res.Body != nil {
		_ = res.Body.Close()
	}
	b.Cleanup(func() { _ = ws.CloseNow() })
	f := &floor{publisher: s.client(b), ws: ws}
	f.send(b, "ready")
	return f
}

// pump writes what it reads from the stream.
func pump(ctx context.Context, reader *redis.Client, ws *websocket.Conn) {
	last := "0"
	for {
		streams, err := reader.XRead(ctx, &redis.XReadArgs{Streams: []string{floorStream, last}, Block: time.Second}).Result()
		if errors.Is(err, redis.Nil) {
			continue
		}
		if err != nil {
			return
		}
		for _, m := range streams[0].Messages {
			last = m.ID
			text, _ := m.Values["value"].(string)
			if ws.Write(ctx, websocket.MessageText, []byte(text)) != nil {
				return
			}
		}
	}
}

// send publishes and waits for the message.
func (f *floor) send(b *testing.B, value string) {
	b.Helper()
	err := f.publisher.XAdd(b.Context(), &redis.XAddArgs{Stream: floorStream, MaxLen: 1000, Approx: true, Values: []string{"value", value}}).Err()
	if err != nil {
		b.Fatal(err)
	}
	_, got, err := f.ws.Read(b.Context())
	if err != nil || string(got) != value {
		b.Fatalf("floor: got %q, %v, want %q", got, err, value)
	}
}
