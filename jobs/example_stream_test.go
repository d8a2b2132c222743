package jobs_test

import (
	"context"
	"fmt"

	"lastmile/internal/exampletest"
	"lastmile/jobs"
	"lastmile/jobs/jobstest"
	"lastmile/push/stream"
	"lastmile/push/stream/redisstore"
)

// A job writes a text while it works; a reader has it from the start, whenever it
// comes, and whatever becomes of the worker.
func ExampleStream() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	kit := jobstest.New(t)
	streams, err := redisstore.New(kit.Redis, redisstore.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	answer := jobs.Define[string, int]("answer")
	cfg := quickly
	cfg.Streams = streams
	kit.Start(cfg, func(pool *jobs.Pool) {
		answer.Handle(pool, func(ctx context.Context, j *jobs.Job[string]) (int, error) {
			w, err := jobs.Stream(ctx, "text", stream.WriterConfig{})
			if err != nil {
				return 0, err
			}
			return fmt.Fprintf(w, "You asked: %s", j.Args)
		})
	})
	handle, err := answer.With(kit.Client).Enqueue(t.Context(), "why?")
	if err != nil {
		fmt.Println(err)
		return
	}
	kit.Wait(handle.ID)
	for chunk, err := range stream.Follow(t.Context(), streams, jobs.StreamKey(handle.ID, handle.Gen, "text"), stream.Start) {
		fmt.Println(string(chunk.Data), err)
	}
	// Output: You asked: why? <nil>
}
