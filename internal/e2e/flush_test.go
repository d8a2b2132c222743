package e2e_test

import (
	"testing"
	"time"

	"lastmile/internal/e2e/testapp"
	"lastmile/internal/patience"
	"lastmile/push"
	"lastmile/push/redisstream"
)

// TestEmptiedRedis: FLUSHALL on a real server under pages that are open on two
// nodes. Each of them is told that it was mounted anew, shows nothing of what
// is gone, and gets what comes then.
func TestEmptiedRedis(t *testing.T) {
	t.Parallel()
	s := startSoak(t, soakConfig{length: time.Second, sessions: 6, pushes: 240, nodeTTL: 3 * time.Second})
	s.finish()
	if report := s.checker.Report(); report.Violations() > 0 {
		t.Fatalf("before: %v: %q", report, report.Details)
	}
	client := s.redis.Client(t)
	if err := client.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	flushed := time.Now()
	patience.UntilSaid(t, "pages mounted anew", func() (bool, string) {
		for _, tab := range s.tabs {
			if tab.Stats().Remounts == 0 || tab.Text() != "||0" {
				return false, tab.name + " shows " + tab.Text()
			}
		}
		return true, ""
	})
	t.Logf("report: %d pages mounted anew within %v", len(s.tabs), time.Since(flushed).Round(10*time.Millisecond))

	transport, err := redisstream.New(client, redisstream.Config{})
	if err != nil {
		t.Fatal(err)
	}
	publisher, err := push.NewPublisher(transport, push.PublisherConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for n := range s.cfg.sessions {
		session := publisher.Session(testapp.SessionID(n))
		if err := session.TriggerAction("Number", map[string]any{"token": "after"}); err != nil {
			t.Fatal(err)
		}
	}
	patience.UntilSaid(t, "the first push after it", func() (bool, string) {
		for _, tab := range s.tabs {
			if tab.Text() != "after,|after,|0" {
				return false, tab.name + " shows " + tab.Text()
			}
		}
		return true, ""
	})
}
