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

// A handler that fails is tried again, with growing waits.
func ExampleRetryBackoff() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	kit := jobstest.New(t)

	fetch := jobs.Define[Photo, Thumbnail]("photo.fetch", jobs.MaxRetry(4), jobs.RetryBackoff(10*time.Millisecond, time.Second))
	kit.Start(quickly, func(pool *jobs.Pool) {
		fetch.Handle(pool, func(_ context.Context, j *jobs.Job[Photo]) (Thumbnail, error) {
			if j.Attempt < 3 {
				return Thumbnail{}, errors.New("the network is down")
			}
			return Thumbnail{}, nil
		})
	})
	handle, err := fetch.With(kit.Client).Enqueue(t.Context(), Photo{"cat.jpg"})
	if err != nil {
		fmt.Println(err)
		return
	}
	info := kit.Wait(handle.ID)
	fmt.Println(info.State, "at attempt", info.Attempt, "of", info.Attempts)
	// Output: completed at attempt 3 of 5
}

// A job that may be what its worker dies of: a decoder in C, say. After its first death
// alone it is not tried any more; an error of its handler is another matter.
func ExampleMaxDeaths() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	kit := jobstest.New(t)
	decode := jobs.Define[Photo, Thumbnail]("photo.decode", jobs.MaxRetry(4), jobs.MaxDeaths(1))
	kit.Start(quickly, func(pool *jobs.Pool) {
		decode.Handle(pool, func(context.Context, *jobs.Job[Photo]) (Thumbnail, error) { return Thumbnail{}, nil })
	})
	handle, err := decode.With(kit.Client).Enqueue(t.Context(), Photo{"cat.jpg"})
	if err != nil {
		fmt.Println(err)
		return
	}
	info := kit.Wait(handle.ID)
	fmt.Println(info.State, "after", info.Deaths, "deaths")
	// Output: completed after 0 deaths
}

// A failure that repeating cannot mend, in words for the user.
func ExampleDiscard() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	kit := jobstest.New(t)
	kit.Start(quickly, func(pool *jobs.Pool) {
		Resize.Handle(pool, func(context.Context, *jobs.Job[Photo]) (Thumbnail, error) {
			return Thumbnail{}, jobs.Discard(jobs.UserError("not-a-photo", "this is not a photo"))
		})
	})
	handle, err := Resize.With(kit.Client).Enqueue(t.Context(), Photo{"notes.txt"}, jobs.Notify(kit.Session("s"), jobs.OnFailed("NotResized")))
	if err != nil {
		fmt.Println(err)
		return
	}
	kit.Wait(handle.ID)
	event := kit.Events("s")[0]
	fmt.Println(event.Action, event.Event.Code, "-", event.Event.Error)
	// Output: NotResized not-a-photo - this is not a photo
}

// Work that has to wait for something is put off without using up an attempt.
func ExampleSnooze() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	kit := jobstest.New(t)
	var tries atomic.Int32
	kit.Start(quickly, func(pool *jobs.Pool) {
		Resize.Handle(pool, func(_ context.Context, _ *jobs.Job[Photo]) (Thumbnail, error) {
			if tries.Add(1) < 3 { // what it needs is not there yet
				return Thumbnail{}, jobs.Snooze(10 * time.Millisecond)
			}
			return Thumbnail{}, nil
		})
	})
	handle, err := Resize.With(kit.Client).Enqueue(t.Context(), Photo{"cat.jpg"}, jobs.MaxRetry(0))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(kit.Wait(handle.ID).State)
	// Output: completed
}

// Who asks for the same work while it is open gets the job that is there.
func ExampleUnique() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	kit := jobstest.New(t)

	tidy := jobs.Define[Photo, Thumbnail]("photo.tidy", jobs.Unique(time.Minute))
	first, err := tidy.With(kit.Client).Enqueue(t.Context(), Photo{"cat.jpg"})
	if err != nil {
		fmt.Println(err)
		return
	}
	second, err := tidy.With(kit.Client).Enqueue(t.Context(), Photo{"cat.jpg"})
	fmt.Println(second.ID == first.ID, second.Existing, err)
	other, err := tidy.With(kit.Client).Enqueue(t.Context(), Photo{"dog.jpg"})
	fmt.Println(other.ID == first.ID, other.Existing, err)
	// Output:
	// true true <nil>
	// false false <nil>
}

// Of one customer's jobs one runs at a time, over all workers.
func ExampleConcurrency() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	kit := jobstest.New(t)
	running := make(chan struct{}, 1)
	kit.Start(quickly, func(pool *jobs.Pool) {
		Resize.Handle(pool, func(context.Context, *jobs.Job[Photo]) (Thumbnail, error) {
			select {
			case running <- struct{}{}:
				defer func() { <-running }()
				return Thumbnail{}, nil
			default:
				return Thumbnail{}, jobs.Discard(errors.New("two at a time"))
			}
		})
	})
	for range 3 {
		if _, err := Resize.With(kit.Client).Enqueue(t.Context(), Photo{"cat.jpg"}, jobs.Concurrency("customer 7", 1), jobs.Notify(kit.Session("s"))); err != nil {
			fmt.Println(err)
		}
	}
	kit.Drain()
	infos, err := jobs.ForSession(t.Context(), kit.Client, kit.Session("s"))
	for _, info := range infos {
		fmt.Println(info.State)
	}
	fmt.Println(err)
	// Output:
	// completed
	// completed
	// completed
	// <nil>
}

// Of the jobs with one key two may start in an hour; others wait for their turn.
func ExampleRateLimit() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	kit := jobstest.New(t)
	kit.Start(quickly, func(pool *jobs.Pool) { Resize.Handle(pool, resize) })
	var last jobs.Handle
	for i := range 3 {
		handle, err := Resize.With(kit.Client).Enqueue(t.Context(), Photo{"cat.jpg"}, jobs.RateLimit("mail to ann", 2, time.Hour))
		if err != nil {
			fmt.Println(err)
			return
		}
		if last = handle; i < 2 {
			fmt.Println(kit.Wait(handle.ID).State)
		}
	}
	fmt.Println(kit.WaitState(last.ID, jobs.StateScheduled).State)
	// Output:
	// completed
	// completed
	// scheduled
}

// A job may start later.
func ExampleProcessIn() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	kit := jobstest.New(t)

	handle, err := Resize.With(kit.Client).Enqueue(t.Context(), Photo{"cat.jpg"}, jobs.ProcessIn(time.Hour))
	if err != nil {
		fmt.Println(err)
		return
	}
	info, err := kit.Client.Get(t.Context(), handle.ID)
	fmt.Println(info.State, info.NextAt.Sub(info.Created).Round(time.Minute), err)
	// Output: scheduled 1h0m0s <nil>
}

// A job may be made for a time.
func ExampleProcessAt() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	kit := jobstest.New(t)

	newYear := time.Date(time.Now().Year()+1, 1, 1, 0, 0, 0, 0, time.UTC)
	handle, err := Resize.With(kit.Client).Enqueue(t.Context(), Photo{"cat.jpg"}, jobs.ProcessAt(newYear))
	if err != nil {
		fmt.Println(err)
		return
	}
	info, err := kit.Client.Get(t.Context(), handle.ID)
	fmt.Println(info.State, info.NextAt.Equal(newYear), err)
	// Output: scheduled true <nil>
}
