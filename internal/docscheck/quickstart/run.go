package quickstart

import (
	"bufio"
	"context"
	"fmt"
	"html/template"
	"net/http"
	"os"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"lastmile/jobs"
	"lastmile/live"
	"lastmile/push"
	"lastmile/push/redisstream"
)

// Page is the template: plain html/template, usable without JavaScript.
const Page = `<form method="post"><input name="file" value="{{.File}}"><button name="live-action" value="Start">Count</button></form>
{{with .Report}}<p id="result">{{.Rows}} rows</p>{{else}}<progress max="100" value="{{.Percent}}"></progress>{{end}}
{{with .Error}}<p id="error">{{.}}</p>{{end}}`

// rowsOf counts a file's lines.
func rowsOf(ctx context.Context, file string, progress func(done float64)) (Report, error) {
	f, err := os.Open(file)
	if err != nil {
		return Report{}, jobs.Discard(jobs.UserError("no-file", "there is no such file"))
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Report{}, fmt.Errorf("quickstart: %w", err)
	}
	var r Report
	read := 0
	for lines := bufio.NewScanner(f); lines.Scan() && ctx.Err() == nil; r.Rows++ {
		read += len(lines.Bytes()) + 1
		progress(float64(read) / float64(info.Size()))
	}
	return r, ctx.Err()
}

// App is the application's web handler, with what has to run for it.
type App struct {
	http.Handler
	runs []func(context.Context) error
}

// New wires the application: web and worker in one process. Two processes take
// the two halves.
func New(ctx context.Context, rdb redis.UniversalClient) (*App, error) {
	transport, err := redisstream.New(rdb, redisstream.Config{})
	if err != nil {
		return nil, err
	}
	publisher, err := push.NewPublisher(transport, push.PublisherConfig{})
	if err != nil {
		return nil, err
	}

	// The worker's half.
	pool, err := jobs.NewPool(rdb, publisher, jobs.PoolConfig{})
	if err != nil {
		return nil, err
	}
	Count.Handle(pool, count)

	// The web's half.
	node, err := push.NewNode(transport, push.NodeConfig{})
	if err != nil {
		return nil, err
	}
	client, err := jobs.NewClient(rdb, publisher, jobs.ClientConfig{})
	if err != nil {
		return nil, err
	}
	secret, err := transport.Secret(ctx)
	if err != nil {
		return nil, err
	}
	hub, err := live.New(live.Deps{Node: node, Publisher: publisher, States: transport.States(), Broker: transport.Topics()}, live.Config{Secret: secret})
	if err != nil {
		return nil, err
	}
	page, err := live.NewView(hub, "reports", &Reports{Count: Count.With(client)}, State{},
		template.Must(template.New("page").Parse(Page)), live.ViewConfig{Title: "Count rows"})
	if err != nil {
		return nil, err
	}
	return &App{Handler: page, runs: []func(context.Context) error{transport.Run, node.Run, hub.Run, pool.Run}}, nil
}

// Run delivers pushes and works on jobs until ctx ends.
func (a *App) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, run := range a.runs {
		group.Go(func() error { return run(ctx) })
	}
	return group.Wait()
}
