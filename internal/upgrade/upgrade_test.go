package upgrade_test

import (
	"encoding/json"
	"flag"
	"html"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"lastmile/jobs"
	"lastmile/jobs/cron"
	"lastmile/live/livetest"
	"lastmile/push"
	"lastmile/push/pushtest"
)

var write = flag.String("write", "", "write what the present code stores as the file of this version, such as v0.2.0")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// frozen is an application that was cut off.
type frozen struct {
	// After is how long it had run.
	After time.Duration `json:"after"`
	// Open is the page that was open then, Away the one that had been closed.
	Open served `json:"open"`
	Away served `json:"away"`
	// Unique is the ID of the unique job.
	Unique string `json:"unique"`
	Keys   []key  `json:"keys"`
}

// TestEarlierVersions: what each version has stored is read, and what it had
// accepted is done, once and in order. "today" is what the present code stores.
func TestEarlierVersions(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/v*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no versions in testdata: %v", err)
	}
	t.Run("today", func(t *testing.T) {
		t.Parallel()
		var f frozen
		synctest.Test(t, func(t *testing.T) { f = freeze(t) })
		if *write != "" {
			save, err := json.MarshalIndent(f, "", "\t")
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join("testdata", *write+".json"), append(save, '\n'), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Test(t, func(t *testing.T) { goOn(t, f) })
	})
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var f frozen
			if err := json.Unmarshal(data, &f); err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) { goOn(t, f) })
		})
	}
}

// freeze plays the old version and returns it as it stands when it is cut off.
func freeze(t *testing.T) frozen {
	t.Helper()
	began := time.Now()
	s := newScene(t, pushtest.NewRedis(t), true)
	livetest.Run(t, s.app.Run)

	visit := func() (served, push.Session, *livetest.Page) {
		t.Helper()
		answer := httptest.NewRecorder()
		s.app.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), "GET", "http://live.test/", nil))
		v := served{HTML: answer.Body.String(), Cookies: answer.Header().Values("Set-Cookie")}
		page := livetest.NewBrowser(t).Load(v, "/")
		page.Connect(s.app)
		return v, *s.page.session.Load(), page
	}
	var f frozen
	var a, away push.Session
	var page *livetest.Page
	f.Away, away, page = visit()
	page.Close()
	f.Open, a, page = visit()
	f.Unique = s.play(a, away)
	page.WaitText("count 1 shared ann")

	synctest.Wait()
	keys, err := save(t.Context(), s.redis.Client(t))
	if err != nil {
		t.Fatal(err)
	}
	f.After, f.Keys = time.Since(began), keys
	return f
}

// goOn starts today's version on what was stored, a little later, and checks that
// nothing is missing.
func goOn(t *testing.T, f frozen) {
	t.Helper()
	ctx := t.Context()
	time.Sleep(f.After) // the times in the store are then
	store := pushtest.NewRedis(t)
	if err := load(ctx, store.Client(t), f.Keys); err != nil {
		t.Fatal(err)
	}
	time.Sleep(5 * time.Second)
	s := newScene(t, store, false)
	livetest.Run(t, s.app.Run)

	browser := livetest.NewBrowser(t)
	page := browser.Load(f.Open, "/")
	page.Connect(s.app) // with the token and the hash that it was served with
	page.WaitText("count 1 shared ann")
	if n := page.State().Mounts; n != 0 {
		t.Errorf("the open page was mounted anew %d times", n)
	}

	// What had failed for good can be done again.
	dead := s.app.Store().DeadLetters()
	letters, err := dead.List(ctx, push.DeadQuery{})
	if err != nil || len(letters) != 1 || letters[0].Entry.Action != "Break" {
		t.Fatalf("dead letters %v, %v", letters, err)
	}
	if _, err := dead.Replay(ctx, letters[0].ID); err != nil {
		t.Fatal(err)
	}
	page.WaitText("shared ann mended")
	if err := s.app.Jobs().Retry(ctx, "refused"); err != nil {
		t.Fatal(err)
	}

	second := livetest.NewBrowser(t)
	second.Do(f.Away, httptest.NewRequestWithContext(ctx, "GET", "http://live.test/", nil)) //nolint:bodyclose // takes the cookie; Do has read and closed it
	back := second.Open(s.app, "/")
	back.WaitText("count 1 shared bob")
	if text := browser.Open(s.app, "/other").Text(); !strings.HasPrefix(text, "count 1") {
		t.Errorf("what waited for another view: %s", text)
	}

	time.Sleep(2*wait + 10*time.Second)
	checkJobs(t, s, f.Unique)
	checkTold(t, page, back, f.Unique)
	checkCron(t, s)
}

// checkJobs: each job has ended as it should.
func checkJobs(t *testing.T, s *scene, unique string) {
	t.Helper()
	for _, tt := range []struct {
		id, args     string
		state        jobs.State
		gen, attempt int
		runs         int // in this version
	}{
		{id: "completed", state: jobs.StateCompleted, gen: 1, attempt: 1},
		{id: "refused", state: jobs.StateCompleted, gen: 2, attempt: 1, runs: 1},
		{id: "cancelled", state: jobs.StateCancelled, gen: 1},
		{id: "tried again", state: jobs.StateCompleted, gen: 1, attempt: 2, runs: 1},
		{id: "held", state: jobs.StateCompleted, gen: 1, attempt: 1, runs: 1},
		{id: "limited", state: jobs.StateCompleted, gen: 1, attempt: 1, runs: 1},
		{id: "pending", state: jobs.StateCompleted, gen: 1, attempt: 1, runs: 1},
		{id: "scheduled", state: jobs.StateCompleted, gen: 1, attempt: 1, runs: 1},
		{id: unique, args: "unique", state: jobs.StateCompleted, gen: 1, attempt: 1, runs: 1},
		{id: "chain", state: jobs.StateCompleted, gen: 1, attempt: 1},
		{id: "chain+1", args: "second", state: jobs.StateCompleted, gen: 1, attempt: 1, runs: 1},
		{id: "chain+2", args: "third", state: jobs.StateCompleted, gen: 1, attempt: 1, runs: 1},
		{id: "bound", state: jobs.StateCompleted, gen: 1, attempt: 1, runs: 1},
	} {
		info, err := s.app.Jobs().Get(t.Context(), tt.id)
		if err != nil {
			t.Errorf("%s: %v", tt.id, err)
			continue
		}
		if tt.args == "" {
			tt.args = tt.id
		}
		if info.State != tt.state || info.Gen != tt.gen || info.Attempt != tt.attempt || s.count(tt.args) != tt.runs {
			t.Errorf("%s: %s, generation %d, attempt %d, ran %d times; want %+v", tt.id, info.State, info.Gen, info.Attempt, s.count(tt.args), tt)
		}
	}
	members, err := s.app.Jobs().BatchOf(t.Context(), "batch")
	if err != nil || len(members) != 2 || s.count("member one") != 0 || s.count("member two") != 1 || s.count("all") != 1 {
		t.Errorf("batch: %d members, %v, its last step ran %d times", len(members), err, s.count("all"))
	}
	for _, m := range members {
		if m.State != jobs.StateCompleted {
			t.Errorf("batch: %s is %s", m.ID, m.State)
		}
	}
}

// checkTold: the pages were told each end once, by the old version or by today's.
func checkTold(t *testing.T, page, back *livetest.Page, unique string) {
	t.Helper()
	want := []string{
		"completed:completed", "refused:failed", "refused:completed", "cancelled:cancelled", "tried again:completed", "held:completed",
		"limited:completed", "pending:completed", "scheduled:completed", unique + ":completed", "chain:completed", "chain+1:completed",
		"chain+2:completed", "batch:finally:completed", "bound:completed",
	}
	got := told(page)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the page was told\n%q, want\n%q", got, want)
	}
	if got := told(back); !slices.Equal(got, []string{unique + ":completed"}) {
		t.Errorf("the session that was away was told %q", got)
	}
}

// told returns what a page shows of what it was told.
func told(p *livetest.Page) []string {
	_, list, _ := strings.Cut(p.HTML(), "<ul>")
	list, _, _ = strings.Cut(list, "</ul>")
	var all []string
	for item := range strings.SplitSeq(list, "<li>") {
		if item, _, ok := strings.Cut(item, "</li>"); ok {
			all = append(all, html.UnescapeString(item))
		}
	}
	return all
}

// checkCron: its times went on, and what was paused stays so.
func checkCron(t *testing.T, s *scene) {
	t.Helper()
	entries, err := cron.List(t.Context(), s.app.Jobs())
	if err != nil || len(entries) != 2 || entries[0].Paused || !entries[1].Paused {
		t.Errorf("cron: %+v, %v", entries, err)
	}
	if ran, paused := s.count("cron"), s.count("paused"); ran != 3 || paused != 0 {
		t.Errorf("cron: ran %d times in three minutes, and %d times while it is paused", ran, paused)
	}
}
