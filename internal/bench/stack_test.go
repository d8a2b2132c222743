package bench_test

import (
	"context"
	"html/template"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"lastmile/internal/e2e/wsclient"
	"lastmile/internal/redistest"
	"lastmile/jobs"
	"lastmile/live"
	"lastmile/push"
	"lastmile/push/redisstream"
)

// State is one value.
type State struct{ Value string }

// controller shows what it is told, and starts jobs.
type controller struct {
	echo *jobs.Kind[echoArgs, echoResult]
}

type echoArgs struct {
	Value string `json:"value"`
}

type echoResult struct {
	Value string `json:"value"`
}

// Show applies a push, and ends a job.
func (c *controller) Show(s State, ctx *live.Context) (State, error) {
	s.Value = ctx.GetString("value")
	return s, nil
}

// Start enqueues a job that ends with Show.
func (c *controller) Start(s State, ctx *live.Context) (State, error) {
	_, err := c.echo.Enqueue(ctx, echoArgs{Value: ctx.GetString("value")}, jobs.Notify(ctx.Session(), jobs.OnDone("Show")))
	return s, err
}

// stack is a web process and a worker on a real Redis, and a page open in one
// tab.
type stack struct {
	redis   *redistest.Server
	session push.Session // of the page, held by a publisher of its own
	page    *wsclient.Page
	shown   chan string
	came    atomic.Int64 // unix nanoseconds of the last frame's arrival
}

// newStack starts everything that a benchmark needs, on a Redis that syncs its
// append-only file as aof says. It ends with the benchmark.
func newStack(b *testing.B, aof string) *stack {
	b.Helper()
	s := &stack{redis: redistest.Start(b, redistest.Config{AOF: aof}), shown: make(chan string, 64)}
	transport := s.transport(b)
	node := must(push.NewNode(transport, push.NodeConfig{Logger: quiet()}))(b)
	publisher := must(push.NewPublisher(transport, push.PublisherConfig{Logger: quiet()}))(b)
	hub := must(live.New(
		live.Deps{Node: node, Publisher: publisher, States: transport.States(), Broker: transport.Topics()},
		live.Config{Secret: make([]byte, 32), Authenticator: fixed(benchSession), MessageRate: 1e6, MessageBurst: 1e6, Logger: quiet()},
	))(b)
	client := must(jobs.NewClient(s.client(b), publisher, jobs.ClientConfig{Logger: quiet()}))(b)
	kind := jobs.Define[echoArgs, echoResult]("bench.echo")
	pool := must(jobs.NewPool(s.client(b), publisher, jobs.PoolConfig{ClientConfig: jobs.ClientConfig{Logger: quiet()}}))(b)
	kind.Handle(pool, func(_ context.Context, j *jobs.Job[echoArgs]) (echoResult, error) { return echoResult(j.Args), nil })
	view := must(live.NewView(hub, "bench", &controller{echo: kind.With(client)}, State{},
		template.Must(template.New("page").Parse(`<p id="log">{{.Value}}</p>`)), live.ViewConfig{}))(b)
	run(b, node.Run, transport.Run, hub.Run, pool.Run)
	server := httptest.NewServer(view)
	b.Cleanup(server.Close)
	s.session = must(push.NewPublisher(s.transport(b), push.PublisherConfig{Logger: quiet()}))(b).Session(benchSession)
	s.open(b, server.URL)
	return s
}

// fixed puts everybody into one session.
type fixed string

const benchSession = "session-of-the-benchmarks"

func (f fixed) Identify(*http.Request) (live.Identity, error) {
	return live.Identity{Session: string(f)}, nil
}

func (s *stack) client(b *testing.B) *redis.Client {
	b.Helper()
	c := redis.NewClient(&redis.Options{Addr: s.redis.Addr(), Protocol: 2})
	b.Cleanup(func() { _ = c.Close() })
	return c
}

func (s *stack) transport(b *testing.B) *redisstream.Transport {
	b.Helper()
	return must(redisstream.New(s.client(b), redisstream.Config{Logger: quiet()}))(b)
}

// open loads the page and waits for its connection.
func (s *stack) open(b *testing.B, url string) {
	b.Helper()
	jar := must(cookiejar.New(nil))(b)
	page := must(wsclient.Open(b.Context(), wsclient.Config{
		Client: &http.Client{Jar: jar}, URL: url, Heartbeat: 20 * time.Second,
		Unpaced: true,
		Got:     func([]byte) { s.came.Store(time.Now().UnixNano()) },
		Show:    func(_ int, text string) { s.shown <- text },
	}))(b)
	run(b, func(ctx context.Context) error {
		page.Run(ctx)
		return nil
	})
	s.page = page
	<-s.shown // the HTML
	if err := s.session.TriggerAction("Show", map[string]any{"value": "ready"}); err != nil {
		b.Fatal(err)
	}
	s.wait(b, "ready")
}

// wait takes frames until one shows text.
func (s *stack) wait(b *testing.B, text string) {
	b.Helper()
	limit := time.NewTimer(20 * time.Second)
	defer limit.Stop()
	for {
		select {
		case got := <-s.shown:
			if got == text {
				return
			}
		case <-limit.C:
			b.Fatalf("no frame shows %q", text)
		}
	}
}

// run runs each until the benchmark ends.
func run(b *testing.B, runs ...func(context.Context) error) {
	b.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.Context()))
	var group errgroup.Group
	for _, r := range runs {
		group.Go(func() error { return r(ctx) })
	}
	b.Cleanup(func() {
		cancel()
		if err := group.Wait(); err != nil {
			b.Errorf("run: %v", err)
		}
	})
}

// must fails the benchmark on an error.
func must[T any](v T, err error) func(b *testing.B) T {
	return func(b *testing.B) T {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
		return v
	}
}
