package redisstream_test

import (
	"context"
	"errors"
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

// TestSlotsMoveUnderLoad has an operator move sessions' slots from master to
// master while publishers publish and a node listens. While a slot lies on two
// masters no script with several keys runs on either (TRYAGAIN, ASK): what was
// refused is accepted when it is repeated, once, and the node's readers go
// where its streams went.
func TestSlotsMoveUnderLoad(t *testing.T) {
	t.Parallel()
	for name, wait := range map[string]int{"one copy": 0, "each push waits for a replica": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cluster := redistest.StartCluster(t, redistest.Config{AOF: "everysec"}, wait > 0)
			m := startMigration(t, cluster, redisstream.Config{WaitReplicas: wait, NodeTTL: 6 * time.Second})
			moves := 3 * *scale
			for i := range moves {
				m.move(i)
			}
			m.finish()
			if m.refused.Load() == 0 {
				t.Error("no push was refused: nothing was tested")
			}
			t.Logf("report: %d pushes while %d slots moved, %d tries refused; slowest push to its feed %v",
				m.sum(), moves, m.refused.Load(), time.Duration(m.slowest.Load()).Round(time.Millisecond))
		})
	}
}

const movedSessions = 12

// migration is a cluster under load.
type migration struct {
	traffic

	t         *testing.T
	cluster   *redistest.Cluster
	transport *redisstream.Transport

	accepted, seen   [movedSessions]atomic.Int64
	refused, slowest atomic.Int64
}

// startMigration starts a publisher and a feed for each session.
func startMigration(t *testing.T, cluster *redistest.Cluster, cfg redisstream.Config) *migration {
	t.Helper()
	m := &migration{t: t, cluster: cluster, transport: newTransport(t, cluster.Client(t), cfg)}
	n, err := push.NewNode(newTransport(t, cluster.Client(t), cfg), push.NodeConfig{Logger: quiet, SweepEvery: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	m.start(t, n, movedSessions, time.Duration(*scale)*patience.Limit, m.publish, m.got)
	return m
}

// publish publishes p0, p1, ... each until it is accepted.
func (m *migration) publish(s int) {
	pace := time.NewTicker(5 * time.Millisecond)
	defer pace.Stop()
	for i := 0; !m.over.Load(); i++ {
		_, err := appendUntilStored(m.ctx, counted{m.transport, &m.refused}, message(fmt.Sprintf("s%d", s), fmt.Sprintf("p%d", i)))
		if err != nil {
			m.t.Errorf("session %d: push %d: %v", s, i, err)
			return
		}
		m.accepted[s].Add(1)
		<-pace.C
	}
}

// got notes a push that has come through a feed.
func (m *migration) got(s int, n int64, e push.Entry) {
	m.seen[s].Store(n)
	if took := time.Now().UnixMicro() - int64(e.Seq); took*1000 > m.slowest.Load() {
		m.slowest.Store(took * 1000)
	}
}

// move moves a session's slot to the next master, slowly, and waits until its
// publisher has got through.
func (m *migration) move(i int) {
	m.t.Helper()
	s := i % movedSessions
	slot := redisstream.Slot("lm", 16, fmt.Sprintf("s%d", s))
	masters := m.cluster.Masters
	to := masters[(slices.Index(masters, m.cluster.Owner(m.t, slot))+1)%len(masters)]
	pace := time.NewTicker(20 * time.Millisecond)
	defer pace.Stop()
	m.cluster.Move(m.t, slot, to, func() { <-pace.C })
	before := m.accepted[s].Load()
	patience.Until(m.t, "pushes to the slot's new master", func() bool { return m.accepted[s].Load() > before+10 })
}

// finish ends the publishers and requires all that was accepted.
func (m *migration) finish() {
	m.t.Helper()
	m.over.Store(true)
	m.publishers.Wait()
	for s := range movedSessions {
		patience.Until(m.t, fmt.Sprintf("all pushes of session %d", s), func() bool {
			return m.t.Failed() || m.seen[s].Load() == m.accepted[s].Load()
		})
	}
	m.stopFeeds()
	m.feeds.Wait()
}

func (m *migration) sum() (n int64) {
	for s := range movedSessions {
		n += m.accepted[s].Load()
	}
	return n
}

// counted counts the tries that failed.
type counted struct {
	push.Appender
	failed *atomic.Int64
}

func (c counted) Append(ctx context.Context, m push.Message) (push.Receipt, error) {
	r, err := c.Appender.Append(ctx, m)
	if err != nil && !errors.Is(err, context.Canceled) {
		c.failed.Add(1)
	}
	return r, err
}
