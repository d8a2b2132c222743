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

// Order is what ExampleDo works on.
type Order struct{ Number int }

// A handler that charges, then ships. The first attempt dies behind the charge: the
// second gets the receipt that is stored, and charges nobody.
func ExampleDo() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	kit := jobstest.New(t)
	place := jobs.Define[Order, string]("order.place", jobs.RetryBackoff(time.Millisecond, time.Second))
	kit.Start(quickly, func(pool *jobs.Pool) {
		place.Handle(pool, func(ctx context.Context, j *jobs.Job[Order]) (string, error) {
			receipt, err := jobs.Do(ctx, "charge", func(ctx context.Context) (string, error) {
				fmt.Println("charging, with", jobs.StepID(ctx), "as the idempotency key")
				return "receipt 7", nil
			})
			if err != nil {
				return "", err
			}
			if j.Attempt == 1 {
				return "", errors.New("the carrier does not answer")
			}
			return receipt, nil
		})
	})
	handle, err := place.With(kit.Client).Enqueue(t.Context(), Order{7}, jobs.ID("order-7"))
	if err != nil {
		fmt.Println(err)
		return
	}
	info := kit.Wait(handle.ID)
	fmt.Println(info.State, "at attempt", info.Attempt, string(info.Result))

	steps, err := jobs.DoneSteps(t.Context(), kit.Client, handle.ID)
	fmt.Println(len(steps), steps[0].Name, string(steps[0].Result), err)
	// Output:
	// charging, with order-7.1.charge as the idempotency key
	// completed at attempt 2 "receipt 7"
	// 1 charge "receipt 7" <nil>
}

// A card that is declined stays declined: the error is what the step came to.
func ExampleFinal() {
	declined := jobs.Final(jobs.UserError("declined", "The card was declined."))
	fmt.Println(declined)
	// Output: The card was declined.
}

// The step was called "charge" when some jobs began that are still open.
func ExampleRenamed() {
	pay := func(ctx context.Context, charge func(context.Context) (string, error)) (string, error) {
		return jobs.Do(ctx, "pay", charge, jobs.Renamed("charge"))
	}
	_, err := pay(context.Background(), nil)
	fmt.Println(errors.Is(err, jobs.ErrInvalid)) // here is no job
	// Output: true
}

// Steps that run side by side have no order.
func ExampleUnordered() {
	part := func(ctx context.Context, name string, fetch func(context.Context) (int, error)) (int, error) {
		return jobs.Do(ctx, "fetch "+name, fetch, jobs.Unordered())
	}
	_, err := part(context.Background(), "north", nil)
	fmt.Println(errors.Is(err, jobs.ErrInvalid)) // here is no job
	// Output: true
}

// Each match is pushed into the page once, in order, whatever happens to the worker.
func ExampleEmit() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	kit := jobstest.New(t)
	search := jobs.Define[Order, int]("order.search", jobs.RetryBackoff(time.Millisecond, time.Second))
	kit.Start(quickly, func(pool *jobs.Pool) {
		search.Handle(pool, func(ctx context.Context, j *jobs.Job[Order]) (int, error) {
			for i := range 3 {
				if err := jobs.Emit(ctx, "Found", map[string]int{"number": i}); err != nil {
					return 0, err
				}
				if j.Attempt == 1 && i == 1 {
					return 0, errors.New("interrupted")
				}
			}
			return 3, nil
		})
	})
	handle, err := search.With(kit.Client).Enqueue(t.Context(), Order{7}, jobs.Notify(kit.Session("s"), jobs.OnDone("Done")))
	if err != nil {
		fmt.Println(err)
		return
	}
	kit.Wait(handle.ID)
	kit.Drain()
	for _, p := range kit.Events("s")[:3] {
		fmt.Println(p.Action, string(p.Data))
	}
	// Output:
	// Found {"number":0}
	// Found {"number":1}
	// Found {"number":2}
}
