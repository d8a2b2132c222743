// Package hubtest makes the hub that examples stand on: one process, with its
// store in memory. It is no part of the library: a program makes its hub as the
// example of package live does. Only the examples of live and livetest use it.
package hubtest

import (
	"bytes"
	"context"
	"log/slog"
	"testing"

	"lastmile/live"
	"lastmile/push"
	"lastmile/push/mempush"
)

// Process is a web process without its pages. Both of its parts have to run.
type Process struct {
	Hub *live.Hub
	// RunNode runs what is below the hub.
	RunNode func(context.Context) error
}

// New returns a process that does not run yet. It needs no secret and no logger.
func New(t testing.TB, cfg live.Config) Process {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	store, err := mempush.New(mempush.Config{})
	if err != nil {
		t.Fatal(err)
	}
	node, err := push.NewNode(store, push.NodeConfig{Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	publisher, err := push.NewPublisher(store, push.PublisherConfig{Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Secret, cfg.Logger = bytes.Repeat([]byte("s"), 32), log
	hub, err := live.New(live.Deps{Node: node, Publisher: publisher, States: store, Broker: store}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return Process{hub, node.Run}
}
