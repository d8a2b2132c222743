package e2e_test

import (
	"flag"
	"strconv"
	"strings"
	"testing"
	"time"
)

var (
	failoverFor   = flag.Duration("failovers", 8*time.Second, "how long primaries are replaced by replicas that lack the latest writes")
	failoverKills = flag.Bool("failovers.kills", false, "also kill web nodes and cut sockets between failovers")
)

// TestSoakFailover replaces the primary again and again by a replica that lacks
// what the old one accepted in the last 0.4 to 2 seconds: pushes, states,
// acknowledgements. A publisher that is alive sends it again, and what a page
// has applied already is not applied again: 0 lost and 0 twice, with and
// without waiting for the replica. Only a push that waits keeps its order.
func TestSoakFailover(t *testing.T) {
	t.Parallel()
	faults := []string{"failover"}
	if *failoverKills {
		faults = append(faults, "kill web", "cut sockets")
	}
	for name, wait := range map[string]int{"replay": 0, "wait": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := startSoak(t, soakConfig{
				length: *failoverFor, sessions: *soakSessions, pushes: max(1, int(failoverFor.Seconds())) * 100, seed: *soakSeed,
				faults: faults, lossy: true, wait: wait,
			})
			s.injectFaults()
			s.finish()
			report := s.judge()
			t.Logf("report: %v", report)
			for _, line := range s.faultLines() {
				t.Logf("report: %s", line)
			}
			for _, d := range report.Details {
				t.Error(d)
			}
			if report.Violations() > 0 {
				t.Errorf("violations: %v", report)
			}
			swapped := s.checkLanes()
			t.Logf("report: %d pushes after a later one of their publisher", swapped)
			if wait > 0 && swapped > 0 {
				t.Errorf("%d pushes came after a later one of their publisher, although each waited for the replica", swapped)
			}
		})
	}
}

// failover lets the replica take over after a while in which the old primary
// goes on alone.
func (s *soak) failover() {
	s.t.Helper()
	s.pair.Split(s.t)
	s.rest(400*time.Millisecond, 2*time.Second)
	s.pair.Swap()
	s.store.SetTargets(s.pair.Primary.Addr())
	s.store.Cut("")
	s.rest(500*time.Millisecond, 2*time.Second)
	s.pair.Rejoin(s.t)
}

// checkLanes counts, over what all tabs show, the pushes that come after a
// later one of the same publisher.
func (s *soak) checkLanes() int {
	swapped := 0
	for _, tab := range s.tabs {
		log, _, _ := parseText(tab.Text())
		last := map[string]int{}
		for _, token := range log {
			lane, number, _ := strings.Cut(token, ".")
			n, _ := strconv.Atoi(number)
			if n < last[lane] {
				swapped++
			}
			last[lane] = max(last[lane], n)
		}
	}
	return swapped
}
