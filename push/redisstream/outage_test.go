package redisstream_test

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"lastmile/internal/patience"
	"lastmile/internal/redistest"
	"lastmile/push"
	"lastmile/push/redisstream"
)

// TestOutagesStoreOnce freezes the server again and again and has a node's
// connections go silent now and then, while each tenth reply to a publisher is
// lost: every push is stored once, comes to its feed once and in order, and the
// feeds go on soon after each outage.
func TestOutagesStoreOnce(t *testing.T) {
	t.Parallel()
	frozen, silent := 2*time.Second, 4*time.Second // a reader finds silence out within three seconds
	if *scale > 1 {
		frozen, silent = 5*time.Second, 10*time.Second
	}
	o := startOutages(t)
	back := map[string][]time.Duration{}
	for round := range *scale {
		o.server.Freeze(t)
		<-time.After(frozen)
		o.server.Thaw(t)
		back["frozen"] = append(back["frozen"], o.awaitFeeds())
		if round%10 > 0 {
			continue
		}
		o.reading.stall(true)
		<-time.After(silent)
		o.reading.stall(false)
		back["silent"] = append(back["silent"], o.awaitFeeds())
	}
	total := o.finish()
	for name, times := range back {
		slices.Sort(times)
		worst := times[len(times)-1]
		t.Logf("report: %d times %s; feeds go on after %v, at worst %v", len(times), name,
			times[len(times)/2].Round(time.Millisecond), worst.Round(time.Millisecond))
	}
	t.Logf("report: %d pushes, %d replies lost: each stored once, each seen once and in order", total, o.writing.lost())
}

const outageSessions = 4

// outages is a server with publishers and a node, each behind a proxy.
type outages struct {
	traffic

	t                *testing.T
	server           *redistest.Server
	reading, writing *proxy

	sent     atomic.Int64
	accepted [outageSessions][]push.Seq
	seen     [outageSessions]atomic.Int64
	latest   [outageSessions]atomic.Int64 // the Seq last seen
}

func startOutages(t *testing.T) *outages {
	t.Helper()
	o := &outages{t: t, server: redistest.Start(t, redistest.Config{AOF: "everysec"})}
	o.reading, o.writing = newProxy(t, o.server.Addr()), newProxy(t, o.server.Addr())
	cfg := redisstream.Config{MailboxLen: 10_000, ResumeWindow: time.Hour, NodeTTL: 6 * time.Second}
	n, err := push.NewNode(newTransport(t, o.reading.client(t), cfg), push.NodeConfig{Logger: quiet, SweepEvery: time.Hour}) // a sweep would hide what the listener overlooks
	if err != nil {
		t.Fatal(err)
	}
	publisher := newTransport(t, o.writing.client(t), cfg)
	o.start(t, n, outageSessions, time.Duration(*scale)*patience.Limit, func(s int) { o.publish(publisher, s) }, o.got)
	return o
}

// publish publishes p0, p1, ... each until it is accepted.
func (o *outages) publish(a push.Appender, s int) {
	pace := time.NewTicker(10 * time.Millisecond)
	defer pace.Stop()
	for i := 0; !o.over.Load(); i++ {
		if o.sent.Add(1)%10 == 0 {
			o.writing.loseReply()
		}
		r, err := appendUntilStored(o.ctx, a, message(fmt.Sprintf("s%d", s), fmt.Sprintf("p%d", i)))
		if err != nil {
			o.t.Errorf("session %d: push %d: %v", s, i, err)
			return
		}
		o.accepted[s] = append(o.accepted[s], r.Seq)
		<-pace.C
	}
}

// got notes a push that has come through a feed.
func (o *outages) got(s int, n int64, e push.Entry) {
	o.seen[s].Store(n)
	o.latest[s].Store(int64(e.Seq))
}

// awaitFeeds returns how long it takes until all feeds see what is published
// from now on.
func (o *outages) awaitFeeds() time.Duration {
	o.t.Helper()
	began := time.Now()
	for s := range outageSessions {
		patience.Until(o.t, fmt.Sprintf("a new push to session %d", s), func() bool {
			return o.latest[s].Load() > began.UnixMicro()
		})
	}
	return time.Since(began)
}

// finish ends the publishers, requires all that was accepted, and returns how
// much that is.
func (o *outages) finish() (total int) {
	o.t.Helper()
	o.over.Store(true)
	o.publishers.Wait()
	store := newTransport(o.t, o.server.Client(o.t), redisstream.Config{})
	for s, seqs := range o.accepted {
		total += len(seqs)
		patience.Until(o.t, fmt.Sprintf("all pushes of session %d", s), func() bool {
			return o.t.Failed() || o.seen[s].Load() == int64(len(seqs))
		})
		checkMailbox(o.t, store, fmt.Sprintf("s%d", s), seqs)
	}
	o.stopFeeds()
	o.feeds.Wait()
	return total
}
