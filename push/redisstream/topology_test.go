package redisstream_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lastmile/internal/patience"
	"lastmile/internal/redistest"
	"lastmile/push"
	"lastmile/push/redisstream"
)

// TestClusterFailover kills a master under publishers to many sessions; its
// replica takes over, with what WAIT has made sure of.
func TestClusterFailover(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, redistest.Config{AOF: "everysec"}, true)
	cfg := redisstream.Config{MailboxLen: 10_000, WaitReplicas: 1, NodeTTL: 6 * time.Second}
	transport := newTransport(t, cluster.Client(t), cfg)
	survivesDeath(t, transport, newTransport(t, cluster.Client(t), cfg), cluster.Masters[1], func() { cluster.Replicas[1].AwaitPromotion(t) })
}

// TestSentinelFailover is the same with one master.
func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	s := redistest.StartSentinel(t, redistest.Config{AOF: "everysec"})
	cfg := redisstream.Config{MailboxLen: 10_000, WaitReplicas: 1, NodeTTL: 6 * time.Second}
	transport := newTransport(t, s.Client(t), cfg)
	survivesDeath(t, transport, newTransport(t, s.Client(t), cfg), s.Master, func() { s.AwaitSwitch(t) })
}

// survivesDeath appends to many sessions and kills the master in the middle. It
// comes back as the replica of the one that was its replica. The test requires
// every accepted push once, in order, and a listener that hears of what comes
// after.
func survivesDeath(t *testing.T, transport, listening *redisstream.Transport, master *redistest.Server, awaitSwitch func()) {
	t.Helper()
	const sessions = 24
	e, _ := listen(t, listening)
	ctx, cancel := context.WithTimeout(t.Context(), patience.Limit)
	defer cancel()
	var wg sync.WaitGroup
	var count atomic.Int64
	accepted := make([][]push.Seq, sessions)
	for i := range sessions {
		session := fmt.Sprintf("s%d", i)
		if _, err := transport.Attach(ctx, "a", session, 0); err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			for n := range 60 {
				r, err := appendUntilStored(ctx, transport, message(session, fmt.Sprintf("p%d", n)))
				if err != nil {
					t.Errorf("%s: push %d: %v", session, n, err)
					return
				}
				accepted[i] = append(accepted[i], r.Seq)
				count.Add(1)
			}
		})
	}
	patience.Until(t, "a third of the pushes", func() bool { return count.Load() > sessions*20 })
	started := time.Now()
	master.Kill()
	awaitSwitch()
	master.Restart() // without it nobody could confirm what the new master writes
	wg.Wait()
	t.Logf("report: %d pushes accepted around a failover, the last %s after the kill", count.Load(), time.Since(started).Round(time.Millisecond))
	for i, seqs := range accepted {
		checkMailbox(t, transport, fmt.Sprintf("s%d", i), seqs)
	}
	for i := range sessions {
		session := fmt.Sprintf("s%d", i)
		tries := 0
		patience.Until(t, "a hint for "+session+" after the failover", func() bool {
			last := accepted[i][len(accepted[i])-1]
			if _, err := transport.Attach(ctx, "a", session, last); err != nil {
				return false
			}
			// A hint may be lost while the listener moves over; a push that is
			// stored already gives no other, so each try is a push of its own.
			tries++
			_, err := transport.Append(ctx, message(session, fmt.Sprintf("end-%d-%d", i, tries)))
			return err == nil && e.heardPrefix(fmt.Sprintf("end-%d-", i))
		})
	}
}
