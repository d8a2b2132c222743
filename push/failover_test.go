package push_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"lastmile/push"
	"lastmile/push/mempush"
)

// TestFailoverLiftsPlacesAboveEveryFeed: a replica takes over that lacks what
// the feeds have been through, or have heard of. What it stores then comes
// after that, for the fast tab too, however slow another one is.
func TestFailoverLiftsPlacesAboveEveryFeed(t *testing.T) {
	t.Parallel()
	for name, tabs := range map[string]int{"a slow tab": 1, "a slow and a fast tab": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store := newFaulty(t, mempush.Config{})
				n, _ := startNode(t, store, push.NodeConfig{})
				var feeds []*push.Feed
				for range tabs {
					feeds = append(feeds, subscribe(t, n, 0))
				}
				synctest.Wait()
				promote := store.memory.Replicate()
				last := store.publish(t, numbers(1, 60)...)
				if tabs > 1 {
					collect(t, feeds[1], 60)
				}
				last = max(last, store.publish(t, numbers(61, 120)...)) // the slow one's queue runs over
				if tabs > 1 {
					collect(t, feeds[1], 60)
				}
				synctest.Wait()
				promote()
				synctest.Wait()
				if seq := store.publish(t, "new"); seq <= last {
					t.Errorf("the place %s was issued twice, up to %s they are known", seq, last)
				}
				for i, f := range feeds {
					want := []string{"new"}
					if i == 0 {
						want = append(numbers(1, 64), "new")
					}
					if diff := cmp.Diff(collect(t, f, len(want)), want); diff != "" {
						t.Errorf("tab %d (-got +want):\n%s", i, diff)
					}
				}
			})
		})
	}
}

// TestReadFromAServerThatLags: a hint comes from the new primary, and the read
// that it causes goes to the former one, which has not got the push yet.
func TestReadFromAServerThatLags(t *testing.T) {
	t.Parallel()
	for name, lacks := range map[string]int{"all of it": 3, "the end": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store := newFaulty(t, mempush.Config{})
				n, _ := startNode(t, store, push.NodeConfig{})
				f := subscribe(t, n, 0)
				synctest.Wait()
				reads := 0
				store.set(func() {
					store.hints = func(h []push.Notice) []push.Notice { // too large to come along
						for i := range h {
							h[i].Entry = nil
						}
						return h
					}
					store.reads = func(entries []push.Entry) []push.Entry {
						if reads++; reads > 1 {
							return entries
						}
						return entries[:max(0, len(entries)-lacks)]
					}
				})
				store.publish(t, numbers(1, 3)...)
				time.Sleep(time.Second)
				if diff := cmp.Diff(take(f), numbers(1, 3)); diff != "" {
					t.Errorf("without a sweep (-got +want):\n%s", diff)
				}
			})
		})
	}
}

// TestTermOfAFeedBeforeTheFirstLook: a page attaches to a server, another one
// takes over, and only then does the node hear who takes the writes.
func TestTermOfAFeedBeforeTheFirstLook(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		feeds, want int
	}{"a feed": {1, 1}, "none": {0, 0}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				memory, err := mempush.New(mempush.Config{})
				if err != nil {
					t.Fatal(err)
				}
				store := &replicated{Transport: memory}
				promote := store.Replicate()
				store.sick(errors.New("not yet"), nil)
				n, stop := startNode(t, store, push.NodeConfig{})
				for range tt.feeds {
					subscribe(t, n, 0)
				}
				synctest.Wait()
				promote()
				store.Replicate()
				store.sick(nil, nil)
				time.Sleep(5 * time.Second)
				if got := n.Term(); got != uint64(tt.want) {
					t.Errorf("the term is %d, want %d", got, tt.want)
				}
				stop()
			})
		})
	}
}
