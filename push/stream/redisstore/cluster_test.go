package redisstore_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"lastmile/internal/redistest"
	"lastmile/push/stream"
	"lastmile/push/stream/redisstore"
)

// TestCluster: streams of many groups lie on all servers of a cluster, and one
// connection hears of all of them.
func TestCluster(t *testing.T) {
	t.Parallel()
	client := redistest.StartCluster(t, redistest.Config{}, false).Client(t)
	store, err := redisstore.New(client, redisstore.Config{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- store.Run(ctx) }()
	var wg sync.WaitGroup
	for i := range 12 {
		key := stream.Key{Group: fmt.Sprintf("group}{ %d", i), Name: "a:b"}
		w, err := stream.Open(t.Context(), store, key, stream.WriterConfig{})
		if err != nil {
			t.Fatal(err)
		}
		var want strings.Builder
		wg.Go(func() {
			for n := range 50 {
				fmt.Fprintf(&want, "token %d\n", n)
				fmt.Fprintf(w, "token %d\n", n)
				if err := w.Flush(t.Context()); err != nil {
					t.Errorf("Flush: %v", err)
				}
			}
			is(t, "Close", w.Close(), nil)
		})
		var got strings.Builder
		wg.Go(func() {
			for c, err := range stream.Follow(t.Context(), store, key, stream.Start) {
				if err != nil {
					t.Errorf("Follow: %v", err)
				}
				got.Write(c.Data)
			}
		})
		t.Cleanup(func() {
			if got.String() != want.String() {
				t.Errorf("%s: %d bytes, want %d", key, got.Len(), want.Len())
			}
		})
	}
	wg.Wait()
	fork := stream.Key{Group: "group}{ 3", Name: "fork"}
	_, _, err = store.Create(t.Context(), fork, stream.Create{Fork: &stream.Fork{Source: "a:b", At: stream.Offset{Pos: 8}}})
	is(t, "fork", err, nil)
	if got := all(t, store, fork, stream.Start); got != "token 0\n" {
		t.Errorf("the fork holds %q", got)
	}
	stop()
	is(t, "Run", <-done, nil)
}
