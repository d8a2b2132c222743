package redisstream_test

import (
	"context"
	"flag"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lastmile/internal/patience"
	"lastmile/internal/redistest"
	"lastmile/push"
	"lastmile/push/redisstream"
)

var (
	heldFor  = flag.Duration("held", 3*time.Second, "how long a replica gets nothing before it takes over; from 15 s with the publisher's own window")
	heldRuns = flag.Int("held.runs", 1, "how often")
)

// TestReplicaHeldBack has a replica take over that has got nothing for longer
// than the publisher's window: every accepted push is stored once all the same.
// The replica is listed all the time, or it is not; nobody waits for it.
func TestReplicaHeldBack(t *testing.T) {
	t.Parallel()
	for name, hold := range map[string]func(link *proxy){
		"it lags":       func(link *proxy) { link.stall(true) },
		"it is cut off": func(link *proxy) { link.refuse() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for range *heldRuns {
				accepted, again := heldBack(t, hold)
				t.Logf("report: the replica got nothing for %v: %d pushes accepted, %d of them published again, 0 lost", *heldFor, accepted, again)
			}
		})
	}
}

const heldSessions = 8

// heldBack is one run. It returns how many pushes were accepted, and how many
// of them the replica lacked.
func heldBack(t *testing.T, hold func(link *proxy)) (total int, lacked int) {
	t.Helper()
	cfg := redistest.Config{AOF: "everysec", Args: []string{"--repl-diskless-sync-delay", "0"}}
	primary, replica := redistest.Start(t, cfg), redistest.Start(t, cfg)
	link, front := newProxy(t, primary.Addr()), newProxy(t, primary.Addr())
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	defer cancel()
	replicate(ctx, t, replica, link.l.Addr().String())

	transport := newTransport(t, front.client(t), redisstream.Config{MailboxLen: 10_000})
	settings := push.PublisherConfig{Logger: quiet, Timeout: time.Minute}
	if *heldFor < 15*time.Second {
		settings.ReplayWindow = *heldFor / 3
	}
	publisher, err := push.NewPublisher(transport, settings)
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() { _ = publisher.Run(ctx) })
	defer running.Wait()
	defer cancel()

	var over atomic.Bool
	var publishers sync.WaitGroup
	accepted := make([]int, heldSessions)
	for s := range heldSessions {
		publishers.Go(func() {
			pace := time.NewTicker(20 * time.Millisecond)
			defer pace.Stop()
			for !over.Load() {
				m := message(fmt.Sprintf("s%d", s), fmt.Sprintf("p%d", accepted[s]))
				if _, err := publisher.Publish(ctx, m); err != nil {
					t.Errorf("session %d: %v", s, err)
					return
				}
				accepted[s]++
				<-pace.C
			}
		})
	}
	<-time.After(*heldFor / 4)
	hold(link)
	<-time.After(*heldFor)
	promoted := replica.Client(t)
	if err := promoted.Do(ctx, "REPLICAOF", "NO", "ONE").Err(); err != nil {
		t.Fatal(err)
	}
	over.Store(true)
	publishers.Wait()
	for s, n := range accepted {
		total += n
		had, err := promoted.XLen(ctx, heldMailbox(transport, s)).Result()
		if err != nil {
			t.Fatal(err)
		}
		lacked += n - int(had)
	}
	if lacked == 0 {
		t.Error("the replica lacked nothing: nothing is shown")
	}
	primary.Kill()
	front.aim(replica.Addr())
	stored := newTransport(t, promoted, redisstream.Config{})
	for s, n := range accepted {
		session := fmt.Sprintf("s%d", s)
		patience.Until(t, fmt.Sprintf("all %d pushes of %s", n, session), func() bool { return len(everyID(ctx, stored, session)) >= n })
		ids := everyID(ctx, stored, session)
		for i := range n {
			if ids[fmt.Sprintf("p%d", i)] != 1 {
				t.Errorf("%s: push %d is stored %d times", session, i, ids[fmt.Sprintf("p%d", i)])
			}
		}
	}
	return total, lacked
}

func heldMailbox(transport *redisstream.Transport, s int) string {
	return transport.Mailbox(fmt.Sprintf("s%d", s))
}

// everyID counts the IDs in a mailbox.
func everyID(ctx context.Context, transport *redisstream.Transport, session string) map[string]int {
	ids := map[string]int{}
	entries, _ := transport.Read(ctx, session, 0, 1<<20)
	for _, e := range entries {
		ids[e.ID]++
	}
	return ids
}

// replicate makes a server the replica of what an address leads to.
func replicate(ctx context.Context, t *testing.T, replica *redistest.Server, addr string) {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	client := replica.Client(t)
	if err := client.Do(ctx, "REPLICAOF", host, port).Err(); err != nil {
		t.Fatal(err)
	}
	patience.Until(t, "the replica's link", func() bool {
		return strings.Contains(client.Info(ctx, "replication").Val(), "master_link_status:up")
	})
}
