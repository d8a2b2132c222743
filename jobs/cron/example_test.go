package cron_test

import (
	"context"
	"fmt"
	"time"

	"lastmile/internal/exampletest"
	"lastmile/jobs"
	"lastmile/jobs/cron"
	"lastmile/jobs/jobstest"
)

// Any number of processes may run the same entries; each time is enqueued once.
func ExampleNew() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	kit := jobstest.New(t)
	report := jobs.Define[string, string]("report.daily")
	worker := kit.Start(jobs.PoolConfig{}, func(pool *jobs.Pool) {
		report.Handle(pool, func(_ context.Context, j *jobs.Job[string]) (string, error) {
			fmt.Println("a report for", j.Args)
			return "", nil
		})
	})

	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	for range 2 { // two processes
		times, err := cron.New(kit.Client, nil, cron.Entry{
			Name: "daily", Spec: "@daily", CatchUp: 24 * time.Hour, // a start makes up for the last one
			Step: report.Step("the boss", jobs.Notify(kit.Session("s"), jobs.On("Reported", jobs.StateCompleted)), jobs.Retention(48*time.Hour)),
		})
		if err != nil {
			fmt.Println(err)
			stop()
			return
		}
		go func() { done <- times.Run(ctx) }()
	}
	kit.Until("the report is made", func() bool { return len(kit.Events("s")) > 0 })
	stop()
	fmt.Println(<-done, <-done, worker.Stop())
	// Output:
	// a report for the boss
	// <nil> <nil> <nil>
}

// Operators see what runs when, have an entry run at once, and stop it for a
// while: worker cron does the same from the command line.
func ExampleList() {
	t := exampletest.New()
	defer t.End()
	kit := jobstest.New(t)
	tidy := jobs.Define[string, string]("disk.tidy")
	times, err := cron.New(kit.Client, nil, cron.Entry{Name: "tidy", Spec: "@yearly", Step: tidy.Step("/tmp")})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- times.Run(ctx) }()
	kit.Until("the entry is listed", func() bool {
		list, err := cron.List(ctx, kit.Client)
		return err == nil && len(list) == 1
	})

	fmt.Println("paused:", cron.Pause(ctx, kit.Client, "tidy"))
	handle, err := cron.RunNow(ctx, kit.Client, "tidy")
	fmt.Println("runs now:", handle.State, err)
	list, err := cron.List(ctx, kit.Client)
	fmt.Println(list[0].Name, list[0].Kind, list[0].Paused, err)
	fmt.Println("resumed:", cron.Resume(ctx, kit.Client, "tidy"))
	stop()
	fmt.Println(<-done)
	// Output:
	// paused: <nil>
	// runs now: queued <nil>
	// tidy disk.tidy true <nil>
	// resumed: <nil>
	// <nil>
}
