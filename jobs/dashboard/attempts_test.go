package dashboard_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/jobs"
	"lastmile/jobs/dashboard"
	"lastmile/jobs/jobstest"
)

// TestConsoleTellsAttempts: what is shown of a task is the job's count, whether it
// had a record from its beginning or not, and snoozes are no attempts.
func TestConsoleTellsAttempts(t *testing.T) {
	t.Parallel()
	for name, opt := range map[string]func(k *jobstest.Kit) jobs.Option{
		"with a session": func(k *jobstest.Kit) jobs.Option { return jobs.Notify(k.Session("s"), jobs.OnFailed("Failed")) },
		"plain":          func(*jobstest.Kit) jobs.Option { return jobs.Retention(time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				k := jobstest.New(t)
				h, err := dashboard.New(k.Redis, k.Client, dashboard.Config{LoopbackDev: true})
				if err != nil {
					t.Fatal(err)
				}
				kind := jobs.Define[string, string]("test.work", jobs.MaxRetry(2), jobs.RetryBackoff(time.Second, time.Second))
				runs := 0
				k.Start(jobs.PoolConfig{}, func(p *jobs.Pool) {
					kind.Handle(p, func(context.Context, *jobs.Job[string]) (string, error) {
						if runs++; runs%2 == 1 {
							return "", jobs.Snooze(time.Second)
						}
						return "", errors.New("disk full")
					})
				})
				job, err := kind.With(k.Client).Enqueue(t.Context(), "x", opt(k))
				if err != nil {
					t.Fatal(err)
				}
				k.Wait(job.ID)
				k.Until("Asynq to archive it", func() bool {
					i, err := k.Inspector().GetTaskInfo("lm.default", job.ID)
					return err == nil && i.State.String() == "archived"
				})
				for _, path := range []string{"archived_tasks", "tasks/" + job.ID} {
					body := serve(h, request("GET", "/admin/asynq/api/queues/lm.default/"+path, nil)).body
					for _, want := range []string{`"retried":2`, `"max_retry":2`, `attempt 3 of 3: disk full`} {
						if !strings.Contains(body, want) {
							t.Errorf("%s lacks %s: %s", path, want, body)
						}
					}
				}
			})
		})
	}
}
