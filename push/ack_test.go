package push_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"lastmile/push"
	"lastmile/push/mempush"
)

func TestFeedAckIsGathered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newFaulty(t, mempush.Config{})
		n, _ := startNode(t, store, push.NodeConfig{})
		f := subscribe(t, n, 0)
		store.publish(t, numbers(1, 10)...)
		synctest.Wait()
		start := time.Now()
		var last push.Seq
		var skipped []push.Seq
		for range 10 {
			e, _ := f.Next()
			last = e.Seq
			if e.ID == "3" || e.ID == "7" {
				skipped = append(skipped, e.Seq)
				f.Ack(e.Seq, []push.Seq{e.Seq})
			} else {
				f.Ack(e.Seq, nil)
			}
			time.Sleep(5 * time.Millisecond)
		}
		if acks := store.sent(); len(acks) > 0 {
			t.Errorf("acknowledged within %s: %+v", time.Since(start), acks)
		}
		time.Sleep(100 * time.Millisecond)
		want := []push.Ack{{Node: n.ID(), After: 0, UpTo: last, Skipped: skipped, Route: last}}
		if diff := cmp.Diff(store.sent(), want); diff != "" {
			t.Errorf("acknowledgements (-got +want):\n%s", diff)
		}
		f.Ack(last, nil)
		time.Sleep(time.Second)
		if acks := store.sent(); len(acks) != 1 {
			t.Errorf("%d acknowledgements, want no repetition", len(acks))
		}
	})
}

func TestFeedAckIsRepeatedAndOutlivesTheFeed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newFaulty(t, mempush.Config{})
		n, _ := startNode(t, store, push.NodeConfig{})
		f := subscribe(t, n, 0)
		last := store.publish(t, "1", "2")
		synctest.Wait()
		store.set(func() { store.fail["ack"] = errors.New("down") })
		f.Ack(last, []push.Seq{last})
		time.Sleep(time.Second)
		f.Close()
		f.Close()
		time.Sleep(time.Second)
		store.set(func() { clear(store.fail) })
		time.Sleep(10 * time.Second)
		want := []push.Ack{{Node: n.ID(), UpTo: last, Skipped: []push.Seq{last}, Route: last}}
		if diff := cmp.Diff(store.sent(), want); diff != "" {
			t.Errorf("acknowledgements (-got +want):\n%s", diff)
		}
		if got := store.count("detach"); got != 1 {
			t.Errorf("%d detaches, want 1", got)
		}
	})
}

// TestAckOutlivesALongOutage: how often a store has failed before a page is
// closed does not count against its last acknowledgement.
func TestAckOutlivesALongOutage(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newFaulty(t, mempush.Config{})
		n, _ := startNode(t, store, push.NodeConfig{})
		f := subscribe(t, n, 0)
		last := store.publish(t, "1")
		synctest.Wait()
		store.set(func() { store.fail["ack"] = errors.New("down") })
		f.Ack(last, nil)
		time.Sleep(5 * time.Minute)
		f.Close()
		time.Sleep(6 * time.Second) // one more try has failed
		store.set(func() { clear(store.fail) })
		time.Sleep(10 * time.Second)
		want := []push.Ack{{Node: n.ID(), UpTo: last, Route: last}}
		if diff := cmp.Diff(store.sent(), want); diff != "" {
			t.Errorf("acknowledgements (-got +want):\n%s", diff)
		}
	})
}

func TestRunDrains(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newFaulty(t, mempush.Config{})
		n, stop := startNode(t, store, push.NodeConfig{})
		f := subscribe(t, n, 0)
		last := store.publish(t, "1")
		synctest.Wait()
		f.Ack(last, nil)
		f.Close()
		stop()
		if len(store.sent()) != 1 || store.count("detach") != 1 {
			t.Errorf("acknowledgements %+v and %d detaches after a clean stop, want one each", store.sent(), store.count("detach"))
		}
	})
}

func TestRunDrainIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newFaulty(t, mempush.Config{})
		n, stop := startNode(t, store, push.NodeConfig{CallTimeout: time.Hour, DrainTimeout: 3 * time.Second})
		ctx, release := context.WithTimeout(t.Context(), 3*time.Second)
		defer release()
		store.set(func() { store.before["detach"] = func() { <-ctx.Done() } })
		f := subscribe(t, n, 0)
		synctest.Wait()
		start := time.Now()
		f.Close()
		stop()
		if d := time.Since(start); d > 4*time.Second {
			t.Errorf("drained for %s, want at most 3 s", d)
		}
	})
}

// TestUnacked: a process dies between commit and acknowledgement.
func TestUnacked(t *testing.T) {
	t.Parallel()
	for _, asked := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			store := newFaulty(t, mempush.Config{})
			n, _ := startNode(t, store, push.NodeConfig{})
			acked := store.publish(t, "1")
			if err := n.Ack(t.Context(), "s", push.Ack{UpTo: acked}); err != nil {
				t.Fatal(err)
			}
			store.publish(t, "2")
			cursor := store.publish(t, "3")
			last := store.publish(t, "4")
			f := subscribe(t, n, cursor)
			want := []string{"2", "3", "4"}
			if asked {
				entries := f.Unacked()
				if len(entries) != 2 || entries[0].ID != "2" || entries[1].ID != "3" {
					t.Fatalf("unacknowledged %+v, want 2 and 3", entries)
				}
				want = []string{"3", "4"}
			}
			time.Sleep(time.Second)
			if acks := store.sent(); len(acks) != 1 {
				t.Errorf("acknowledgements %+v, want none by itself", acks)
			}
			skipped := []push.Seq{last}
			if asked {
				skipped = append(skipped, cursor)
			}
			f.Ack(last, skipped)
			time.Sleep(time.Second)
			b, err := n.Pending(t.Context(), "s", 0)
			if err != nil {
				t.Fatal(err)
			}
			var parked []string
			for _, e := range b.Entries {
				parked = append(parked, e.ID)
			}
			if diff := cmp.Diff(parked, want); diff != "" {
				t.Errorf("asked %t: parked (-got +want):\n%s", asked, diff)
			}
		})
	}
}

// TestUnackedWhileAnotherAcknowledges: between the attach of a connection and
// its look at what nobody has acknowledged, the acknowledgement of its former
// life arrives, parks a push for other views, and has older ones trimmed. The
// connection's own one must not take for applied what it was never shown.
func TestUnackedWhileAnotherAcknowledges(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name         string
		when         string // what the acknowledgement comes after
		upTo, parked int    // and of which push, skipping which
		want         []string
	}{
		{"before the first page", "attach", 70, 50, []string{"10", "50", "90"}},
		{"between two pages", "read", 80, 70, []string{"10", "70", "90"}},
		{"with nothing left for a second page", "read", 100, 70, []string{"10", "70"}},
		{"not at all", "", 0, 0, []string{"10", "90"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store := newFaulty(t, mempush.Config{})
				n, _ := startNode(t, store, push.NodeConfig{})
				seqs := map[string]push.Seq{}
				for _, id := range numbers(1, 100) {
					seqs[id] = store.publish(t, id)
				}
				time.Sleep(3 * time.Minute)
				if tt.when == "" { // a hole at the edge of a page is nothing special
					if err := n.DeadLetter(t.Context(), "s", seqs["65"], push.Failure{Reason: push.ReasonError}); err != nil {
						t.Fatal(err)
					}
				}
				ack := sync.OnceFunc(func() {
					upTo, parked := seqs[strconv.Itoa(tt.upTo)], seqs[strconv.Itoa(tt.parked)]
					a := push.Ack{Node: "another", UpTo: upTo, Skipped: []push.Seq{seqs["10"], parked}}
					if err := store.Transport.Ack(t.Context(), "s", a); err != nil {
						t.Error(err)
					}
				})
				store.set(func() { store.after[tt.when] = ack })
				last := seqs["100"]
				f := subscribe(t, n, last)
				var skipped []push.Seq // the view has no action for these
				for _, e := range f.Unacked() {
					if slices.Contains(tt.want, e.ID) {
						skipped = append(skipped, e.Seq)
					}
				}
				f.Ack(last, skipped)
				time.Sleep(time.Second)
				b, err := n.Pending(t.Context(), "s", 0)
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, e := range b.Entries {
					got = append(got, e.ID)
				}
				if diff := cmp.Diff(got, tt.want); diff != "" {
					t.Errorf("parked (-got +want):\n%s", diff)
				}
			})
		})
	}
}
