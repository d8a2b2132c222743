package loadgen

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"lastmile/live"
	"lastmile/push"
)

// State is the page's: the pushes that it has applied, each as "number@time,".
type State struct{ Log string }

type controller struct{}

// Number applies one push.
func (controller) Number(s State, ctx *live.Context) (State, error) {
	s.Log += ctx.GetString("token") + ","
	return s, nil
}

const page = `<p id="log">{{.Log}}</p>`

// byCookie takes the session from a cookie in plain sight.
type byCookie struct{}

func (byCookie) Identify(r *http.Request) (live.Identity, error) {
	c, err := r.Cookie("session")
	if err != nil {
		return live.Identity{}, errors.New("loadgen: no session cookie")
	}
	return live.Identity{Session: c.Value}, nil
}

func web(ctx context.Context, s Spec) error {
	transport, err := open(s)
	if err != nil {
		return err
	}
	secret, err := transport.Secret(ctx)
	if err != nil {
		return fmt.Errorf("loadgen: %w", err)
	}
	node, err := push.NewNode(transport, push.NodeConfig{})
	if err != nil {
		return fmt.Errorf("loadgen: %w", err)
	}
	publisher, err := push.NewPublisher(transport, push.PublisherConfig{})
	if err != nil {
		return fmt.Errorf("loadgen: %w", err)
	}
	hub, err := live.New(
		live.Deps{Node: node, Publisher: publisher, States: transport.States(), Broker: transport.Topics()},
		live.Config{Secret: secret, Authenticator: byCookie{}},
	)
	if err != nil {
		return fmt.Errorf("loadgen: %w", err)
	}
	view, err := live.NewView(hub, "load", controller{}, State{}, template.Must(template.New("page").Parse(page)), live.ViewConfig{})
	if err != nil {
		return fmt.Errorf("loadgen: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", view)
	mux.HandleFunc("/collect", func(w http.ResponseWriter, _ *http.Request) {
		debug.FreeOSMemory() // what is left is in use
		_, _ = w.Write([]byte(strconv.FormatBool(node.Healthy() == nil)))
	})
	return serve(ctx, s.Addr, mux, node.Run, transport.Run, hub.Run)
}

// serve listens until ctx ends, and runs what the page stands on.
func serve(ctx context.Context, addr string, handler http.Handler, runs ...func(context.Context) error) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, run := range runs {
		group.Go(func() error { return run(ctx) })
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("loadgen: %w", err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 30 * time.Second}
	group.Go(func() error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("loadgen: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		lastCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		return server.Shutdown(lastCtx)
	})
	return group.Wait()
}
