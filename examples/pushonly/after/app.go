// Package after is the application whose page hears when the report is there:
// at once, and also when it was closed or cut off meanwhile.
package after

import (
	"context"
	"encoding/json"
	"html/template"
	"net"
	"net/http"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"lastmile/push"
	"lastmile/push/pushhttp"
	"lastmile/push/redisstream"
)

const page = `<!doctype html>
<title>Reports</title>
<form method="post" action="/reports"><button name="name" value="sales">Make the report</button></form>
<ul>{{range .}}<li>{{.}}</li>{{end}}</ul>
<script>new EventSource("/push/events").addEventListener("ReportMade", () => location.reload())</script>
`

type report struct {
	Name    string
	Session string
}

// Run serves the page and makes the reports until ctx ends.
func Run(ctx context.Context, rdb redis.UniversalClient, l net.Listener) error {
	g, ctx := errgroup.WithContext(ctx)
	tmpl := template.Must(template.New("page").Parse(page))
	queue := asynq.NewClientFromRedisClient(rdb)
	mux := http.NewServeMux()
	store := must(redisstream.New(rdb, redisstream.Config{}))
	publisher := must(push.NewPublisher(store, push.PublisherConfig{}))
	node := must(push.NewNode(store, push.NodeConfig{}))
	handler := must(pushhttp.New(pushhttp.Deps{Node: node}, pushhttp.Config{Secrets: [][]byte{must(store.Secret(ctx))}}))
	mux.Handle("/push/", handler)
	g.Go(func() error { return node.Run(ctx) })
	g.Go(func() error { return handler.Run(ctx) })
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		_ = tmpl.Execute(w, rdb.LRange(r.Context(), "reports", 0, -1).Val())
	})
	mux.HandleFunc("POST /reports", func(w http.ResponseWriter, r *http.Request) {
		payload := must(json.Marshal(report{
			Name:    r.FormValue("name"),
			Session: must(handler.Session(w, r)),
		}))
		must(queue.EnqueueContext(r.Context(), asynq.NewTask("report", payload)))
		http.Redirect(w, r, "/", http.StatusSeeOther)
	})
	worker := asynq.NewServerFromRedisClient(rdb, asynq.Config{LogLevel: asynq.ErrorLevel})
	err := worker.Start(asynq.HandlerFunc(func(ctx context.Context, t *asynq.Task) error {
		var r report
		if err := json.Unmarshal(t.Payload(), &r); err != nil {
			return err
		}
		if err := rdb.RPush(ctx, "reports", r.Name).Err(); err != nil {
			return err
		}
		return publisher.Session(r.Session).TriggerAction("ReportMade", map[string]any{"name": r.Name})
	}))
	if err != nil {
		return err
	}
	server := &http.Server{Handler: mux} //nolint:gosec // the example is about something else
	g.Go(func() error {
		<-ctx.Done()
		worker.Shutdown()
		return server.Close()
	})
	if err := server.Serve(l); err != http.ErrServerClosed {
		return err
	}
	return g.Wait()
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
