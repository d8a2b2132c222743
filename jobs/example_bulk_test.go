package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"lastmile/internal/exampletest"
	"lastmile/jobs"
	"lastmile/jobs/jobstest"
)

// All that failed while something was down runs again, once it is up.
func ExampleRetryAll() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	kit := jobstest.New(t)

	var up atomic.Bool
	fetch := jobs.Define[Photo, Thumbnail]("photo.fetch", jobs.MaxRetry(0))
	kit.Start(quickly, func(pool *jobs.Pool) {
		fetch.Handle(pool, func(context.Context, *jobs.Job[Photo]) (Thumbnail, error) {
			if !up.Load() {
				return Thumbnail{}, errors.New("the network is down")
			}
			return Thumbnail{}, nil
		})
	})
	for _, name := range []string{"a.jpg", "b.jpg", "c.jpg"} {
		handle, err := fetch.With(kit.Client).Enqueue(t.Context(), Photo{name}, jobs.ID(name))
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(kit.Wait(handle.ID).State)
	}
	up.Store(true)
	bulk, err := jobs.RetryAll(t.Context(), kit.Client, jobs.Query{Kind: "photo.fetch", EndedSince: time.Now().Add(-time.Hour)})
	if err != nil {
		fmt.Println(err) // it goes on by itself: ask for jobs.BulkOf(ctx, client, bulk.ID)
		return
	}
	fmt.Println(bulk.Done, "retried:", kit.Wait("a.jpg").State, kit.Wait("b.jpg").State, kit.Wait("c.jpg").State)
	// Output:
	// failed
	// failed
	// failed
	// 3 retried: completed completed completed
}

// What waits in a queue is not wanted any more.
func ExampleCancelAll() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	kit := jobstest.New(t)
	for _, name := range []string{"a.jpg", "b.jpg"} {
		if _, err := Resize.With(kit.Client).Enqueue(t.Context(), Photo{name}, jobs.Queue("slow"), jobs.ProcessIn(time.Hour)); err != nil {
			fmt.Println(err)
			return
		}
	}
	bulk, err := jobs.CancelAll(t.Context(), kit.Client, jobs.Query{Queue: "slow"})
	if err != nil {
		fmt.Println(err)
		return
	}
	again, err := jobs.BulkOf(t.Context(), kit.Client, bulk.ID) // also later, and from another process
	fmt.Println(again.Done, "cancelled, over:", again.Over, err)
	// Output: 2 cancelled, over: true <nil>
}
