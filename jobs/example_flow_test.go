package jobs_test

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"fmt"

	"lastmile/internal/exampletest"
	"lastmile/jobs"
	"lastmile/jobs/jobstest"
)

// Steps follow one another, each when the one before it has completed.
func ExampleThen() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	kit := jobstest.New(t)
	publish := jobs.Define[string, string]("photo.publish")
	kit.Start(quickly, func(pool *jobs.Pool) {
		Resize.Handle(pool, func(context.Context, *jobs.Job[Photo]) (Thumbnail, error) {
			fmt.Println("resize")
			return Thumbnail{}, nil
		})
		publish.Handle(pool, func(_ context.Context, j *jobs.Job[string]) (string, error) {
			fmt.Println("publish to the", j.Args)
			return "", nil
		})
	})
	handle, err := Resize.With(kit.Client).Enqueue(t.Context(), Photo{"cat.jpg"}, jobs.ID("album"),
		jobs.Then(publish.Step("album"), publish.Step("newsletter")))
	if err != nil {
		fmt.Println(err)
		return
	}
	kit.Wait(handle.ID)
	fmt.Println(kit.Wait("album+2").State)
	// Output:
	// resize
	// publish to the album
	// publish to the newsletter
	// completed
}

// A last step runs once all steps of a batch have ended, however they ended.
func ExampleClient_Batch() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	kit := jobstest.New(t)
	summary := jobs.Define[string, int]("album.summary")
	worker := kit.Start(quickly, func(pool *jobs.Pool) {
		Resize.Handle(pool, func(_ context.Context, j *jobs.Job[Photo]) (Thumbnail, error) {
			if j.Args.Name == "notes.txt" {
				return Thumbnail{}, jobs.Discard(errors.New("not a photo"))
			}
			return Thumbnail{}, nil
		})
		summary.Handle(pool, func(ctx context.Context, j *jobs.Job[string]) (int, error) {
			members, err := pool.Client().BatchOf(ctx, j.Args)
			for _, m := range members {
				fmt.Println(m.State)
			}
			return len(members), err
		})
	})
	err := kit.Client.Batch(t.Context(), "album", []jobs.Step{
		Resize.Step(Photo{"cat.jpg"}), Resize.Step(Photo{"notes.txt"}), Resize.Step(Photo{"dog.jpg"}),
	}, summary.Step("album"))
	kit.Drain()
	fmt.Println(err, worker.Stop())
	// Output:
	// completed
	// failed
	// completed
	// <nil> <nil>
}

// A job is cancelled in whatever state it is. A handler's context ends.
func ExampleClient_Cancel() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	kit := jobstest.New(t)
	why := make(chan error, 1)
	kit.Start(quickly, func(pool *jobs.Pool) {
		Resize.Handle(pool, func(ctx context.Context, _ *jobs.Job[Photo]) (Thumbnail, error) {
			<-ctx.Done()
			why <- context.Cause(ctx)
			return Thumbnail{}, ctx.Err()
		})
	})
	handle, err := Resize.With(kit.Client).Enqueue(t.Context(), Photo{"cat.jpg"},
		jobs.Notify(kit.Session("s"), jobs.On("Started", jobs.StateRunning), jobs.On("Cancelled", jobs.StateCancelled)))
	if err != nil {
		fmt.Println(err)
		return
	}
	kit.WaitState(handle.ID, jobs.StateRunning)
	fmt.Println(kit.Client.Cancel(t.Context(), handle.ID))
	fmt.Println(errors.Is(<-why, jobs.ErrCancelled))
	fmt.Println(kit.Wait(handle.ID).State)
	fmt.Println(errors.Is(kit.Client.Cancel(t.Context(), "unknown"), jobs.ErrNotFound))
	// Output:
	// <nil>
	// true
	// cancelled
	// true
}

// A job that is over can be run again, with the same arguments.
func ExampleClient_Retry() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	kit := jobstest.New(t)
	kit.Start(quickly, func(pool *jobs.Pool) {
		Resize.Handle(pool, func(_ context.Context, j *jobs.Job[Photo]) (Thumbnail, error) {
			if j.Gen == 1 {
				return Thumbnail{}, jobs.Discard(errors.New("the disk is full"))
			}
			return Thumbnail{}, nil
		})
	})
	handle, err := Resize.With(kit.Client).Enqueue(t.Context(), Photo{"cat.jpg"}, jobs.Notify(kit.Session("s"), jobs.OnDone("Resized")))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(kit.Wait(handle.ID).State)
	if err := kit.Client.Retry(t.Context(), handle.ID); err != nil {
		fmt.Println(err)
		return
	}
	again := kit.WaitState(handle.ID, jobs.StateCompleted)
	fmt.Println(again.State, again.Gen)
	// Output:
	// failed
	// completed 2
}

// Middleware sees every job on its way into the queue.
func ExampleMiddleware() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	refuse := func(next func(context.Context, *jobs.Work) (jobs.Handle, error)) func(context.Context, *jobs.Work) (jobs.Handle, error) {
		return func(ctx context.Context, w *jobs.Work) (jobs.Handle, error) {
			if len(w.Args) > 100 {
				return jobs.Handle{}, fmt.Errorf("%w: %d bytes of arguments", jobs.ErrInvalid, len(w.Args))
			}
			return next(ctx, w)
		}
	}
	kit := jobstest.New(t, refuse) // in a program: ClientConfig.Middleware

	_, err := Resize.With(kit.Client).Enqueue(t.Context(), Photo{fmt.Sprintf("%0100d.jpg", 7)})
	fmt.Println(errors.Is(err, jobs.ErrInvalid))
	// Output: true
}

// Arguments need not be JSON: here they are gob.
func ExampleCodecs() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	kit := jobstest.New(t)
	binary := jobs.Codec{
		Name: "gob/1",
		Encode: func(v any) ([]byte, error) {
			var b bytes.Buffer
			err := gob.NewEncoder(&b).Encode(v)
			return b.Bytes(), err
		},
		Decode: func(data []byte, v any) error { return gob.NewDecoder(bytes.NewReader(data)).Decode(v) },
	}
	scan := jobs.Define[Photo, Thumbnail]("photo.scan", jobs.Codecs(binary))
	kit.Start(quickly, func(pool *jobs.Pool) { scan.Handle(pool, resize) })

	handle, err := scan.With(kit.Client).Enqueue(t.Context(), Photo{"cat.jpg"})
	if err != nil {
		fmt.Println(err)
		return
	}
	result, err := scan.Result(kit.Wait(handle.ID))
	fmt.Println(result.Width, err)
	// Output: 70 <nil>
}
