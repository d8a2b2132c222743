package redistest

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"lastmile/internal/patience"
)

// clusterSlots is the number of slots of every cluster.
const clusterSlots = 16384

// Cluster is a Redis Cluster of masters with equal shares of the slots.
type Cluster struct {
	Masters []*Server
	// Replicas has one for each master, or none. See StartCluster.
	Replicas []*Server
}

// StartCluster runs a cluster of three masters until the test ends, each with
// a replica if asked for. cfg is each server's.
func StartCluster(t testing.TB, cfg Config, replicas bool) *Cluster {
	t.Helper()
	cfg.Args = append(cfg.Args, "--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-node-timeout", "2000", "--repl-diskless-sync-delay", "0")
	const masters = 3
	c := &Cluster{}
	all := make([]*Server, 0, 2*masters)
	for range masters {
		c.Masters = append(c.Masters, Start(t, cfg))
	}
	all = append(all, c.Masters...)
	if replicas {
		for range masters {
			c.Replicas = append(c.Replicas, Start(t, cfg))
		}
		all = append(all, c.Replicas...)
	}
	for i, s := range c.Masters {
		add := []any{"CLUSTER", "ADDSLOTS"} // ADDSLOTSRANGE needs Redis 7
		for slot := i * clusterSlots / masters; slot < (i+1)*clusterSlots/masters; slot++ {
			add = append(add, slot)
		}
		s.do(t, add...)
		s.do(t, "CLUSTER", "SET-CONFIG-EPOCH", i+1)
	}
	for _, s := range all[1:] {
		all[0].do(t, "CLUSTER", "MEET", "127.0.0.1", strconv.Itoa(s.port))
	}
	for _, s := range all {
		s.await(t, "to know all nodes", contains("cluster_known_nodes:"+strconv.Itoa(len(all))+"\r\n"), "CLUSTER", "INFO")
	}
	for i, s := range c.Replicas {
		id := c.Masters[i].do(t, "CLUSTER", "MYID")
		s.do(t, "CLUSTER", "REPLICATE", id)
		s.await(t, "to follow its master", contains("master_link_status:up"), "INFO", "replication")
	}
	for _, s := range all {
		s.await(t, "to serve all slots", contains("cluster_state:ok"), "CLUSTER", "INFO")
	}
	return c
}

// Client returns a client that is closed when the test ends.
func (c *Cluster) Client(t testing.TB) *redis.ClusterClient {
	t.Helper()
	o := &redis.ClusterOptions{
		Protocol: 2, DisableIdentity: true, DialTimeout: time.Second,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	for _, s := range c.Masters {
		o.Addrs = append(o.Addrs, s.Addr())
	}
	for _, s := range c.Replicas {
		o.Addrs = append(o.Addrs, s.Addr())
	}
	client := redis.NewClusterClient(o)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// Move gives a slot and its keys to another master, as an operator's rebalance
// does. It calls between while the slot lies on both, after each of some twenty
// batches of keys.
func (c *Cluster) Move(t testing.TB, slot int, to *Server, between func()) {
	t.Helper()
	from := c.Owner(t, slot)
	old, heir := from.do(t, "CLUSTER", "MYID"), to.do(t, "CLUSTER", "MYID")
	to.do(t, "CLUSTER", "SETSLOT", slot, "IMPORTING", old)
	from.do(t, "CLUSTER", "SETSLOT", slot, "MIGRATING", heir)
	source := from.client()
	defer source.Close()
	batch := max(1, int(source.ClusterCountKeysInSlot(t.Context(), slot).Val()/20))
	for {
		keys, err := source.ClusterGetKeysInSlot(t.Context(), slot, batch).Result()
		if err != nil {
			t.Fatalf("redistest: keys of slot %d: %v", slot, err)
		}
		if len(keys) == 0 {
			break
		}
		migrate := []any{"MIGRATE", "127.0.0.1", to.port, "", 0, 5000, "KEYS"}
		for _, k := range keys {
			migrate = append(migrate, k)
		}
		from.do(t, migrate...)
		between()
	}
	to.do(t, "CLUSTER", "SETSLOT", slot, "NODE", heir) // the heir first: else nobody would own it for a moment
	for _, s := range c.Masters {
		s.do(t, "CLUSTER", "SETSLOT", slot, "NODE", heir)
	}
}

// Owner returns the master that has a slot.
func (c *Cluster) Owner(t testing.TB, slot int) *Server {
	t.Helper()
	client := c.Masters[0].client()
	defer client.Close()
	ranges, err := client.ClusterSlots(t.Context()).Result() //nolint:staticcheck // what replaces it needs Redis 7
	if err != nil {
		t.Fatalf("redistest: slots: %v", err)
	}
	for _, r := range ranges {
		for _, s := range c.Masters {
			if r.Start <= slot && slot <= r.End && r.Nodes[0].Addr == s.Addr() {
				return s
			}
		}
	}
	t.Fatalf("redistest: no master has slot %d", slot)
	return nil
}

// do runs a command and returns its reply as text.
func (s *Server) do(t testing.TB, args ...any) string {
	t.Helper()
	c := s.client()
	defer c.Close()
	reply, err := c.Do(context.WithoutCancel(t.Context()), args...).Text()
	if err != nil {
		t.Fatalf("redistest: %v: %v", args, err)
	}
	return reply
}

// await repeats a command until its reply is as wanted.
func (s *Server) await(t testing.TB, what string, ok func(reply string) bool, args ...any) {
	t.Helper()
	deadline := time.NewTimer(patience.Limit)
	defer deadline.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !ok(s.do(t, args...)) {
		select {
		case <-deadline.C:
			t.Fatalf("redistest: server %s takes too long %s", s.Addr(), what)
		case <-tick.C:
		}
	}
}

// contains makes a condition for await.
func contains(part string) func(string) bool {
	return func(reply string) bool { return strings.Contains(reply, part) }
}
