package jobs_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/jobs"
	"lastmile/jobs/jobstest"
)

type args struct {
	Name string `json:"name"`
}

type result struct {
	Size int `json:"size"`
}

var errBoom = errors.New("boom: secret detail")

// bubble runs f in fake time with a kit.
func bubble(t *testing.T, f func(t *testing.T, k *jobstest.Kit)) {
	t.Helper()
	inBubble(t, func(t *testing.T) {
		t.Helper()
		k := jobstest.New(t)
		f(t, k)
		checkIndex(t, k)
	})
}

// checkIndex finds each record in the index, as it stands, and nothing else.
func checkIndex(t *testing.T, k *jobstest.Kit) {
	t.Helper()
	c, err := jobs.NewClient(k.Redis, k.Publisher, jobs.ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	faults, err := c.IndexFaults(t.Context())
	if err != nil || len(faults) > 0 {
		t.Errorf("the index does not agree with the records: %q, %v", faults, err)
	}
}

func inBubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// checkEvery is slow, for each look of a pool takes real time also in a bubble.
const checkEvery = 500 * time.Millisecond

type handler = func(context.Context, *jobs.Job[args]) (result, error)

func define(opts ...jobs.Option) *jobs.Kind[args, result] {
	return jobs.Define[args, result]("test.work", opts...)
}

// notify binds every event to session "s".
func notify(k *jobstest.Kit) jobs.Option { return notifyAs(k, "s") }

func notifyAs(k *jobstest.Kit, session string) jobs.Option {
	return jobs.Notify(k.Session(session), jobs.OnDone("Done"), jobs.OnFailed("Failed"), jobs.OnProgress("Progress"),
		jobs.On("Queued", jobs.StateQueued), jobs.On("Started", jobs.StateRunning), jobs.On("Retrying", jobs.StateRetrying),
		jobs.On("Stalled", jobs.StateStalled), jobs.On("Cancelled", jobs.StateCancelled), jobs.On("Lost", jobs.StateLost))
}

// start runs a worker that handles the kind with h.
func start(k *jobstest.Kit, kind *jobs.Kind[args, result], h handler) *jobstest.Worker {
	return k.Start(jobs.PoolConfig{CheckInterval: checkEvery}, func(p *jobs.Pool) { kind.Handle(p, h) })
}

func enqueue(t *testing.T, k *jobstest.Kit, kind *jobs.Kind[args, result], opts ...jobs.Option) string {
	t.Helper()
	h, err := kind.With(k.Client).Enqueue(t.Context(), args{"a"}, append([]jobs.Option{notify(k)}, opts...)...)
	if err != nil {
		t.Fatalf("Enqueue: %v", err)
	}
	return h.ID
}

// actions returns the actions that session "s" was sent, in order.
func actions(k *jobstest.Kit) []string {
	var out []string
	for _, p := range k.Events("s") {
		out = append(out, p.Action)
	}
	return out
}

// wantEnd checks that the session got exactly one terminal event, which agrees
// with the job's state.
func wantEnd(t *testing.T, k *jobstest.Kit, id string, want jobs.State) jobstest.Push {
	t.Helper()
	info := k.Wait(id)
	if info.State != want {
		t.Errorf("state = %s (%s %s), want %s", info.State, info.Code, info.Error, want)
	}
	ends := k.Terminal("s", id)
	if len(ends) != 1 {
		t.Fatalf("%d terminal events, want 1: %v", len(ends), actions(k))
	}
	if got := ends[0].Event.State; got != info.State {
		t.Errorf("event says %s, the record %s", got, info.State)
	}
	return ends[0]
}

// pushData binds a push's data as an action's context would.
type pushData []byte

func (b pushData) Bind(v any) error { return json.Unmarshal(b, v) }
