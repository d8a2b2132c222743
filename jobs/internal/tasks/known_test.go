package tasks_test

import (
	"testing"

	"go.uber.org/goleak"

	"lastmile/jobs/internal/tasks"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestPinnedAsynqIsKnown fails when another version of Asynq is pinned whose
// scripts differ: read them beside ours before their sums are changed here.
func TestPinnedAsynqIsKnown(t *testing.T) {
	t.Parallel()
	k := tasks.Probe()
	if unknown := k.Unknown(); len(unknown) > 0 || !k.Enqueue || !k.Dequeue || !k.Done {
		t.Errorf("unknown: %q", unknown)
	}
	got := []string{
		k.Names.Queues(), k.Names.Task("q", "id"), k.Names.Active("q"), k.Names.Lease("q"), k.Names.Archived("q"),
	}
	want := []string{"asynq:queues", "asynq:{q}:t:id", "asynq:{q}:active", "asynq:{q}:lease", "asynq:{q}:archived"}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("key %q, want %q", got[i], want[i])
		}
	}
}
