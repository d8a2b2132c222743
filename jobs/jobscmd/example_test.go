package jobscmd_test

import (
	"context"
	"errors"
	"fmt"

	"lastmile/internal/exampletest"
	"lastmile/jobs"
	"lastmile/jobs/jobscmd"
	"lastmile/jobs/jobstest"
)

// Photo is what the examples' work is about, Thumbnail its result.
type (
	Photo     struct{ Name string }
	Thumbnail struct{ Width int }
)

// Validate refuses a photo without a name.
func (p *Photo) Validate() error {
	if p.Name == "" {
		return errors.New("the photo has no name")
	}
	return nil
}

// Resize is a kind of work of the program's own.
var Resize = jobs.Define[Photo, Thumbnail]("photo.resize", jobs.MaxRetry(0))

// A program has the commands for its own kinds: "enqueue photo.resize ...".
func ExampleRun() {
	t := exampletest.New() // in a program, the client is the program's
	defer t.End()
	kit := jobstest.New(t)
	run := func(args ...string) {
		err := jobscmd.Run(t.Context(), args, jobscmd.Config{Client: kit.Client, Kinds: []jobscmd.Kind{jobscmd.Of(Resize)}})
		if errors.Is(err, jobscmd.ErrUsage) {
			fmt.Println(err) // and exit with 2
		}
	}
	kit.Start(jobs.PoolConfig{}, func(p *jobs.Pool) {
		Resize.Handle(p, func(context.Context, *jobs.Job[Photo]) (Thumbnail, error) {
			return Thumbnail{}, errors.New("no such photo")
		})
	})
	run("enqueue", "photo.resize", `{"Name":"cat.jpg"}`, "--id=cat")
	run("enqueue", "photo.resize", `{}`)
	run("enqueue", "photo.crop", `{}`)
	kit.Wait("cat")
	run("jobs", "retry", "--where", "state=failed", "--kind=photo.resize")
	run("jobs", "cancel")
	// Output:
	// enqueued cat
	// bad command: ARGS: arguments of photo.resize: the photo has no name
	// bad command: KIND=photo.crop: must be one of photo.resize
	// 1 retried, 0 left as they were, 0 refused
	// bad command: ID: must be given, or which jobs; --all for all
}
