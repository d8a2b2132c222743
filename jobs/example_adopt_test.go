package jobs_test

import (
	"context"
	"fmt"

	"github.com/hibiken/asynq"

	"lastmile/internal/exampletest"
	"lastmile/jobs"
	"lastmile/jobs/jobstest"
	"lastmile/push"
)

// An application that is written for Asynq keeps its mux and its producers. Where
// a page should hear of a task, the producer binds it.
func ExamplePool_Adopt() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	kit := jobstest.New(t)

	mux := asynq.NewServeMux()
	mux.HandleFunc("mail:welcome", func(ctx context.Context, task *asynq.Task) error {
		jobs.FromContext(ctx).Progress(0.5, "half of it is written")
		_, err := fmt.Fprintf(task.ResultWriter(), `{"to":%q}`, task.Payload())
		return err
	})
	kit.Start(jobs.PoolConfig{}, func(pool *jobs.Pool) { pool.Adopt("mail", mux) })

	task := asynq.NewTask("mail:welcome", []byte("ann"), asynq.Queue("mail"), asynq.TaskID("welcome ann"))
	task = jobs.Bind(task, kit.Session("s"), jobs.OnDone("Welcomed"))
	if _, err := asynq.NewClientFromRedisClient(kit.Redis).Enqueue(task); err != nil {
		fmt.Println(err)
		return
	}
	info := kit.Wait("welcome ann")
	fmt.Println(info.State, string(info.Result), info.Message)
	for _, event := range kit.Events("s") {
		fmt.Println(event.Action)
	}
	// Output:
	// completed {"to":"ann"} half of it is written
	// Welcomed
}

// page stands for the context of a live page's action.
type page struct {
	context.Context
	session push.Session
}

func (p page) Session() push.Session { return p.session }

// What enqueues may be called from a page, which hears of the task then, or from
// elsewhere.
func ExampleBind() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	kit := jobstest.New(t)

	resize := func(ctx context.Context) *asynq.Task {
		return jobs.Bind(asynq.NewTask("image:resize", nil), jobs.SessionOf(ctx), jobs.OnDone("Resized"))
	}
	fmt.Println(len(resize(page{t.Context(), kit.Session("s")}).Headers()))
	fmt.Println(len(resize(t.Context()).Headers()))
	// Output:
	// 1
	// 0
}
