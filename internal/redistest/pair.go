package redistest

import (
	"net"
	"testing"
)

// Pair is a primary and a replica, without anybody who watches them: the test
// says when the replica takes over, and how much it lacks then.
type Pair struct {
	Primary, Replica *Server
}

// StartPair runs a primary and a replica until the test ends. cfg is each
// server's.
func StartPair(t testing.TB, cfg Config) *Pair {
	t.Helper()
	cfg.Args = append(cfg.Args, "--repl-diskless-sync-delay", "0")
	p := &Pair{Primary: Start(t, cfg), Replica: Start(t, cfg)}
	p.Replica.Follow(t, p.Primary)
	return p
}

// Split promotes the replica. The primary does not know, and goes on taking
// writes: those that the new one lacks.
func (p *Pair) Split(t testing.TB) {
	t.Helper()
	p.Replica.do(t, "REPLICAOF", "NO", "ONE")
}

// Swap kills the old primary by SIGKILL after a Split. The two change places;
// Rejoin brings the killed one back.
func (p *Pair) Swap() {
	p.Primary.Kill()
	p.Primary, p.Replica = p.Replica, p.Primary
}

// Rejoin starts the server that Swap has killed, as the replica of the other.
func (p *Pair) Rejoin(t testing.TB) {
	t.Helper()
	p.Replica.Restart()
	p.Replica.Follow(t, p.Primary)
}

// Follow makes the server a replica of another, and waits until it has all that
// the other holds.
func (s *Server) Follow(t testing.TB, primary *Server) {
	t.Helper()
	host, port, err := net.SplitHostPort(primary.Addr())
	if err != nil {
		t.Fatalf("redistest: %v", err)
	}
	s.do(t, "REPLICAOF", host, port)
	s.await(t, "to follow its master", contains("master_link_status:up"), "INFO", "replication")
	primary.await(t, "to see its replica", contains("state=online"), "INFO", "replication")
}
