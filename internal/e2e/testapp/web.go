package testapp

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"lastmile/live"
	"lastmile/push"
)

// State is the page's. Each list holds tokens, each followed by a comma.
type State struct {
	// Log is what this connection applied.
	Log string
	// Shared is what the session's connections applied together.
	Shared string `live:"persist"`
	// Clicks is how many clicks this connection applied.
	Clicks int
}

type controller struct{ deadly bool }

// Number applies one push.
func (c controller) Number(s State, ctx *live.Context) (State, error) {
	token := ctx.GetString("token") + ","
	if c.deadly && strings.HasPrefix(token, "exit") {
		os.Exit(3) //nolint:forbidigo // that is what this push is for
	}
	s.Log += token
	s.Shared += token
	return s, nil
}

// Click counts.
func (controller) Click(s State, _ *live.Context) (State, error) {
	s.Clicks++
	return s, nil
}

// page has exactly one unit, as the test's client demands.
const page = `<p id="log">{{.Log}}|{{.Shared}}|{{.Clicks}}</p>`

// byCookie takes the session from a cookie in plain sight: a test has to know
// its sessions.
type byCookie struct{}

func (byCookie) Identify(r *http.Request) (live.Identity, error) {
	c, err := r.Cookie("session")
	if err != nil {
		return live.Identity{}, errors.New("testapp: no session cookie")
	}
	return live.Identity{Session: c.Value}, nil
}

func web(ctx context.Context, s Spec) error {
	transport, err := connect(ctx, s)
	if err != nil {
		return err
	}
	secret, err := transport.Secret(ctx)
	if err != nil {
		return fmt.Errorf("testapp: %w", err)
	}
	node, err := push.NewNode(s.transport(transport), push.NodeConfig{})
	if err != nil {
		return fmt.Errorf("testapp: %w", err)
	}
	publisher, err := push.NewPublisher(transport, push.PublisherConfig{})
	if err != nil {
		return fmt.Errorf("testapp: %w", err)
	}
	cfg := live.Config{Secret: secret, Authenticator: byCookie{}, Heartbeat: 3 * time.Second, WriteTimeout: s.WriteTimeout, FirstTTL: time.Hour}
	if s.Deadly {
		cfg.ActionTimeout = time.Second // what seems to kill waits as long for the sign of life
	}
	hub, err := live.New(live.Deps{Node: node, Publisher: publisher, States: s.states(transport), Broker: transport.Topics()}, cfg)
	if err != nil {
		return fmt.Errorf("testapp: %w", err)
	}
	view, err := live.NewView(hub, "soak", controller{s.Deadly}, State{}, template.Must(template.New("page").Parse(page)), live.ViewConfig{})
	if err != nil {
		return fmt.Errorf("testapp: %w", err)
	}
	weights := &weights{}
	heavy, err := live.NewView(hub, "heavy", weights, Heavy{}, template.Must(template.New("heavy").Parse(heavyPage)), live.ViewConfig{})
	if err != nil {
		return fmt.Errorf("testapp: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", view)
	mux.Handle("/heavy", heavy)
	mux.HandleFunc("/weights", weights.tell)
	return serve(ctx, s.Addr, mux, publisher.Run, node.Run, transport.Run, hub.Run)
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
		return fmt.Errorf("testapp: %w", err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	group.Go(func() error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("testapp: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		lastCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		return server.Shutdown(lastCtx)
	})
	slog.Info("listening", "addr", addr)
	return group.Wait()
}
