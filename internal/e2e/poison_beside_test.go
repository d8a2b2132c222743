package e2e_test

import (
	"flag"
	"fmt"
	"testing"
	"time"

	"lastmile/internal/e2e/history"
	"lastmile/internal/e2e/testapp"
	"lastmile/internal/patience"
	"lastmile/push"
	"lastmile/push/redisstream"
)

var (
	besideKillers  = flag.Int("beside", 3, "killers of TestPushesThatKillBesideOthers")
	besideSessions = flag.Int("beside.sessions", 72, "its sessions, most of them of one to three tabs")
	besideFor      = flag.Duration("beside.for", 10*time.Second, "how long its publishers take")
)

// TestPushesThatKillBesideOthers pushes what ends every web node that applies
// it among many others: each node that starts finds pushes that were being
// started when nodes ended, in nearly all sessions, and more come all the time.
// Only those that kill are given up, after as many deaths as they are allowed;
// all else is applied once and in order, and so is a replay on mended nodes.
func TestPushesThatKillBesideOthers(t *testing.T) {
	t.Parallel()
	s := startSoak(t, soakConfig{
		length: *besideFor, sessions: *besideSessions, pushes: int(besideFor.Seconds()) * 200, seed: *soakSeed,
		nodeTTL: 3 * time.Second, deadly: true,
	})
	store, err := redisstream.New(s.redis.Client(t), redisstream.Config{})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	deaths := s.poisonAll(store)
	took := time.Since(began)
	s.awaitPublishers()
	for _, p := range s.pushes() {
		s.checker.Accept(p)
	}
	late := 0
	patience.UntilSaid(t, "all pushes", func() (bool, string) {
		late += s.startDead()
		return s.checker.Missing() == 0, fmt.Sprintf("%d not shown, %d web nodes ended late", s.checker.Missing(), late)
	})
	deaths += late
	// Each of the two nodes may die of it while it is new. Of the four starts
	// that are counted two are alone: those deaths are for each its own. A tab that
	// comes to it behind other pushes, as it does once, is not counted for it.
	most := 6 * *besideKillers
	for i := range *besideKillers {
		most += tabsOf(killerSession(i))
	}
	if deaths < 2+2**besideKillers || deaths > most {
		t.Errorf("%d pushes ended %d web nodes, want %d at most, and 4 each or some less that are shared", *besideKillers, deaths, most)
	}
	s.mend()
	replays := s.replayDead(store)
	if replays != *besideKillers {
		t.Errorf("%d pushes were given up, want the %d that kill", replays, *besideKillers)
	}
	s.finish()
	report := s.judge()
	t.Logf("report: %v; among them %d pushes ended %d web nodes within %v (%d after that) and were given up, %d replays",
		report, *besideKillers, deaths, took.Round(100*time.Millisecond), late, replays)
	for _, d := range report.Details {
		t.Error(d)
	}
	if report.Violations() > 0 {
		t.Errorf("violations: %v", report)
	}
	s.checkClicks()
}

// poisonAll pushes one killer after the other, each while nodes die of the one
// before, and keeps the nodes going until all are given up. It returns how many
// nodes have ended.
func (s *soak) poisonAll(store *redisstream.Transport) (deaths int) {
	s.t.Helper()
	publisher, err := push.NewPublisher(store, push.PublisherConfig{})
	if err != nil {
		s.t.Fatal(err)
	}
	pushed, clicked := 0, time.Now()
	patience.UntilSaid(s.t, "the dead letters", func() (bool, string) {
		deaths += s.startDead()
		if pushed < *besideKillers && deaths >= 3*pushed {
			s.pushDeadly(publisher, pushed)
			pushed++
		}
		if time.Since(clicked) > 500*time.Millisecond {
			s.click()
			clicked = time.Now()
		}
		n, err := store.DeadLetters().Count(s.t.Context())
		return err == nil && n >= *besideKillers && pushed == *besideKillers, fmt.Sprint(n, err)
	})
	return deaths
}

// killerSession is the session of the i-th killer: one that is not absent.
func killerSession(i int) int { return i%(absentEvery-1) + i/(absentEvery-1)*absentEvery }

// pushDeadly pushes a killer, and something harmless behind it.
func (s *soak) pushDeadly(publisher *push.Publisher, i int) {
	s.t.Helper()
	session := publisher.Session(testapp.SessionID(killerSession(i)))
	for _, token := range []string{fmt.Sprintf("exit-%d", i), fmt.Sprintf("behind-%d", i)} {
		r, err := session.Trigger(s.t.Context(), "Number", map[string]string{"token": token})
		if err != nil {
			s.t.Fatal(err)
		}
		if token[0] == 'b' {
			s.checker.Accept(history.Push{Session: session.ID(), Token: token, Seq: uint64(r.Seq)})
		}
	}
}
