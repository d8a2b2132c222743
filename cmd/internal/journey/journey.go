// Package journey is the job of the reference application's first page: it does
// nothing but take its time, and says where. The page shows what becomes of it,
// also while the process that has it is killed. Only cmd/web and cmd/worker use it.
package journey

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"time"

	"lastmile/jobs"
	"lastmile/push"
)

// Args say how long it takes.
type Args struct {
	Seconds int `json:"seconds"`
}

// MaxSeconds bounds it.
const MaxSeconds = 60

// Validate refuses what is out of bounds.
func (a *Args) Validate() error {
	if a.Seconds < 0 || a.Seconds > MaxSeconds {
		return fmt.Errorf("seconds is %d, want 0 to %d", a.Seconds, MaxSeconds)
	}
	return nil
}

// Result is what it came to.
type Result struct {
	// Worker is the process that did it.
	Worker string `json:"worker"`
	// Began and Ended are when its last run did, by that process's clock.
	Began time.Time `json:"began"`
	Ended time.Time `json:"ended"`
}

// Kind is the job.
//
//nolint:gochecknoglobals // a definition, never changed
var Kind = jobs.Define[Args, Result]("journey", jobs.MaxRetry(3), jobs.Timeout(5*time.Minute), jobs.Retention(time.Hour))

// Notify binds all that becomes of the job to one action of the page.
func Notify(s push.Session) jobs.Option { return jobs.Notify(s, Bindings()...) }

// Bindings are those of Notify.
func Bindings() []jobs.Binding {
	return []jobs.Binding{
		jobs.OnDone("Arrived"), jobs.OnFailed("Ended"), jobs.On("Ended", jobs.StateCancelled), jobs.OnProgress("Moved"),
		jobs.On("Moved", jobs.StateQueued, jobs.StateRunning, jobs.StateRetrying, jobs.StateStalled),
	}
}

// Handle registers the job. process names this process in what it says; without
// one it is called by its number.
func Handle(pool *jobs.Pool, process string) {
	process = cmp.Or(process, fmt.Sprintf("process %d", os.Getpid()))
	Kind.Handle(pool, func(ctx context.Context, j *jobs.Job[Args]) (Result, error) { return run(ctx, j, process) })
}

// steps is how often the job says how far it is.
const steps = 20

func run(ctx context.Context, j *jobs.Job[Args], process string) (Result, error) {
	r := Result{Worker: process, Began: time.Now()}
	tick := time.NewTicker(max(time.Duration(j.Args.Seconds)*time.Second/steps, time.Millisecond))
	defer tick.Stop()
	for i := range steps {
		j.Progress(float64(i)/steps, process)
		select {
		case <-ctx.Done():
			return Result{}, context.Cause(ctx)
		case <-tick.C:
		}
	}
	r.Ended = time.Now()
	return r, nil
}
