package e2e_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"lastmile/internal/e2e/history"
	"lastmile/internal/patience"
	"lastmile/push"
	"lastmile/push/redisstream"
)

var deadlyPushes = flag.Int("deadly", 2, "pushes of TestPushThatKillsItsProcess that end a web node; each takes seconds")

// TestPushThatKillsItsProcess pushes what ends every web node that applies it,
// into sessions of one, two and three tabs. Each is found out and given up after
// a few deaths; what comes behind it, and all else, is applied once and in
// order, and a replay on mended nodes applies each once too.
func TestPushThatKillsItsProcess(t *testing.T) {
	t.Parallel()
	s := startSoak(t, soakConfig{length: time.Second, sessions: 12, pushes: 240, nodeTTL: 3 * time.Second, deadly: true})
	store, err := redisstream.New(s.redis.Client(t), redisstream.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s.awaitPublishers()
	for _, p := range s.pushes() {
		s.checker.Accept(p)
	}
	s.awaitPages()
	deaths := s.poison(store)
	if deaths < 2**deadlyPushes || deaths > 8**deadlyPushes {
		t.Errorf("%d pushes ended %d web nodes, want some 4 each", *deadlyPushes, deaths)
	}
	s.mend()
	replays := s.replayDead(store)
	s.finish()
	report := s.judge()
	t.Logf("report: %v; %d pushes ended %d web nodes and were given up, %d replays", report, *deadlyPushes, deaths, replays)
	for _, d := range report.Details {
		t.Error(d)
	}
	if report.Violations() > 0 {
		t.Errorf("violations: %v", report)
	}
}

// poison pushes what kills, each time with a harmless push behind it, and keeps
// the nodes going until it is given up. It returns how many nodes have ended.
func (s *soak) poison(store *redisstream.Transport) (deaths int) {
	s.t.Helper()
	publisher, err := push.NewPublisher(store, push.PublisherConfig{})
	if err != nil {
		s.t.Fatal(err)
	}
	for i := range *deadlyPushes {
		s.pushDeadly(publisher, i)
		patience.UntilSaid(s.t, "a dead letter", func() (bool, string) {
			deaths += s.startDead()
			n, err := store.DeadLetters().Count(s.t.Context())
			return n == i+1 && s.checker.Missing() == 0, fmt.Sprint(n, err)
		})
	}
	return deaths
}

// startDead starts the web nodes that have ended, and returns how many had.
func (s *soak) startDead() (n int) {
	s.t.Helper()
	for _, w := range s.webs {
		if !w.Running() {
			n++
			s.start(w)
		}
	}
	return n
}

// mend puts nodes in place that nothing ends.
func (s *soak) mend() {
	s.t.Helper()
	for _, w := range s.webs {
		w.Kill()
		w.spec.Deadly = false
		s.start(w)
		s.waitReady(w)
	}
}

// replayDead checks the dead letters and replays them all.
func (s *soak) replayDead(store *redisstream.Transport) int {
	s.t.Helper()
	letters, err := store.DeadLetters().List(s.t.Context(), push.DeadQuery{Limit: 1000})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, l := range letters {
		if l.Reason != push.ReasonCrashLoop || l.Attempts != 4 {
			s.t.Errorf("given up for %s after %d starts, want crash-loop after 4", l.Reason, l.Attempts)
		}
		r, err := store.DeadLetters().Replay(s.t.Context(), l.ID)
		if err != nil {
			s.t.Fatal(err)
		}
		var data struct{ Token string }
		if err := json.Unmarshal(l.Entry.Data, &data); err != nil {
			s.t.Fatal(err)
		}
		if !strings.HasPrefix(data.Token, "exit-") {
			s.t.Errorf("given up: %s of %s, which is harmless", data.Token, l.Entry.Session)
		}
		s.checker.Accept(history.Push{Session: l.Entry.Session, Token: data.Token, Seq: uint64(r.Seq)})
	}
	return len(letters)
}
