package push_test

import (
	"errors"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"lastmile/push"
	"lastmile/push/mempush"
)

func TestFeedCaughtUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newFaulty(t, mempush.Config{})
		n, _ := startNode(t, store, push.NodeConfig{})
		empty := subscribe(t, n, 0)
		if !empty.CaughtUp() || len(empty.Ready()) != 1 {
			t.Error("a feed of an empty mailbox must be caught up and signal it")
		}
		store.publish(t, numbers(1, 3)...)
		f := subscribe(t, n, 0)
		synctest.Wait()
		store.publish(t, "4")
		synctest.Wait()
		for _, want := range []struct {
			caughtUp, redelivered bool
		}{{false, true}, {false, true}, {false, true}, {true, false}} {
			if got := f.CaughtUp(); got != want.caughtUp {
				t.Errorf("caught up: %t, want %t", got, want.caughtUp)
			}
			e, ok := f.Next()
			if !ok {
				t.Fatal("no entry")
			}
			if got := f.Redelivered(e); got != want.redelivered {
				t.Errorf("push %s redelivered: %t, want %t", e.ID, got, want.redelivered)
			}
		}
		if f.Epoch() == "" || f.Epoch() != n.Epoch() {
			t.Errorf("epoch %q of the feed, %q of the node", f.Epoch(), n.Epoch())
		}
	})
}

func TestFeedFromCursor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newFaulty(t, mempush.Config{})
		n, _ := startNode(t, store, push.NodeConfig{})
		cursor := store.publish(t, "1", "2")
		store.publish(t, "3")
		f, all := subscribe(t, n, cursor), subscribe(t, n, 0)
		store.publish(t, "4")
		synctest.Wait()
		if diff := cmp.Diff(take(f), []string{"3", "4"}); diff != "" {
			t.Errorf("from the cursor (-got +want):\n%s", diff)
		}
		if diff := cmp.Diff(take(all), numbers(1, 4)); diff != "" {
			t.Errorf("from the beginning (-got +want):\n%s", diff)
		}
	})
}

func TestCloseDuringFetch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newFaulty(t, mempush.Config{})
		n, _ := startNode(t, store, push.NodeConfig{})
		gate := make(chan struct{})
		store.set(func() { store.before["read"] = func() { <-gate } })
		store.publish(t, "1")
		f := subscribe(t, n, 0)
		synctest.Wait()
		f.Close()
		close(gate)
		synctest.Wait()
		if got := take(f); len(got) > 0 {
			t.Errorf("a closed feed yields %v", got)
		}
		if store.count("detach") != 1 {
			t.Errorf("%d detaches, want 1", store.count("detach"))
		}
		again := subscribe(t, n, 0)
		collect(t, again, 1)
	})
}

// TestComeBackDuringDetach: the page is loaded again while its last feed's
// route is being removed.
func TestComeBackDuringDetach(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newFaulty(t, mempush.Config{})
		n, _ := startNode(t, store, push.NodeConfig{})
		f := subscribe(t, n, 0)
		synctest.Wait()
		gate := make(chan struct{})
		store.set(func() { store.before["detach"] = func() { <-gate } })
		f.Close()
		synctest.Wait()
		back := subscribe(t, n, 0)
		synctest.Wait()
		close(gate)
		synctest.Wait()
		store.publish(t, "1")
		synctest.Wait()
		if diff := cmp.Diff(take(back), []string{"1"}); diff != "" {
			t.Errorf("at once (-got +want):\n%s", diff)
		}
	})
}

func TestCursorTooOld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newFaulty(t, mempush.Config{})
		n, _ := startNode(t, store, push.NodeConfig{})
		stalled, current := subscribe(t, n, 0), subscribe(t, n, 0)
		synctest.Wait()
		for i := range 4 {
			last := store.publish(t, numbers(i*50+1, i*50+50)...)
			collect(t, current, 50)
			current.Ack(last, nil)
			time.Sleep(time.Minute)
		}
		for stalled.Err() == nil {
			if _, ok := stalled.Next(); !ok {
				<-stalled.Ready()
			}
		}
		if err := stalled.Err(); !errors.Is(err, push.ErrCursorTooOld) {
			t.Errorf("a feed whose pushes were acknowledged by others and trimmed: %v, want ErrCursorTooOld", err)
		}
		if err := current.Err(); err != nil {
			t.Errorf("the current feed: %v", err)
		}
		if _, err := n.Subscribe(t.Context(), "s", 0); !errors.Is(err, push.ErrCursorTooOld) {
			t.Errorf("Subscribe from the beginning: %v, want ErrCursorTooOld", err)
		}
		b, err := n.Pending(t.Context(), "s", 0)
		if err != nil || len(b.Entries) > 0 {
			t.Fatalf("backlog %+v, %v, want none", b, err)
		}
		fresh := subscribe(t, n, b.Cursor)
		store.publish(t, "new")
		collect(t, fresh, 1)
	})
}

func TestParkedThatLeftTheMailbox(t *testing.T) {
	t.Parallel()
	for _, when := range []string{"at subscription", "later"} {
		synctest.Test(t, func(t *testing.T) {
			store := newFaulty(t, mempush.Config{})
			n, _ := startNode(t, store, push.NodeConfig{})
			var f *push.Feed
			if when == "later" {
				f = subscribe(t, n, 0)
				synctest.Wait()
				store.set(func() { store.hints = deaf })
			}
			first := store.publish(t, "1")
			if err := n.Ack(t.Context(), "s", push.Ack{UpTo: first, Skipped: []push.Seq{first}}); err != nil {
				t.Fatal(err)
			}
			if when == "later" {
				store.set(func() { store.fail["check"] = errors.New("down") })
			}
			time.Sleep(3 * time.Minute)
			last := store.publish(t, "2")
			if err := n.Ack(t.Context(), "s", push.Ack{After: first, UpTo: last, Skipped: []push.Seq{last}}); err != nil {
				t.Fatal(err)
			}
			store.set(func() { clear(store.fail); store.hints = nil })
			if when != "later" {
				f = subscribe(t, n, 0)
			}
			store.publish(t, "3")
			if diff := cmp.Diff(collect(t, f, 3), numbers(1, 3)); diff != "" {
				t.Errorf("%s (-got +want):\n%s", when, diff)
			}
		})
	}
}

func TestStoreEmptied(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newFaulty(t, mempush.Config{})
		n, _ := startNode(t, store, push.NodeConfig{})
		f := subscribe(t, n, 0)
		store.publish(t, "1")
		synctest.Wait()
		before := n.Epoch()
		store.memory.Flush()
		synctest.Wait()
		if err := f.Err(); !errors.Is(err, push.ErrCursorTooOld) {
			t.Errorf("feed after the store was emptied: %v, want ErrCursorTooOld", err)
		}
		if got := take(f); len(got) > 0 {
			t.Errorf("yielded %v after the end", got)
		}
		if n.Epoch() == before {
			t.Error("the node has not seen the new epoch")
		}
		f.Close()
		fresh := subscribe(t, n, 0)
		store.publish(t, "2")
		collect(t, fresh, 1)
	})
}

// TestStoreEmptiedUnheard has nobody tell the node: the sweep finds out, or a
// page that opens meanwhile.
func TestStoreEmptiedUnheard(t *testing.T) {
	t.Parallel()
	for name, opens := range map[string]bool{"idle": false, "another page opens": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				store := newFaulty(t, mempush.Config{})
				n, _ := startNode(t, store, push.NodeConfig{})
				f := subscribe(t, n, 0)
				synctest.Wait()
				store.set(func() { store.mute = true })
				store.memory.Flush()
				synctest.Wait()
				if err := f.Err(); err != nil {
					t.Fatalf("the feed has heard: %v", err)
				}
				if opens {
					if _, err := n.Pending(t.Context(), "other", 0); err != nil {
						t.Fatal(err)
					}
				} else {
					time.Sleep(36 * time.Second)
				}
				synctest.Wait()
				if err := f.Err(); !errors.Is(err, push.ErrCursorTooOld) {
					t.Errorf("an idle feed after the store was emptied: %v, want ErrCursorTooOld", err)
				}
			})
		})
	}
}

// TestSlowTabUnderAFlood has one tab far behind another on its node while the
// mailbox runs over several times: what the slow one needs stays, the
// publisher waits for it, and goes on when it has gone.
func TestSlowTabUnderAFlood(t *testing.T) {
	t.Parallel()
	for name, leaves := range map[string]bool{"it catches up": false, "it leaves": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { floodSlowTab(t, leaves) })
		})
	}
}

func floodSlowTab(t *testing.T, leaves bool) {
	t.Helper()
	store := newFaulty(t, mempush.Config{MailboxLen: 200})
	n, _ := startNode(t, store, push.NodeConfig{})
	slow, fast := subscribe(t, n, 0), subscribe(t, n, 0)
	synctest.Wait()
	sent, seen, full := 0, 0, 0
	for sent < 600 {
		_, err := store.Append(t.Context(), push.Message{ID: strconv.Itoa(sent + 1), Session: "s", Action: "Act"})
		switch {
		case err == nil:
			sent++
		case !errors.Is(err, push.ErrMailboxFull):
			t.Fatal(err)
		case leaves:
			full++
			slow.Close()
			time.Sleep(time.Second)
		default:
			full++
			// It reads and acknowledges nothing: its browser is slow too.
			for range 50 {
				if e, ok := slow.Next(); ok {
					if seen++; e.ID != strconv.Itoa(seen) {
						t.Fatalf("the slow tab got push %s, want %d", e.ID, seen)
					}
				}
			}
			time.Sleep(time.Second)
		}
		if full > 30 {
			t.Fatalf("the publisher is stuck after %d pushes", sent)
		}
		synctest.Wait()
		for e, ok := fast.Next(); ok; e, ok = fast.Next() {
			fast.Ack(e.Seq, nil)
		}
		time.Sleep(time.Millisecond)
	}
	if full == 0 {
		t.Error("the mailbox was never full: nothing was tested")
	}
	if err := slow.Err(); err != nil {
		t.Errorf("the slow tab: %v", err)
	}
	if !leaves {
		if diff := cmp.Diff(collect(t, slow, 600-seen), numbers(seen+1, 600)); diff != "" {
			t.Errorf("the slow tab (-got +want):\n%s", diff)
		}
	}
}

func TestSessionClosed(t *testing.T) {
	t.Parallel()
	for _, hints := range []func([]push.Notice) []push.Notice{nil, deaf} {
		synctest.Test(t, func(t *testing.T) {
			store := newFaulty(t, mempush.Config{})
			store.hints = hints
			n, _ := startNode(t, store, push.NodeConfig{})
			f := subscribe(t, n, 0)
			synctest.Wait()
			if err := store.CloseSession(t.Context(), "s"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			if err := f.Err(); !errors.Is(err, push.ErrSessionClosed) {
				t.Errorf("feed of a closed session: %v, want ErrSessionClosed", err)
			}
			if _, err := n.Subscribe(t.Context(), "s", 0); !errors.Is(err, push.ErrSessionClosed) {
				t.Errorf("Subscribe: %v, want ErrSessionClosed", err)
			}
		})
	}
}

func TestUndecodableEntry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newFaulty(t, mempush.Config{})
		n, _ := startNode(t, store, push.NodeConfig{})
		f := subscribe(t, n, 0)
		if _, err := store.memory.AppendStored("s", "bad", []byte(`{"v":9}`)); err != nil {
			t.Fatal(err)
		}
		store.publish(t, "good")
		synctest.Wait()
		e, ok := f.Next()
		if !ok || !errors.Is(e.Err, push.ErrVersion) || e.ID != "bad" {
			t.Fatalf("got %+v, %t, want the entry that cannot be read", e, ok)
		}
		if err := f.DeadLetter(t.Context(), e, push.Failure{Reason: push.ReasonDecode, Error: string(make([]byte, 5000))}); err != nil {
			t.Fatal(err)
		}
		letters, err := store.memory.List(t.Context(), push.DeadQuery{})
		if err != nil || len(letters) != 1 {
			t.Fatalf("dead letters %+v, %v, want one", letters, err)
		}
		if l := letters[0]; l.Node != n.ID() || len(l.Error) != 1024 {
			t.Errorf("node %q and %d bytes of error, want this node and 1,024", l.Node, len(l.Error))
		}
		collect(t, f, 1)
	})
}

func TestMark(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := newFaulty(t, mempush.Config{})
		n, _ := startNode(t, store, push.NodeConfig{})
		seq := store.publish(t, "1")
		f := subscribe(t, n, 0)
		synctest.Wait()
		e, ok := f.Next()
		if !ok || !f.Redelivered(e) {
			t.Fatalf("got %+v, %t, want a redelivered entry", e, ok)
		}
		for want := range 2 {
			if before, err := n.CountStart(t.Context(), "s", e, 2); err != nil || before != want {
				t.Errorf("%d starts before, %v, want %d", before, err, want)
			}
		}
		f.Ack(seq, nil)
		time.Sleep(time.Second)
		if before, err := n.CountStart(t.Context(), "s", e, 2); err != nil || before != 0 {
			t.Errorf("%d starts before after an acknowledgement, %v, want none", before, err)
		}
		store.set(func() { store.fail["count start"] = errors.New("down") })
		if _, err := n.CountStart(t.Context(), "s", e, 2); err == nil {
			t.Error("no error in an outage")
		}
	})
}
