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

// quickly makes delayed jobs and retries come without delay.
var quickly = jobs.PoolConfig{DelayedInterval: 10 * time.Millisecond}

// A definition has a name, which is stored with each job, and the defaults of
// its jobs. What is wrong with it is told when it is used.
func ExampleDefine() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	kit := jobstest.New(t)

	report := jobs.Define[Photo, Thumbnail]("photo.report",
		jobs.MaxRetry(5), jobs.Timeout(10*time.Minute), jobs.Retention(7*24*time.Hour), jobs.Queue("slow"))
	handle, err := report.With(kit.Client).Enqueue(t.Context(), Photo{"cat.jpg"})
	fmt.Println(handle.State, err)

	nameless := jobs.Define[Photo, Thumbnail]("no spaces")
	_, err = nameless.With(kit.Client).Enqueue(t.Context(), Photo{"cat.jpg"})
	fmt.Println(errors.Is(err, jobs.ErrInvalid))
	// Output:
	// queued <nil>
	// true
}

// A handler gets typed arguments and returns a typed result.
func ExampleKind_Handle() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	kit := jobstest.New(t)

	kit.Start(quickly, func(pool *jobs.Pool) {
		Resize.Handle(pool, func(_ context.Context, j *jobs.Job[Photo]) (Thumbnail, error) {
			return Thumbnail{Width: len(j.Args.Name)}, nil
		})
	})
	handle, err := Resize.With(kit.Client).Enqueue(t.Context(), Photo{"cat.jpg"})
	if err != nil {
		fmt.Println(err)
		return
	}
	result, err := Resize.Result(kit.Wait(handle.ID))
	fmt.Println(result.Width, err)
	// Output: 7 <nil>
}

// With an ID of the caller's an Enqueue may be repeated.
func ExampleKind_Enqueue() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	kit := jobstest.New(t)

	client := Resize.With(kit.Client)
	for range 2 {
		handle, err := client.Enqueue(t.Context(), Photo{"cat.jpg"}, jobs.ID("resize:cat.jpg"))
		fmt.Println(handle.ID, handle.Existing, err)
	}
	// Output:
	// resize:cat.jpg false <nil>
	// resize:cat.jpg true <nil>
}

// The session's pages run an action for each bound event.
func ExampleNotify() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	kit := jobstest.New(t)
	kit.Start(quickly, func(pool *jobs.Pool) { Resize.Handle(pool, resize) })

	session := kit.Session("a visitor's") // in an action: ctx.Session()
	handle, err := Resize.With(kit.Client).Enqueue(t.Context(), Photo{"cat.jpg"}, jobs.Notify(session,
		jobs.OnDone("Resized"), jobs.OnFailed("NotResized"), jobs.On("Waiting", jobs.StateQueued)))
	if err != nil {
		fmt.Println(err)
		return
	}
	kit.Wait(handle.ID)
	for _, event := range kit.Events(session.ID()) {
		fmt.Println(event.Action, event.Event.State)
	}
	// Output:
	// Waiting queued
	// Resized completed
}

// An action reads the event, and the result beside it.
func ExampleEventOf() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	kit := jobstest.New(t)
	kit.Start(quickly, func(pool *jobs.Pool) { Resize.Handle(pool, resize) })
	handle, err := Resize.With(kit.Client).Enqueue(t.Context(), Photo{"cat.jpg"}, jobs.Notify(kit.Session("s"), jobs.OnDone("Resized")))
	if err != nil {
		fmt.Println(err)
		return
	}
	kit.Wait(handle.ID)

	ctx := kit.Events("s")[0] // in a page: the action's *live.Context
	event, err := jobs.EventOf(ctx)
	fmt.Println(event.Kind, event.State, err)
	var result Thumbnail
	err = ctx.Bind(&result)
	fmt.Println(result.Width, err)
	// Output:
	// photo.resize completed <nil>
	// 70 <nil>
}

// The latest progress reaches the page.
func ExampleJob_Progress() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	kit := jobstest.New(t)
	shown := make(chan struct{})
	kit.Start(quickly, func(pool *jobs.Pool) {
		Resize.Handle(pool, func(ctx context.Context, j *jobs.Job[Photo]) (Thumbnail, error) {
			j.Progress(0.5, "half of the rows")
			select { // the rest of the work
			case <-shown:
			case <-ctx.Done():
			}
			return Thumbnail{}, nil
		})
	})
	handle, err := Resize.With(kit.Client).Enqueue(t.Context(), Photo{"cat.jpg"}, jobs.Notify(kit.Session("s"), jobs.OnProgress("Resizing")))
	if err != nil {
		fmt.Println(err)
		return
	}
	kit.Until("progress is shown", func() bool { return len(kit.Events("s")) > 0 })
	close(shown)
	kit.Wait(handle.ID)
	event := kit.Events("s")[0]
	fmt.Println(event.Action, event.Event.Fraction, event.Event.Message)
	// Output: Resizing 0.5 half of the rows
}

// A page lists the jobs of its session, also after a reload.
func ExampleForSession() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	kit := jobstest.New(t)
	session := kit.Session("a visitor's")
	if _, err := Resize.With(kit.Client).Enqueue(t.Context(), Photo{"cat.jpg"}, jobs.Notify(session)); err != nil {
		fmt.Println(err)
		return
	}
	infos, err := jobs.ForSession(t.Context(), kit.Client, session)
	for _, info := range infos {
		photo, err := Resize.Args(info)
		fmt.Println(info.Kind, photo.Name, info.State, err)
	}
	fmt.Println(err)
	// Output:
	// photo.resize cat.jpg queued <nil>
	// <nil>
}
