// Package loadgen loads one web node: many connections held by one process,
// numbered pushes published by another, everything over real sockets and a real
// Redis. Each connection counts what it lost, got twice or got out of order.
// The test binary runs itself again as each of the processes.
package loadgen

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"lastmile/push/redisstream"
)

// Variable is the environment variable that makes a test binary run as one of
// the processes: it holds a Spec as JSON.
const Variable = "LASTMILE_LOADGEN"

// The modes.
const (
	// Web serves the page.
	Web = "web"
	// Connect holds the connections, one for each session.
	Connect = "connect"
	// Publish pushes into the sessions, in turn.
	Publish = "publish"
)

// Spec tells a process what to be.
type Spec struct {
	Mode string
	// Redis and Addr are the addresses of Redis and of the web node, Nodes
	// those of all: the connections are spread over them in turn.
	Redis, Addr string
	Nodes       []string
	// Sessions is the number of sessions, and of connections.
	Sessions int
	// Rate is how many pushes are published a second, Total how many in all.
	Rate, Total int
}

// Env returns the environment entry that carries s.
func (s Spec) Env() string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // a struct of plain fields always marshals
	}
	return Variable + "=" + string(b)
}

// SessionID returns the ID of the n-th session. Real ones are random; both
// sides of a load have to know them.
func SessionID(n int) string { return fmt.Sprintf("session-of-the-load-%06d", n) }

// Main runs the process that the Spec in text describes and returns its exit
// code.
func Main(text string) int {
	var s Spec
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		slog.Error("read spec", "error", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	run := map[string]func(context.Context, Spec) error{Web: web, Connect: connect, Publish: publish}[s.Mode]
	if run == nil {
		slog.Error("unknown mode", "mode", s.Mode)
		return 2
	}
	if err := run(ctx, s); err != nil {
		slog.Error("failed", "mode", s.Mode, "error", err)
		return 1
	}
	return 0
}

// open returns a transport. The client ends with the process.
func open(s Spec) (*redisstream.Transport, error) {
	t, err := redisstream.New(redis.NewClient(&redis.Options{Addr: s.Redis, Protocol: 2, DialTimeout: 5 * time.Second}), redisstream.Config{})
	if err != nil {
		return nil, fmt.Errorf("loadgen: %w", err)
	}
	return t, nil
}
