package push_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"lastmile/push"
	"lastmile/push/mempush"
)

// replicated is a store in memory that fails as a test says.
type replicated struct {
	*mempush.Transport
	awaited int

	mu                sync.Mutex
	asking, appending error
	replicas          func(m *push.Master) // what becomes of the replicas that are listed
	appended          func()               // called behind each append
}

// sick sets what asking for the primary and appending end with.
func (r *replicated) sick(asking, appending error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asking, r.appending = asking, appending
}

// list sets which replicas are listed, and what they have confirmed.
func (r *replicated) list(replicas func(m *push.Master)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.replicas = replicas
}

func (r *replicated) Awaited() int { return r.awaited }

func (r *replicated) Masters(ctx context.Context) ([]push.Master, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	masters, err := r.Transport.Masters(ctx)
	for i := range masters {
		if r.replicas != nil {
			r.replicas(&masters[i])
		}
	}
	return masters, errors.Join(err, r.asking)
}

// caughtUp has every replica confirm everything.
func caughtUp(m *push.Master) {
	for name := range m.Replicas {
		m.Replicas[name] = m.Offset
	}
}

// nobody lists no replica.
func nobody(m *push.Master) { clear(m.Replicas) }

func (r *replicated) Append(ctx context.Context, m push.Message) (push.Receipt, error) {
	r.mu.Lock()
	err, appended := r.appending, r.appended
	r.mu.Unlock()
	if err != nil {
		return push.Receipt{}, err
	}
	if appended != nil {
		defer appended()
	}
	return r.Transport.Append(ctx, m)
}

// behind sets what is called behind each append, before its answer.
func (r *replicated) behind(appended func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.appended = appended
}

// failover is a publisher that runs, on a store with a replica.
type failover struct {
	t         *testing.T
	store     *replicated
	publisher *push.Publisher
	reg       *prometheus.Registry
	accepted  []string
}

// inFailover runs a test in a bubble.
func inFailover(t *testing.T, cfg push.PublisherConfig, awaited int, test func(f *failover)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		store, err := mempush.New(mempush.Config{})
		if err != nil {
			t.Fatal(err)
		}
		f := &failover{t: t, store: &replicated{Transport: store, awaited: awaited}, reg: prometheus.NewRegistry()}
		cfg.Registerer = f.reg
		f.publisher = newPublisher(t, f.store, cfg)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- f.publisher.Run(ctx) }()
		defer func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Run after a clean stop: %v", err)
			}
		}()
		test(f)
	})
}

// follow gets the store a replica that has everything up to now, and lets the
// publisher notice.
func (f *failover) follow() (promote func()) {
	promote = f.store.Replicate()
	time.Sleep(2 * time.Second)
	synctest.Wait() // the look of this second is over: the next one is a second away
	return promote
}

// publish pushes p0, p1, ... until there are n in all.
func (f *failover) publish(n int, opts ...push.Option) {
	f.t.Helper()
	for len(f.accepted) < n {
		id := "p" + strconv.Itoa(len(f.accepted))
		data := json.RawMessage(`{"n":"` + id + `"}`)
		_, err := f.publisher.Session("s").Trigger(f.t.Context(), "Do", data, append([]push.Option{push.WithID(id)}, opts...)...)
		if err != nil {
			f.t.Fatal(err)
		}
		f.accepted = append(f.accepted, id)
	}
}

// stored requires the mailbox to hold these pushes, in this order.
func (f *failover) stored(want ...string) {
	f.t.Helper()
	entries, err := f.store.Read(f.t.Context(), "s", 0, 10_000)
	if err != nil {
		f.t.Fatal(err)
	}
	got := make([]string, len(entries))
	for i, e := range entries {
		got[i] = e.ID
		if string(e.Data) != `{"n":"`+e.ID+`"}` {
			f.t.Errorf("push %s has the data %s", e.ID, e.Data)
		}
	}
	if !slices.Equal(got, want) {
		f.t.Errorf("stored %v, want %v", got, want)
	}
}

// TestLostSuffixIsPublishedAgain: what a promoted replica lacks is stored
// again, and nothing else.
func TestLostSuffixIsPublishedAgain(t *testing.T) {
	t.Parallel()
	inFailover(t, push.PublisherConfig{}, 0, func(f *failover) {
		f.follow()
		f.publish(10)
		promote := f.store.Replicate()
		f.publish(20)
		promote()
		f.stored(f.accepted[:10]...)
		time.Sleep(2 * time.Second)
		f.stored(f.accepted...)
		const want = `
# HELP push_replayed_total Accepted pushes published again because another server took over: stored (it lacked them), duplicate, refused.
# TYPE push_replayed_total counter
push_replayed_total{result="duplicate"} 10
push_replayed_total{result="refused"} 0
push_replayed_total{result="stored"} 10
`
		if err := testutil.GatherAndCompare(f.reg, strings.NewReader(want), "push_replayed_total"); err != nil {
			f.t.Error(err)
		}
		// The new server may be replaced too, by one that lacks the same again.
		again := f.store.Replicate()
		f.publish(25)
		again()
		time.Sleep(2 * time.Second)
		f.stored(f.accepted...)
	})
}

// TestReplayOutlastsTheFailover: a failover takes longer than the window, and
// nothing is forgotten while nobody answers.
func TestReplayOutlastsTheFailover(t *testing.T) {
	t.Parallel()
	inFailover(t, push.PublisherConfig{}, 0, func(f *failover) {
		promote := f.follow()
		f.publish(5)
		f.store.sick(errors.New("nobody answers"), nil)
		time.Sleep(3 * time.Minute)
		promote()
		f.store.sick(nil, nil)
		time.Sleep(2 * time.Second)
		f.stored(f.accepted...)
	})
}

// TestReplayWindow: what the replicas have confirmed is released when it is older
// than the window. One of them loses in a crash what it has confirmed.
func TestReplayWindow(t *testing.T) {
	t.Parallel()
	inFailover(t, push.PublisherConfig{ReplayWindow: 10 * time.Second}, 0, func(f *failover) {
		promote := f.follow()
		f.store.list(caughtUp)
		f.publish(5)
		time.Sleep(12 * time.Second)
		f.publish(8)
		promote()
		time.Sleep(2 * time.Second)
		f.stored(f.accepted[5:]...)
	})
}

// TestConfirmedMakesRoom: at the bound what every replica has goes, the oldest
// first, and is counted.
func TestConfirmedMakesRoom(t *testing.T) {
	t.Parallel()
	inFailover(t, push.PublisherConfig{ReplayBytes: 7 * 220}, 0, func(f *failover) {
		promote := f.follow()
		f.store.list(caughtUp)
		f.publish(7)
		time.Sleep(2 * time.Second)
		f.publish(10)
		promote() // a replica that has lost what it had confirmed
		time.Sleep(2 * time.Second)
		f.stored(f.accepted[3:]...)
		f.metric("push_replay_dropped_total", 3)
		f.metric("push_publish_held_total", 0)
	})
}

// TestNothingIsKeptWithoutNeed: without a replica, and when each push waits for
// all of them.
func TestNothingIsKeptWithoutNeed(t *testing.T) {
	t.Parallel()
	t.Run("no replica", func(t *testing.T) {
		t.Parallel()
		inFailover(t, push.PublisherConfig{}, 0, func(f *failover) {
			time.Sleep(2 * time.Second)
			f.publish(5)
			promote := f.store.Replicate()
			f.store.Flush()
			promote()
			time.Sleep(2 * time.Second)
			f.stored(f.accepted...) // the copy's own
		})
	})
	t.Run("confirmed", func(t *testing.T) {
		t.Parallel()
		inFailover(t, push.PublisherConfig{}, 1, func(f *failover) {
			promote := f.follow()
			f.publish(5)
			promote()
			time.Sleep(2 * time.Second)
			f.stored()
		})
	})
}

// TestReplacedValuesAreNotReplayed: an old value must not come after a newer
// one, nor after the end.
func TestReplacedValuesAreNotReplayed(t *testing.T) {
	t.Parallel()
	inFailover(t, push.PublisherConfig{}, 0, func(f *failover) {
		promote := f.follow()
		f.publish(3, push.Replacing("key"))
		f.publish(4, push.Ending("key"))
		promote()
		time.Sleep(2 * time.Second)
		f.stored("p3")
	})
}

// TestReplayGoesOnUntilItIsDone: the new server fails at first, and order
// holds within each session.
func TestReplayGoesOnUntilItIsDone(t *testing.T) {
	t.Parallel()
	inFailover(t, push.PublisherConfig{Timeout: time.Second}, 0, func(f *failover) {
		promote := f.follow()
		ctx := f.t.Context()
		for i := range 40 {
			m := push.Message{ID: strconv.Itoa(i), Session: "s" + strconv.Itoa(i%4), Action: "Do"}
			if _, err := f.publisher.Publish(ctx, m); err != nil {
				f.t.Fatal(err)
			}
		}
		f.store.sick(nil, errors.New("loading"))
		promote()
		time.Sleep(20 * time.Second)
		f.store.sick(nil, nil)
		time.Sleep(5 * time.Second)
		for s := range 4 {
			entries, err := f.store.Read(ctx, "s"+strconv.Itoa(s), 0, 100)
			if err != nil || len(entries) != 10 {
				f.t.Fatalf("session %d holds %d pushes, %v, want 10", s, len(entries), err)
			}
			for i, e := range entries {
				if e.ID != strconv.Itoa(4*i+s) {
					f.t.Errorf("session %d: push %d is %s, out of order", s, i, e.ID)
				}
			}
		}
	})
}

func TestRunWithoutReplicasToAskFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := newPublisher(t, &appender{}, push.PublisherConfig{}).Run(ctx); err != nil {
			t.Error(err)
		}
	})
}
