package redistest

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// MasterName is the name that a Sentinel knows its master by.
const MasterName = "lastmile"

// Sentinel is a master with a replica, watched by one Sentinel that promotes
// the replica some three seconds after the master's death.
type Sentinel struct {
	Master, Replica *Server
	watcher         *Server
}

// StartSentinel runs a master, a replica and a Sentinel until the test ends.
// cfg is the master's and the replica's.
func StartSentinel(t testing.TB, cfg Config) *Sentinel {
	t.Helper()
	cfg.Args = append(cfg.Args, "--repl-diskless-sync-delay", "0")
	s := &Sentinel{Master: Start(t, cfg)}
	cfg.Args = append(cfg.Args, "--replicaof", "127.0.0.1", strconv.Itoa(s.Master.port))
	s.Replica = Start(t, cfg)
	s.Replica.await(t, "to follow its master", contains("master_link_status:up"), "INFO", "replication")

	conf := filepath.Join(t.TempDir(), "sentinel.conf")
	text := fmt.Sprintf("sentinel monitor %[1]s 127.0.0.1 %[2]d 1\nsentinel down-after-milliseconds %[1]s 2000\n"+
		"sentinel failover-timeout %[1]s 10000\n", MasterName, s.Master.port)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatalf("redistest: %v", err)
	}
	s.watcher = startWith(t, []string{conf, "--sentinel"}, nil)
	s.watcher.await(t, "to find the replica", contains("slaves=1"), "INFO", "sentinel")
	return s
}

// Client returns a client that follows the master, closed when the test ends.
func (s *Sentinel) Client(t testing.TB) *redis.Client {
	t.Helper()
	c := redis.NewFailoverClient(&redis.FailoverOptions{
		MasterName: MasterName, SentinelAddrs: []string{s.watcher.Addr()}, Protocol: 2, DisableIdentity: true,
		DialTimeout: time.Second,
	})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// AwaitSwitch waits until Sentinel tells clients that the replica is the
// master now. An old master that comes back earlier, and empty, could be taken
// for the master again.
func (s *Sentinel) AwaitSwitch(t testing.TB) {
	t.Helper()
	want := ",address=" + s.Replica.Addr() + ","
	s.watcher.await(t, "to switch", contains(want), "INFO", "sentinel")
	s.Replica.AwaitPromotion(t)
}
