package push_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/push"
)

// metric requires a counter or gauge of the publisher to have a value.
func (f *failover) metric(name string, want float64) {
	f.t.Helper()
	families, err := f.reg.Gather()
	if err != nil {
		f.t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			m := family.GetMetric()[0]
			if got := m.GetCounter().GetValue() + m.GetGauge().GetValue(); got != want {
				f.t.Errorf("%s is %v, want %v", name, got, want)
			}
			return
		}
	}
	f.t.Errorf("no metric %s", name)
}

// TestWhatNoReplicaHasIsKept: a replica takes over that lacks more than the
// window covers, for every way in which it may be behind.
func TestWhatNoReplicaHasIsKept(t *testing.T) {
	t.Parallel()
	for name, list := range map[string]func(m *push.Master){
		"it confirms nothing more": nil,
		"it is not listed":         nobody,
		"it is being copied anew": func(m *push.Master) {
			for name := range m.Replicas {
				m.Replicas[name] = -1
			}
		},
		"another one has it all": func(m *push.Master) { m.Replicas["other"] = m.Offset },
		"it is not listed, another one has it all": func(m *push.Master) {
			clear(m.Replicas)
			m.Replicas["other"] = m.Offset
		},
	} {
		for _, lag := range []time.Duration{30 * time.Second, 4 * time.Minute} {
			t.Run(name+" for "+lag.String(), func(t *testing.T) {
				t.Parallel()
				inFailover(t, push.PublisherConfig{}, 0, func(f *failover) {
					promote := f.follow()
					if strings.Contains(name, "another one") {
						f.store.list(func(m *push.Master) { m.Replicas["other"] = m.Offset })
						time.Sleep(2 * time.Second)
					}
					f.publish(3)
					f.store.list(list)
					for range 30 {
						f.publish(len(f.accepted) + 2)
						time.Sleep(lag / 30)
					}
					promote()
					f.store.list(nil)
					time.Sleep(2 * time.Second)
					f.stored(f.accepted...)
				})
			})
		}
	}
}

// TestConfirmedIsReleased: nothing is held longer than it must, so publishing
// goes on for ever at a bound that holds a few seconds.
func TestConfirmedIsReleased(t *testing.T) {
	t.Parallel()
	for name, behind := range map[string]int64{"at once": 0, "by ten pushes": 10} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inFailover(t, push.PublisherConfig{ReplayBytes: 60 * 220, ReplayWindow: time.Second}, 0, func(f *failover) {
				f.follow()
				f.store.list(func(m *push.Master) {
					for name := range m.Replicas {
						m.Replicas[name] = m.Offset - behind
					}
				})
				for range 100 {
					f.publish(len(f.accepted) + 5)
					time.Sleep(time.Second)
				}
				f.metric("push_publish_held_total", 0)
				f.metric("push_replay_dropped_total", 0)
			})
		})
	}
}

// TestPublishingSlowsDownAtTheBound: what no replica has is not let go. A push
// waits until there is room, and fails with its time.
func TestPublishingSlowsDownAtTheBound(t *testing.T) {
	t.Parallel()
	inFailover(t, push.PublisherConfig{ReplayBytes: 7 * 220}, 0, func(f *failover) {
		promote := f.follow()
		f.publish(7)
		session := f.publisher.Session("s")
		ctx, cancel := context.WithTimeout(f.t.Context(), 2*time.Second)
		defer cancel()
		for _, c := range []struct {
			ctx  context.Context
			time time.Duration
		}{{ctx, 2 * time.Second}, {f.t.Context(), 5 * time.Second}} {
			began := time.Now()
			_, err := session.Trigger(c.ctx, "Do", nil)
			if !errors.Is(err, push.ErrReplicasBehind) || !errors.Is(err, context.DeadlineExceeded) {
				f.t.Errorf("with a time of %s: %v, want that the replicas are behind", c.time, err)
			}
			if waited := time.Since(began); waited != c.time { // in a bubble
				f.t.Errorf("with a time of %s: waited %s", c.time, waited)
			}
		}
		if _, err := session.Trigger(f.t.Context(), "Do", nil, push.Replacing("key"), push.WithID("value")); err != nil {
			f.t.Errorf("a value that is not kept: %v", err)
		}
		f.metric("push_publish_held_total", 2)
		// A replica that catches up makes room for those who wait.
		done := make(chan error, 1)
		go func() {
			_, err := session.Trigger(f.t.Context(), "Do", map[string]string{"n": "late"}, push.WithID("late"))
			done <- err
		}()
		synctest.Wait()
		f.store.list(caughtUp)
		time.Sleep(2 * time.Second)
		if err := <-done; err != nil {
			f.t.Errorf("after the replica has caught up: %v", err)
		}
		f.accepted = append(f.accepted, "late")
		f.store.list(nil)
		promote() // its copy is older than what it confirmed: what is kept still comes
		time.Sleep(2 * time.Second)
		f.stored(f.accepted[1:]...)
	})
}

// TestLostReplicaIsForgotten: one that never comes back stops nobody for ever.
func TestLostReplicaIsForgotten(t *testing.T) {
	t.Parallel()
	const timeout = time.Minute
	cfg := push.PublisherConfig{ReplayBytes: 7 * 220, ReplicaTimeout: timeout}
	for name, list := range map[string]func(m *push.Master){
		"none is left":       nobody,
		"another one is":     func(m *push.Master) { clear(m.Replicas); m.Replicas["other"] = m.Offset },
		"nobody will tell":   nil,
		"one under new name": func(m *push.Master) { caughtUp(m); m.Replicas["new"] = m.Offset; delete(m.Replicas, "1") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inFailover(t, cfg, 0, func(f *failover) {
				f.follow()
				if name == "another one is" {
					f.store.list(func(m *push.Master) { m.Replicas["other"] = m.Offset })
					time.Sleep(2 * time.Second)
				}
				f.publish(7)
				f.store.list(list)
				if name == "nobody will tell" {
					f.store.sick(errors.New("no answer"), nil)
				}
				session := f.publisher.Session("s")
				if _, err := session.Trigger(f.t.Context(), "Do", nil); name == "one under new name" {
					if err != nil {
						f.t.Errorf("another replica has taken its place: %v", err)
					}
					return
				} else if !errors.Is(err, push.ErrReplicasBehind) {
					f.t.Errorf("before the timeout: %v, want that the replicas are behind", err)
				}
				time.Sleep(timeout)
				for i := range 20 {
					if _, err := session.Trigger(f.t.Context(), "Do", nil, push.WithID("late"+strconv.Itoa(i))); err != nil {
						f.t.Fatalf("after the timeout: %v", err)
					}
					if name != "nobody will tell" {
						time.Sleep(time.Second) // there is a look
					}
				}
			})
		})
	}
}

// TestAcceptedByTheOldServerBehindTheReplay: an append is under way when another
// server takes over, and its answer comes when all is replayed.
func TestAcceptedByTheOldServerBehindTheReplay(t *testing.T) {
	t.Parallel()
	inFailover(t, push.PublisherConfig{}, 0, func(f *failover) {
		promote := f.follow()
		f.store.list(caughtUp)
		f.publish(3)
		answer := make(chan struct{})
		f.store.behind(func() { <-answer })
		done := make(chan error, 1)
		go func() {
			_, err := f.publisher.Session("s").Trigger(f.t.Context(), "Do", map[string]string{"n": "late"}, push.WithID("late"))
			done <- err
		}()
		synctest.Wait()
		f.store.behind(nil)
		promote()
		time.Sleep(2 * time.Second)
		f.stored(f.accepted...)
		close(answer)
		if err := <-done; err != nil {
			f.t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		f.stored(append(f.accepted, "late")...)
	})
}

// another returns a second publisher that runs on the same store.
func (f *failover) another() (p *push.Publisher, stop func()) {
	f.t.Helper()
	p = newPublisher(f.t, f.store, push.PublisherConfig{})
	ctx, cancel := context.WithCancel(f.t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	return p, func() {
		cancel()
		if err := <-done; err != nil {
			f.t.Error(err)
		}
	}
}

// TestKeptFromTheFirstMoment: a push that is accepted before the first look is
// kept too, for the replica that the look will find.
func TestKeptFromTheFirstMoment(t *testing.T) {
	t.Parallel()
	inFailover(t, push.PublisherConfig{}, 0, func(f *failover) {
		promote := f.store.Replicate()
		f.store.sick(errors.New("not yet"), nil)
		second, stop := f.another()
		defer stop()
		synctest.Wait()
		if _, err := second.Session("s").Trigger(f.t.Context(), "Do", map[string]string{"n": "early"}, push.WithID("early")); err != nil {
			f.t.Fatal(err)
		}
		f.store.sick(nil, nil)
		time.Sleep(1500 * time.Millisecond)
		promote()
		time.Sleep(2 * time.Second)
		f.stored("early")
	})
}

// TestFailoverBeforeTheFirstLook: pushes are accepted and lost again before the
// publisher has ever heard who takes the writes. Whom it hears of first need not
// be who accepted them.
func TestFailoverBeforeTheFirstLook(t *testing.T) {
	t.Parallel()
	for name, lag := range map[string]func(*push.Master){"the new server's replica has caught up": caughtUp, "it has not": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inFailover(t, push.PublisherConfig{}, 0, func(f *failover) {
				promote := f.store.Replicate()
				f.store.sick(errors.New("not yet"), nil)
				second, stop := f.another()
				defer stop()
				synctest.Wait()
				for _, id := range []string{"one", "two"} {
					if _, err := second.Session("s").Trigger(f.t.Context(), "Do", map[string]string{"n": id}, push.WithID(id)); err != nil {
						f.t.Fatal(err)
					}
				}
				promote()
				f.stored()
				f.store.list(lag)
				f.store.Replicate() // another one follows
				f.store.sick(nil, nil)
				time.Sleep(3 * time.Second)
				f.stored("one", "two")
				// And what the first look has known is not published again and again.
				again := f.store.Replicate()
				if _, err := second.Session("s").Trigger(f.t.Context(), "Do", map[string]string{"n": "three"}, push.WithID("three")); err != nil {
					f.t.Fatal(err)
				}
				again()
				time.Sleep(3 * time.Second)
				f.stored("one", "two", "three")
			})
		})
	}
}

// TestReplicaOutOfSightAtTheStart: the one that takes over has lost its
// connection before the publisher's first look, which lists nobody. It is waited
// for like one that was seen.
func TestReplicaOutOfSightAtTheStart(t *testing.T) {
	t.Parallel()
	for name, lag := range map[string]func(*push.Master){"nobody is listed": nobody, "another is listed later": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inFailover(t, push.PublisherConfig{}, 0, func(f *failover) {
				promote := f.store.Replicate()
				f.store.list(nobody)
				second, stop := f.another()
				defer stop()
				time.Sleep(3 * time.Second)
				for _, id := range []string{"one", "two"} {
					if _, err := second.Session("s").Trigger(f.t.Context(), "Do", map[string]string{"n": id}, push.WithID(id)); err != nil {
						f.t.Fatal(err)
					}
				}
				time.Sleep(time.Minute)
				promote()
				f.store.list(lag)
				f.stored()
				time.Sleep(3 * time.Second)
				f.stored("one", "two")
			})
		})
	}
}

// TestReplicaOutOfSightOfANewServer: another server takes the writes and does
// not list the replica that takes over from it, more than the window later: one
// of two has been promoted, or the old server has started again.
func TestReplicaOutOfSightOfANewServer(t *testing.T) {
	t.Parallel()
	for name, restarted := range map[string]bool{"one of two was promoted": false, "the server was restarted": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inFailover(t, push.PublisherConfig{}, 0, func(f *failover) {
				other := f.store.Replicate()
				promote := func() {}
				list := nobody
				if restarted {
					list = func(m *push.Master) {
						clear(m.Replicas)
						m.ID, m.Followed = "restarted", false
					}
				} else {
					promote = f.store.Replicate()
				}
				f.store.list(caughtUp)
				time.Sleep(2 * time.Second)
				f.publish(3)
				time.Sleep(2 * time.Second)
				promote()
				f.store.list(list)
				time.Sleep(3 * time.Second)
				f.publish(6)
				time.Sleep(time.Minute)
				other()
				f.store.list(nobody)
				time.Sleep(3 * time.Second)
				f.stored(f.accepted...)
			})
		})
	}
}

// TestNobodyIsLeftAfterAFailover: the only replica has taken over, so nothing is
// kept for another one beyond the window.
func TestNobodyIsLeftAfterAFailover(t *testing.T) {
	t.Parallel()
	inFailover(t, push.PublisherConfig{}, 0, func(f *failover) {
		promote := f.follow()
		f.publish(3)
		promote()
		time.Sleep(time.Minute)
		f.metric("push_unconfirmed_bytes", 0)
	})
}
