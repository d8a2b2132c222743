package e2e_test

import (
	"flag"
	"testing"
	"time"

	"lastmile/internal/e2e/testapp"
)

var (
	soakFor      = flag.Duration("soak", 25*time.Second, "how long faults are injected")
	soakSessions = flag.Int("sessions", 24, "sessions of the soak")
	soakPushes   = flag.Int("pushes", 3000, "pushes of the soak")
	soakSeed     = flag.Uint64("seed", 0, "seed of the faults; 0 takes a random one")
)

// TestSoak is the whole promise under random faults: per connection 0 lost, 0
// applied twice, 0 out of order; every click applied once; and what nobody was
// there for is on the page when somebody comes.
func TestSoak(t *testing.T) {
	t.Parallel()
	s := startSoak(t, soakConfig{
		length: *soakFor, sessions: *soakSessions, pushes: *soakPushes, seed: *soakSeed,
		faults:  []string{"kill web", "kill publisher", "kill redis", "freeze redis", "cut sockets", "half-open", "pause web", "freeze web", "stall clients", "deploy web"},
		nodeTTL: 3 * time.Second,
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
	s.checkClicks()
}

// TestSoakCatchesABrokenBuild breaks one guarantee at a time: a checker that
// finds nothing then would find nothing ever.
func TestSoakCatchesABrokenBuild(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		breaks testapp.Broken
		faults []string
	}{
		{testapp.Cursor, []string{"kill web", "cut sockets"}},
		{testapp.Dedupe, []string{"kill publisher", "kill redis"}},
	} {
		t.Run(string(tt.breaks), func(t *testing.T) {
			t.Parallel()
			s := startSoak(t, soakConfig{length: 8 * time.Second, sessions: 6, pushes: 1200, faults: tt.faults, breaks: tt.breaks})
			s.injectFaults()
			s.finish()
			report := s.judge()
			if report.Twice == 0 {
				t.Errorf("the checker saw nothing applied twice: %v", report)
			}
			t.Logf("report: %s broken: %v", tt.breaks, report)
		})
	}
}
