// Package adopt_test compares the application of Asynq's tutorial (tutorial) with
// the same that tells a browser of its tasks (browser), and runs the latter.
package adopt_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"lastmile/examples/adopt/browser"
	"lastmile/examples/adopt/tutorial"
	"lastmile/internal/patience"
	"lastmile/jobs"
	"lastmile/push"
	"lastmile/push/redisstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lines are those of a package that say something, beside its name.
func lines(t *testing.T, dir string) (all []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) != 3 {
		t.Fatalf("files %v, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			line = strings.TrimSpace(line)
			if line != "" && !strings.HasPrefix(line, "package ") && !strings.HasPrefix(line, "// Package ") {
				all = append(all, line)
			}
		}
	}
	return all
}

// TestAtMostFiveLines: that is what browser events cost an application of
// Asynq's, imports and changed lines included.
func TestAtMostFiveLines(t *testing.T) {
	t.Parallel()
	rest := lines(t, "tutorial")
	var added []string
	for _, line := range lines(t, "browser") {
		if i := slices.Index(rest, line); i >= 0 {
			rest = slices.Delete(rest, i, i+1)
		} else {
			added = append(added, line)
		}
	}
	if len(added) == 0 || len(added) > 5 {
		t.Errorf("%d lines were added, want at most 5:\n%s", len(added), strings.Join(added, "\n"))
	}
}

// page stands for the context of a live page's action.
type page struct {
	context.Context
	session push.Session
}

func (p page) Session() push.Session { return p.session }

// data binds a push's data as an action's context would.
type data []byte

func store(t *testing.T) *redis.Client {
	t.Helper()
	m := miniredis.RunT(t)
	rdb := redis.NewClient(&redis.Options{Addr: m.Addr(), Protocol: 2})
	t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

// work runs a worker until the test ends.
func work(t *testing.T, run func(context.Context, redis.UniversalClient) error, rdb *redis.Client) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, rdb) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Work: %v", err)
		}
	})
}

// TestThePageHears: the browser is told of the picture; what the tutorial's own
// client enqueues runs as ever.
func TestThePageHears(t *testing.T) {
	t.Parallel()
	rdb := store(t)
	mailboxes, err := redisstream.New(rdb, redisstream.Config{})
	if err != nil {
		t.Fatal(err)
	}
	publisher, err := push.NewPublisher(mailboxes, push.PublisherConfig{})
	if err != nil {
		t.Fatal(err)
	}
	work(t, browser.Work, rdb)
	if err := browser.SignUp(page{t.Context(), publisher.Session("s")}, rdb, 42, "ann.png"); err != nil {
		t.Fatal(err)
	}
	if err := tutorial.SignUp(t.Context(), rdb, 43, "bob.png"); err != nil {
		t.Fatal(err)
	}
	var states []jobs.State
	patience.Until(t, "the page is told", func() bool {
		entries, err := mailboxes.Read(t.Context(), "s", 0, 100)
		if err != nil {
			t.Fatal(err)
		}
		states = nil
		for _, e := range entries {
			event, err := jobs.EventOf(data(e.Data))
			if err != nil || e.Action != "PictureChanged" || event.Kind != browser.TypeImageResize {
				t.Errorf("told %s of %+v, %v", e.Action, event, err)
			}
			states = append(states, event.State)
		}
		return slices.Contains(states, jobs.StateCompleted)
	})
	patience.Until(t, "all have run", func() bool {
		n, err := rdb.Get(t.Context(), "asynq:{default}:processed").Int()
		return err == nil && n == 4
	})
}

// TestTheTutorialRuns as it is, too.
func TestTheTutorialRuns(t *testing.T) {
	t.Parallel()
	rdb := store(t)
	work(t, tutorial.Work, rdb)
	if err := tutorial.SignUp(t.Context(), rdb, 42, "ann.png"); err != nil {
		t.Fatal(err)
	}
	patience.Until(t, "both have run", func() bool {
		n, err := rdb.Get(t.Context(), "asynq:{default}:processed").Int()
		return err == nil && n == 2
	})
}

func (d data) Bind(v any) error { return json.Unmarshal(d, v) }
