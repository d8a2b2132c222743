// Package webtest sets up what the application's pages stand on, in one process
// and in fake time: for tests inside a testing/synctest bubble.
package webtest

import (
	"context"
	"log/slog"
	"net/http"
	"testing"

	"github.com/redis/go-redis/v9"

	"lastmile/cmd/internal/filestore"
	"lastmile/cmd/internal/journey"
	"lastmile/cmd/internal/profilejob"
	"lastmile/cmd/web/ui"
	"lastmile/jobs"
	"lastmile/jobs/jobstest"
	"lastmile/live"
	"lastmile/live/livetest"
	"lastmile/push"
	"lastmile/push/pushtest"
	"lastmile/push/redisstream"
)

// World is a web node with its workers.
type World struct {
	Redis     *pushtest.Redis
	Client    redis.UniversalClient
	Transport *redisstream.Transport
	Publisher *push.Publisher
	Node      *push.Node
	Hub       *live.Hub
	Kit       *jobstest.Kit // jobs, whose events reach the pages
	Files     *filestore.Store
	UI        *ui.UI
	Log       *slog.Logger
	Mux       *http.ServeMux
	t         *testing.T
}

// New makes a world. Register pages with its Mux, then call Run.
func New(t *testing.T, files filestore.Config) *World {
	t.Helper()
	w := &World{t: t, Redis: pushtest.NewRedis(t), Mux: http.NewServeMux(), Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	w.Client = w.Redis.Client(t)
	var err error
	must := func() {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	w.Transport, err = redisstream.New(w.Client, redisstream.Config{Logger: w.Log})
	must()
	w.Publisher, err = push.NewPublisher(w.Transport, push.PublisherConfig{Logger: w.Log})
	must()
	w.Node, err = push.NewNode(w.Transport, push.NodeConfig{Logger: w.Log})
	must()
	w.Hub, err = live.New(live.Deps{Node: w.Node, Publisher: w.Publisher, States: w.Transport.States(), Broker: w.Transport.Topics()}, live.Config{
		Secret: make([]byte, 32), Topics: func(live.Identity, string) error { return nil }, Logger: w.Log,
	})
	must()
	w.Kit = jobstest.New(t)
	ctx := context.WithoutCancel(t.Context())
	w.Kit.OnPush(func(m push.Message) error {
		_, err := w.Publisher.Publish(ctx, m)
		return err
	}, nil)
	w.Files, err = filestore.New(w.Client, files)
	must()
	w.UI, err = ui.New(w.Log)
	must()
	return w
}

// Run runs the node and the hub until the test ends.
func (w *World) Run() {
	w.t.Helper()
	livetest.Run(w.t, w.Node.Run, w.Hub.Run)
}

// Work runs a worker until the test ends.
func (w *World) Work() *jobstest.Worker {
	w.t.Helper()
	return w.Kit.Start(jobs.PoolConfig{}, func(p *jobs.Pool) {
		journey.Handle(p, "")
		if err := profilejob.Handle(p, w.Files); err != nil {
			w.t.Fatal(err)
		}
	})
}
