package outbox_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"lastmile/internal/exampletest"
	"lastmile/jobs"
	"lastmile/jobs/jobstest"
	"lastmile/jobs/outbox"
)

// table stands for a table of the application's database.
type table struct {
	mu   sync.Mutex
	rows []outbox.Job
}

func (o *table) Pending(_ context.Context, limit int) ([]outbox.Job, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.rows[:min(limit, len(o.rows))]), nil
}

func (o *table) Delete(_ context.Context, ids []string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.rows = slices.DeleteFunc(o.rows, func(j outbox.Job) bool { return slices.Contains(ids, j.ID) })
	return nil
}

func (o *table) empty() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.rows) == 0
}

// The row is written in the transaction that makes the job necessary; Relay
// enqueues it afterwards, once.
func ExampleRelay() {
	t := exampletest.New() // in a test, t is its *testing.T
	defer t.End()
	kit := jobstest.New(t)
	welcome := jobs.Define[string, string]("mail.welcome")
	signups := &table{rows: []outbox.Job{{ID: "welcome:ann", Step: welcome.Step("ann@example.org")}}}

	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- outbox.Relay(ctx, kit.Client, signups, 10*time.Millisecond, nil) }()
	kit.Until("the row has gone", signups.empty)
	stop()
	fmt.Println(<-done)

	info, err := kit.Client.Get(t.Context(), "welcome:ann")
	fmt.Println(info.Kind, info.State, err)
	// Output:
	// <nil>
	// mail.welcome queued <nil>
}
