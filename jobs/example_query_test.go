package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lastmile/internal/exampletest"
	"lastmile/jobs"
	"lastmile/jobs/jobstest"
)

// What has failed in the last hour, page by page, with what each attempt said.
func ExampleClient_Jobs() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	kit := jobstest.New(t)

	fetch := jobs.Define[Photo, Thumbnail]("photo.fetch", jobs.MaxRetry(2), jobs.RetryBackoff(time.Millisecond, time.Millisecond))
	kit.Start(quickly, func(pool *jobs.Pool) {
		fetch.Handle(pool, func(_ context.Context, j *jobs.Job[Photo]) (Thumbnail, error) {
			return Thumbnail{}, errors.New("no route to " + j.Args.Name)
		})
	})
	for _, name := range []string{"a.jpg", "b.jpg", "c.jpg"} {
		handle, err := fetch.With(kit.Client).Enqueue(t.Context(), Photo{name}, jobs.ID(name))
		if err != nil {
			fmt.Println(err)
			return
		}
		kit.Wait(handle.ID)
	}

	query := jobs.Query{States: []jobs.State{jobs.StateFailed}, Kind: "photo.fetch", EndedSince: time.Now().Add(-time.Hour), Limit: 2}
	for {
		page, err := kit.Client.Jobs(t.Context(), query)
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, job := range page.Jobs {
			fmt.Println(job.ID, job.State, "at attempt", job.Attempt, "of", job.Attempts)
		}
		if query.After = page.Next; query.After == "" {
			break
		}
	}
	info, err := kit.Client.Get(t.Context(), "a.jpg")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, failure := range info.Failures {
		fmt.Println("attempt", failure.Attempt, "said", failure.Message)
	}
	// Output:
	// c.jpg failed at attempt 3 of 3
	// b.jpg failed at attempt 3 of 3
	// a.jpg failed at attempt 3 of 3
	// attempt 1 said no route to a.jpg
	// attempt 2 said no route to a.jpg
	// attempt 3 said no route to a.jpg
}

// Tonight at ten, by the clock that the job is judged by.
func ExampleNow() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	kit := jobstest.New(t)
	tidy := jobs.Define[string, int]("tidy")
	now := jobs.Now(t.Context(), kit.Client).UTC()
	ten := time.Date(now.Year(), now.Month(), now.Day(), 22, 0, 0, 0, time.UTC)
	if !ten.After(now) {
		ten = ten.AddDate(0, 0, 1)
	}
	h, err := tidy.With(kit.Client).Enqueue(t.Context(), "/tmp", jobs.ProcessAt(ten))
	fmt.Println(h.State, err)
	// Output: scheduled <nil>
}

// A program that is to be ready only with a clock that is right.
func ExampleClockSkew() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	kit := jobstest.New(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	watched := make(chan error)
	go func() { watched <- kit.Client.Watch(ctx) }() // a pool watches too
	ready := func() bool { return jobs.ClockSkew(kit.Client).Abs() < 30*time.Second }
	fmt.Println(ready())
	stop()
	fmt.Println(<-watched)
	// Output:
	// true
	// <nil>
}
