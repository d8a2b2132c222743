package outbox_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"lastmile/jobs"
	"lastmile/jobs/jobstest"
	"lastmile/jobs/outbox"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sqlOutbox is outbox.Table over database/sql; its table is
//
//	CREATE TABLE outbox (seq BIGSERIAL PRIMARY KEY, id TEXT UNIQUE, step TEXT)
type sqlOutbox struct{ db *sql.DB }

// Add puts a job into the outbox, in the transaction that makes it necessary.
func (o sqlOutbox) Add(ctx context.Context, tx *sql.Tx, job outbox.Job) error {
	step, err := json.Marshal(job.Step)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO outbox (id, step) VALUES (?, ?)", job.ID, string(step))
	return err
}

// Pending implements outbox.Table.
func (o sqlOutbox) Pending(ctx context.Context, limit int) (out []outbox.Job, err error) {
	rows, err := o.db.QueryContext(ctx, "SELECT id, step FROM outbox ORDER BY seq LIMIT ?", limit)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var job outbox.Job
		var step []byte
		if err := rows.Scan(&job.ID, &step); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(step, &job.Step); err != nil {
			return nil, err
		}
		out = append(out, job)
	}
	return out, rows.Err()
}

// Delete implements outbox.Table.
func (o sqlOutbox) Delete(ctx context.Context, ids []string) error {
	for _, id := range ids {
		if _, err := o.db.ExecContext(ctx, "DELETE FROM outbox WHERE id = ?", id); err != nil {
			return err
		}
	}
	return nil
}

var _ outbox.Table = sqlOutbox{}

func TestOutbox(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := jobstest.New(t)
		kind := jobs.Define[string, int]("test.order")
		var ran atomic.Int32
		k.Start(jobs.PoolConfig{}, func(p *jobs.Pool) {
			kind.Handle(p, func(context.Context, *jobs.Job[string]) (int, error) { return int(ran.Add(1)), nil })
		})
		table := new(memoryTable)
		db := sql.OpenDB(table)
		defer func() { _ = db.Close() }()
		box := sqlOutbox{db}
		order := func(id string, commit bool) {
			t.Helper()
			tx, err := db.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := box.Add(t.Context(), tx, outbox.Job{ID: id, Step: kind.Step(id, jobs.Notify(k.Session("s"), jobs.OnDone("Done")))}); err != nil {
				t.Fatal(err)
			}
			if commit {
				err = tx.Commit()
			} else {
				err = tx.Rollback()
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		order("order-1", true)
		order("order-2", false)
		table.failDeletes(2) // as if the relay died after the enqueue

		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 2 { // relays on two nodes
			wg.Go(func() {
				if err := outbox.Relay(ctx, k.Client, box, time.Second, nil); err != nil {
					t.Errorf("Relay = %v", err)
				}
			})
		}
		k.WaitState("order-1", jobs.StateCompleted)
		k.Until("the outbox is empty", func() bool { return table.len() == 0 })
		stop()
		wg.Wait()
		k.Wait("order-1")
		if n := len(k.Terminal("s", "order-1")); n != 1 || ran.Load() != 1 {
			t.Errorf("%d ends, %d runs, want one of each", n, ran.Load())
		}
		if _, err := k.Client.Get(t.Context(), "order-2"); !errors.Is(err, jobs.ErrNotFound) {
			t.Errorf("the job of a transaction that was rolled back: %v", err)
		}
	})
}

// A row that can never be enqueued does not hold up those behind it, and stays
// for somebody to look at.
func TestRowThatIsRefusedForGood(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := jobstest.New(t)
		kind := jobs.Define[string, int]("test.order")
		k.Start(jobs.PoolConfig{}, func(p *jobs.Pool) {
			kind.Handle(p, func(context.Context, *jobs.Job[string]) (int, error) { return 1, nil })
		})
		table := new(memoryTable)
		db := sql.OpenDB(table)
		defer func() { _ = db.Close() }()
		box := sqlOutbox{db}
		tx, err := db.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range []string{"bad~id", "good"} {
			if err := box.Add(t.Context(), tx, outbox.Job{ID: id, Step: kind.Step(id)}); err != nil {
				t.Fatal(err)
			}
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		if err := outbox.Relay(ctx, k.Client, box, time.Second, nil); err != nil {
			t.Errorf("Relay = %v", err)
		}
		if info, err := k.Client.Get(t.Context(), "good"); err != nil || info.State != jobs.StateCompleted {
			t.Errorf("the row behind is %+v, %v, want completed", info, err)
		}
		if n := table.len(); n != 1 {
			t.Errorf("%d rows are left, want the bad one", n)
		}
	})
}
