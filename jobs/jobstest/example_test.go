package jobstest_test

import (
	"context"
	"fmt"
	"time"

	"lastmile/internal/exampletest"
	"lastmile/jobs"
	"lastmile/jobs/jobstest"
)

// Greet is the work under test.
var Greet = jobs.Define[string, string]("greet")

func greet(_ context.Context, j *jobs.Job[string]) (string, error) {
	if j.Args == "" {
		return "", jobs.Discard(jobs.UserError("nobody", "greet whom?"))
	}
	return "hello " + j.Args, nil
}

// The whole way: a page's session asks, a worker works, the session is told.
// In a testing/synctest bubble the waits between retries cost no time.
func ExampleNew() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	kit := jobstest.New(t)
	kit.Start(jobs.PoolConfig{}, func(pool *jobs.Pool) { Greet.Handle(pool, greet) })

	handle, err := Greet.With(kit.Client).Enqueue(t.Context(), "ann", jobs.Notify(kit.Session("s"), jobs.On("Greeted", jobs.StateCompleted)))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(kit.Wait(handle.ID).State)
	for _, event := range kit.Events("s") {
		fmt.Println(event.Action, string(event.Data) != "")
	}
	// Output:
	// completed
	// Greeted true
}

// One handler is run for real, with one set of arguments.
func ExampleWork() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	kit := jobstest.New(t)

	fmt.Println(jobstest.Work(kit, Greet, greet, "ann"))
	_, err := jobstest.Work(kit, Greet, greet, "")
	fmt.Println(err)
	// Output:
	// hello ann <nil>
	// job failed: greet whom?
}

// Code that enqueues is tested without a worker.
func ExampleRequireEnqueued() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	kit := jobstest.New(t)

	// The code under test:
	if _, err := Greet.With(kit.Client).Enqueue(t.Context(), "ann", jobs.Notify(kit.Session("s"))); err != nil {
		fmt.Println(err)
	}

	info := jobstest.RequireEnqueued(kit, Greet, "s", func(name string) bool { return name == "ann" })
	fmt.Println(info.State)
	// Output: queued
}

// Enqueue returns only when the job has ended.
func ExampleInline() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	inline := new(jobstest.Inline)
	kit := jobstest.New(t, inline.Middleware)
	inline.Use(kit)
	kit.Start(jobs.PoolConfig{}, func(pool *jobs.Pool) { Greet.Handle(pool, greet) })

	handle, err := Greet.With(kit.Client).Enqueue(t.Context(), "ann")
	fmt.Println(handle.State, err)
	// Output: completed <nil>
}

// A worker that is cut off for less than its lease keeps its jobs.
func ExampleWorker_Cut() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	kit := jobstest.New(t)
	began, goOn := make(chan struct{}), make(chan struct{})
	worker := kit.Start(jobs.PoolConfig{}, func(pool *jobs.Pool) {
		Greet.Handle(pool, func(ctx context.Context, j *jobs.Job[string]) (string, error) {
			began <- struct{}{}
			<-goOn
			return greet(ctx, j)
		})
	})

	handle, err := Greet.With(kit.Client).Enqueue(t.Context(), "ann")
	if err != nil {
		fmt.Println(err)
		return
	}
	<-began
	worker.Cut(100 * time.Millisecond)
	close(goOn)
	info := kit.Wait(handle.ID)
	fmt.Println(info.State, info.Attempt)
	// Output: completed 1
}
