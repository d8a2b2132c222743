package live_test

import (
	"bytes"
	"html/template"
	"log/slog"
	"testing"

	"lastmile/live"
	"lastmile/live/livetest"
	"lastmile/push"
	"lastmile/push/mempush"
)

// exampleHub returns a running hub on a store in memory. The package's example
// shows how a program makes one.
func exampleHub(t testing.TB, cfg live.Config) *live.Hub {
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
	livetest.Run(t, node.Run, hub.Run)
	return hub
}

// exampleView returns a page of the hub.
func exampleView[S any](t testing.TB, hub *live.Hub, controller any, initial S, html string, cfg live.ViewConfig) *live.View[S] {
	t.Helper()
	tmpl, err := template.New("page").Parse(html)
	if err != nil {
		t.Fatal(err)
	}
	view, err := live.NewView(hub, "page", controller, initial, tmpl, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return view
}
