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

// An order that somebody has to approve. While nobody has, the job holds no worker; the
// page that asked for it is told, and any process may answer.
func ExampleWait() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	kit := jobstest.New(t)
	place := jobs.Define[Order, string]("order.approved")
	kit.Start(quickly, func(pool *jobs.Pool) {
		place.Handle(pool, func(ctx context.Context, _ *jobs.Job[Order]) (string, error) {
			yes, err := jobs.Wait[bool](ctx, "approve", 48*time.Hour)
			switch {
			case errors.Is(err, jobs.ErrTimedOut):
				return "nobody looked at it", nil
			case err != nil:
				return "", err // also that it waits
			case yes:
				return "shipped", nil
			}
			return "refused", nil
		})
	})
	handle, err := place.With(kit.Client).Enqueue(t.Context(), Order{7}, jobs.Notify(kit.Session("s"), jobs.OnDone("Done"), jobs.OnWaiting("Asked")))
	if err != nil {
		fmt.Println(err)
		return
	}
	info := kit.WaitState(handle.ID, jobs.StateScheduled)
	fmt.Println("it waits for", info.WaitsFor)

	// In a page's action, say, that has asked who may approve:
	err = jobs.Answer(t.Context(), kit.Client, handle.ID, "approve", true, jobs.AnsweredBy("alice"))
	fmt.Println(err, string(kit.Wait(handle.ID).Result))

	waits, err := jobs.Waits(t.Context(), kit.Client, handle.ID)
	fmt.Println(waits[0].Name, string(waits[0].Answer), "by", waits[0].By, err)
	// Output:
	// it waits for answer approve
	// <nil> "shipped"
	// approve true by alice <nil>
}

// The first answer is the answer.
func ExampleAnswer() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	kit := jobstest.New(t)
	place := jobs.Define[Order, bool]("order.approved")
	kit.Start(quickly, func(pool *jobs.Pool) {
		place.Handle(pool, func(ctx context.Context, _ *jobs.Job[Order]) (bool, error) {
			return jobs.Wait[bool](ctx, "approve", time.Hour)
		})
	})
	handle, err := place.With(kit.Client).Enqueue(t.Context(), Order{7}, jobs.ID("order-7"))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, answer := range []bool{true, true, false} {
		err := jobs.Answer(t.Context(), kit.Client, handle.ID, "approve", answer)
		fmt.Println(answer, err)
	}
	err = jobs.Answer(t.Context(), kit.Client, "order-8", "approve", true)
	fmt.Println(errors.Is(err, jobs.ErrNotFound))
	// Output:
	// true <nil>
	// true <nil>
	// false jobs: answer "approve" of job "order-7": jobs: it has been answered otherwise
	// true
}

// A reminder two days later, without a worker that waits for it.
func ExampleSleep() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	kit := jobstest.New(t)
	remind := jobs.Define[Order, string]("order.remind")
	kit.Start(quickly, func(pool *jobs.Pool) {
		remind.Handle(pool, func(ctx context.Context, _ *jobs.Job[Order]) (string, error) {
			if err := jobs.Sleep(ctx, "before the reminder", 20*time.Millisecond); err != nil { // 48*time.Hour
				return "", err
			}
			return "reminded", nil
		})
	})
	handle, err := remind.With(kit.Client).Enqueue(t.Context(), Order{7})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(string(kit.Wait(handle.ID).Result))
	// Output: "reminded"
}

// An operator does not wait for tomorrow.
func ExampleRunNow() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	kit := jobstest.New(t)
	report := jobs.Define[Order, string]("order.report")
	kit.Start(quickly, func(pool *jobs.Pool) {
		report.Handle(pool, func(context.Context, *jobs.Job[Order]) (string, error) { return "here it is", nil })
	})
	handle, err := report.With(kit.Client).Enqueue(t.Context(), Order{7}, jobs.ProcessIn(24*time.Hour))
	if err != nil {
		fmt.Println(err)
		return
	}
	err = jobs.RunNow(t.Context(), kit.Client, handle.ID)
	fmt.Println(err, string(kit.Wait(handle.ID).Result))
	// Output: <nil> "here it is"
}
