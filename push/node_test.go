package push_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"lastmile/push"
	"lastmile/push/mempush"
)

func TestFeedYieldsInOrder(t *testing.T) {
	t.Parallel()
	// Every way that hints can go wrong; the feed yields the same.
	tests := []struct {
		name  string
		hints func([]push.Notice) []push.Notice
	}{
		{"all hints", nil},
		{"no hints, the sweep finds out", deaf},
		{"duplicated", func(h []push.Notice) []push.Notice { return slices.Concat(h, h) }},
		{"reversed", func(h []push.Notice) []push.Notice { slices.Reverse(h); return h }},
		{"without entries", func(h []push.Notice) []push.Notice {
			for i := range h {
				h[i].Entry = nil
			}
			return h
		}},
		{"every second lost", func() func(h []push.Notice) []push.Notice {
			n := 0
			return func(h []push.Notice) []push.Notice {
				return slices.DeleteFunc(h, func(push.Notice) bool { n++; return n%2 == 0 })
			}
		}()},
		{"the last one again and again", func() func(h []push.Notice) []push.Notice {
			var last []push.Notice
			return func(h []push.Notice) []push.Notice {
				old := last
				last = h[len(h)-1:]
				return slices.Concat(h, old, old)
			}
		}()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store := newFaulty(t, mempush.Config{})
				store.hints = tt.hints
				n, _ := startNode(t, store, push.NodeConfig{})
				store.publish(t, numbers(1, 5)...)
				tab := subscribe(t, n, 0)
				store.publish(t, numbers(6, 9)...)
				late := subscribe(t, n, 0)
				for i := 10; i <= 99; i += 10 {
					store.publish(t, numbers(i, i+9)...)
					synctest.Wait()
				}
				want := numbers(1, 99)
				if diff := cmp.Diff(collect(t, tab, len(want)), want); diff != "" {
					t.Errorf("first tab (-got +want):\n%s", diff)
				}
				if diff := cmp.Diff(collect(t, late, len(want)), want); diff != "" {
					t.Errorf("second tab (-got +want):\n%s", diff)
				}
				time.Sleep(2 * time.Minute)
				if rest := append(take(tab), take(late)...); len(rest) > 0 {
					t.Errorf("yielded again: %v", rest)
				}
			})
		})
	}
}

func TestFeedOverflowReadsTheMailbox(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newFaulty(t, mempush.Config{})
		n, _ := startNode(t, store, push.NodeConfig{})
		slow, fast := subscribe(t, n, 0), subscribe(t, n, 0)
		synctest.Wait()
		for i := 1; i <= 500; i += 5 {
			store.publish(t, numbers(i, i+4)...)
			if diff := cmp.Diff(collect(t, fast, 5), numbers(i, i+4)); diff != "" {
				t.Fatalf("the fast tab (-got +want):\n%s", diff)
			}
		}
		if reads := store.count("read"); reads > 0 {
			t.Errorf("%d reads of the mailbox while nobody asked for more, want none", reads)
		}
		if diff := cmp.Diff(collect(t, slow, 500), numbers(1, 500)); diff != "" {
			t.Errorf("the slow tab (-got +want):\n%s", diff)
		}
		if reads := store.count("read"); reads < 7 || reads > 20 {
			t.Errorf("%d reads for 436 pushes, want about 436/64", reads)
		}
		store.publish(t, "live")
		if diff := cmp.Diff(collect(t, slow, 1), []string{"live"}); diff != "" {
			t.Errorf("the slow tab is live again (-got +want):\n%s", diff)
		}
	})
}

func TestFeedsShareABoundOfBytes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newFaulty(t, mempush.Config{})
		n, _ := startNode(t, store, push.NodeConfig{QueueBytes: 2000})
		a, b := subscribe(t, n, 0), subscribe(t, n, 0)
		store.publish(t, numbers(1, 100)...)
		synctest.Wait()
		for _, f := range []*push.Feed{a, b} {
			if diff := cmp.Diff(collect(t, f, 100), numbers(1, 100)); diff != "" {
				t.Errorf("feed (-got +want):\n%s", diff)
			}
		}
	})
}

// TestNoLostWakeUp stores a push at each instant of a subscription.
func TestNoLostWakeUp(t *testing.T) {
	t.Parallel()
	for _, when := range []string{"before attach", "after attach", "before read", "after read"} {
		t.Run(when, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store := newFaulty(t, mempush.Config{})
				n, _ := startNode(t, store, push.NodeConfig{})
				want := []string{"parked", when, "live"}
				store.publish(t, "parked")
				once := sync.OnceFunc(func() {
					store.publish(t, when)
					time.Sleep(time.Second) // the hint goes by
				})
				store.set(func() {
					store.before[strings.TrimPrefix(when, "before ")] = once
					store.after[strings.TrimPrefix(when, "after ")] = once
				})
				f := subscribe(t, n, 0)
				synctest.Wait()
				time.Sleep(2 * time.Second)
				store.publish(t, "live")
				synctest.Wait()
				if diff := cmp.Diff(take(f), want); diff != "" {
					t.Errorf("without a sweep (-got +want):\n%s", diff)
				}
			})
		})
	}
}

func TestResyncFindsWhatWasMissed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newFaulty(t, mempush.Config{})
		n, _ := startNode(t, store, push.NodeConfig{})
		f := subscribe(t, n, 0)
		store.publish(t, "1")
		synctest.Wait()
		store.set(func() { store.hints = deaf })
		if err := store.Transport.Detach(t.Context(), n.ID(), "s"); err != nil {
			t.Fatal(err)
		}
		store.publish(t, "2", "3")
		synctest.Wait()
		store.set(func() { store.hints = nil })
		store.listener.Resync()
		synctest.Wait()
		store.publish(t, "4")
		synctest.Wait()
		if diff := cmp.Diff(take(f), numbers(1, 4)); diff != "" {
			t.Errorf("at once (-got +want):\n%s", diff)
		}
	})
}

func TestSweepRestoresRoutes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newFaulty(t, mempush.Config{})
		n, _ := startNode(t, store, push.NodeConfig{})
		f := subscribe(t, n, 0)
		synctest.Wait()
		if err := store.Transport.Detach(t.Context(), n.ID(), "s"); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		store.publish(t, "1")
		collect(t, f, 1)
		if d := time.Since(start); d > 36*time.Second {
			t.Errorf("healed after %s, want at most 36s", d)
		}
		start = time.Now()
		store.publish(t, "2")
		collect(t, f, 1)
		if d := time.Since(start); d > 0 {
			t.Errorf("the next push took %s, want none", d)
		}
	})
}

// TestRestoredRouteHoldsNobodyUp: a route that a sweep has restored knows
// nothing of how far the feeds have come, and a full mailbox waits for that.
func TestRestoredRouteHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newFaulty(t, mempush.Config{MailboxLen: 10, ResumeWindow: time.Hour})
		n, _ := startNode(t, store, push.NodeConfig{})
		f := subscribe(t, n, 0)
		last := store.publish(t, numbers(1, 10)...)
		collect(t, f, 10)
		f.Ack(last, nil)
		time.Sleep(time.Second)
		if err := store.Transport.Detach(t.Context(), n.ID(), "s"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(37 * time.Second)
		store.publish(t, "11")
		if diff := cmp.Diff(collect(t, f, 1), []string{"11"}); diff != "" {
			t.Errorf("after the sweep (-got +want):\n%s", diff)
		}
	})
}

func TestStoreOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newFaulty(t, mempush.Config{})
		n, _ := startNode(t, store, push.NodeConfig{})
		f := subscribe(t, n, 0)
		synctest.Wait()
		down := errors.New("down")
		store.set(func() {
			store.hints = func(h []push.Notice) []push.Notice { h[0].Entry = nil; return h }
			store.fail["read"], store.fail["attach"], store.fail["check"] = down, down, down
		})
		store.publish(t, "1")
		time.Sleep(time.Minute)
		if err := n.Healthy(); err == nil || !strings.Contains(err.Error(), "failing") {
			t.Errorf("health after a minute's outage: %v, want a complaint", err)
		}
		if reads := store.count("read"); reads < 12 || reads > 60 {
			t.Errorf("%d reads in a minute's outage, want a backoff up to 5 s", reads)
		}
		if _, err := n.Subscribe(t.Context(), "s", 0); !errors.Is(err, down) {
			t.Errorf("Subscribe in an outage: %v, want the store's error", err)
		}
		store.set(func() { clear(store.fail) })
		start := time.Now()
		collect(t, f, 1)
		if d := time.Since(start); d > 6*time.Second {
			t.Errorf("recovered after %s, want at most the longest backoff", d)
		}
		if err := n.Healthy(); err != nil {
			t.Errorf("health after the outage: %v", err)
		}
	})
}

func TestRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newFaulty(t, mempush.Config{})
		store.before["listen"] = func() { time.Sleep(time.Minute) }
		n, stop := startNode(t, store, push.NodeConfig{})
		synctest.Wait()
		if err := n.Healthy(); err == nil {
			t.Error("health before the node is registered: no error")
		}
		time.Sleep(2 * time.Minute)
		if err := n.Healthy(); err != nil {
			t.Errorf("health: %v", err)
		}
		if err := n.Run(t.Context()); err == nil {
			t.Error("a second Run: no error")
		}
		time.Sleep(time.Hour)
		if err := n.Healthy(); err != nil {
			t.Errorf("health of an idle node: %v", err)
		}
		stop()
		if err := n.Healthy(); err == nil {
			t.Error("health after the end: no error")
		}
		store.set(func() { store.fail["listen"] = errors.New("no permission") })
		if err := n.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "no permission") {
			t.Errorf("Run without a listener: %v, want the transport's error", err)
		}
	})
}

func TestConfigs(t *testing.T) {
	t.Parallel()
	store := newFaulty(t, mempush.Config{})
	for _, cfg := range []push.NodeConfig{{Fetchers: -1}, {QueueBytes: -1}, {SweepEvery: -1}, {AckDelay: -1}, {CallTimeout: -1}, {RetryBase: -1}, {RetryMax: -1}, {StaleAfter: -1}, {DrainTimeout: -1}} {
		if _, err := push.NewNode(store, cfg); err == nil {
			t.Errorf("%+v: no error", cfg)
		}
	}
	if _, err := push.NewNode(nil, push.NodeConfig{}); err == nil {
		t.Error("a node without a transport: no error")
	}
	for _, cfg := range []push.PublisherConfig{{Timeout: -1}, {MaxDataBytes: -1}, {MaxInFlight: -1}, {RetryBase: -1}, {RetryMax: -1}} {
		if _, err := push.NewPublisher(store, cfg); err == nil {
			t.Errorf("%+v: no error", cfg)
		}
	}
	if _, err := push.NewPublisher(nil, push.PublisherConfig{}); err == nil {
		t.Error("a publisher without a store: no error")
	}
}
