package main_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"lastmile/cmd/internal/programtest"
	"lastmile/internal/patience"
	"lastmile/push"
	"lastmile/push/redisstream"
)

// store is a Redis for one test.
type store struct {
	t   *testing.T
	env []string

	client *redis.Client
	*redisstream.Transport
}

func newStore(t *testing.T) *store {
	t.Helper()
	m := miniredis.RunT(t)
	m.ClockTTL(true)
	client := redis.NewClient(&redis.Options{
		Addr: m.Addr(), MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	transport, err := redisstream.New(client, redisstream.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return &store{t, []string{"REDIS_URL=redis://" + m.Addr() + "/0"}, client, transport}
}

// run runs a command that must succeed, and decodes its JSON.
func run[T any](s *store, args ...string) T {
	s.t.Helper()
	var v T
	r := programtest.Run(s.t, s.env, append([]string{"--json"}, args...)...)
	if r.Code != 0 {
		s.t.Fatalf("worker %v: code %d: %s", args, r.Code, r.Errors)
	}
	if err := json.Unmarshal([]byte(r.Out), &v); err != nil {
		s.t.Fatalf("worker %v: %v in:\n%s", args, err, r.Out)
	}
	return v
}

type job struct {
	ID, Kind, State, Error string
	Gen                    int
	Existing               bool
	Result                 struct{ Rows int }
}

func TestBadCommands(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	for _, tt := range []struct {
		args string
		code int
		want []string
	}{
		{"", 2, []string{"run", "enqueue"}},
		{"run --concurrency=0", 2, []string{"--concurrency=0", "1 to 1000"}},
		{"run --queues=a=0", 2, []string{"--queues a=0", "1 to 1000"}},
		{"run --shutdown-timeout=1ms", 2, []string{"--shutdown-timeout=1ms", "1s"}},
		{"run --worker-addr=nowhere", 2, []string{"--worker-addr=nowhere"}},
		{"run --probe", 2, []string{"--worker-addr=", "--probe"}},
		{"enqueue nope {}", 2, []string{"KIND=nope", "reports.profile"}},
		{"run --kinds=nope", 2, []string{"--kinds=nope", "reports.profile"}},
		{`enqueue reports.profile {"nme":1}`, 2, []string{"nme"}},
		{`enqueue reports.profile {`, 2, []string{"ARGS"}},
		{`enqueue reports.profile {}{}`, 2, []string{"ARGS", "behind"}},
		{`enqueue reports.profile {} --in=-1s`, 2, []string{"--in=-1s", "0s"}},
		{`enqueue reports.profile {"name":"x"} --id=a~b`, 2, []string{"ID", "96 bytes"}},
		{`enqueue reports.profile {}`, 2, []string{"ARGS", "no name", "sample"}},
		{`enqueue reports.profile {"name":"x","slow":500}`, 2, []string{"ARGS", "slow is 500", "120"}},
		{"jobs list --state=asleep", 2, []string{"--state=asleep", "stalled"}},
		{"jobs list --limit=0", 2, []string{"--limit=0"}},
		{"jobs list --created-since=soon", 2, []string{"--created-since", "soon", "90m"}},
		{"jobs show nobody", 1, []string{"not found"}},
		{"jobs cancel nobody", 1, []string{"not found"}},
		{"dead list --reason=bored", 2, []string{"--reason=bored", "expired"}},
		{"dead purge", 2, []string{"--all"}},
		{"dead show nobody", 1, []string{"not found"}},
	} {
		t.Run(tt.args, func(t *testing.T) {
			t.Parallel()
			r := programtest.Run(t, s.env, strings.Fields(tt.args)...)
			if r.Code != tt.code {
				t.Errorf("got code %d, want %d", r.Code, tt.code)
			}
			for _, w := range tt.want {
				if !strings.Contains(r.Errors, w) {
					t.Errorf("it does not say %q:\n%s", w, r.Errors)
				}
			}
		})
	}
	t.Run("without a Redis", func(t *testing.T) {
		t.Parallel()
		if r := programtest.Run(t, nil, "dead", "list"); r.Code != 2 || !strings.Contains(r.Errors, "--redis-url") || !strings.Contains(r.Errors, "REDIS_URL") {
			t.Errorf("got code %d: %s", r.Code, r.Errors)
		}
	})
}

func TestJobs(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	const session = "A-SESSION-THAT-ASKS"
	h := run[job](s, "enqueue", "reports.profile", `{"name":"x.csv"}`, "--id=one", "--session="+session)
	if h.ID != "one" || h.Existing {
		t.Fatalf("enqueue: got %+v", h)
	}
	if h = run[job](s, "enqueue", "reports.profile", `{"name":"x.csv"}`, "--id=one", "--session="+session); !h.Existing {
		t.Errorf("enqueue again: got %+v, want the job that exists", h)
	}
	run[job](s, "enqueue", "reports.profile", `{"name":"later.csv"}`, "--id=two", "--in=1h")
	if list := run[[]job](s, "jobs", "list"); len(list) != 2 {
		t.Errorf("jobs list: got %+v, want two", list)
	}
	if list := run[[]job](s, "jobs", "list", "--session="+session); len(list) != 1 || list[0].ID != "one" {
		t.Errorf("jobs list of the session: got %+v", list)
	}
	run[map[string]string](s, "jobs", "cancel", "one")
	if j := run[job](s, "jobs", "show", "one"); j.State != "cancelled" {
		t.Errorf("after cancel: got %+v", j)
	}
	if r := programtest.Run(t, s.env, "jobs", "show", "one"); strings.Contains(r.Out, "cancelled cancelled") || !strings.Contains(r.Out, "state        cancelled") {
		t.Errorf("jobs show of a cancelled job:\n%s", r.Out)
	}
	run[map[string]string](s, "jobs", "retry", "one")
	if j := run[job](s, "jobs", "show", "one"); j.State != "queued" || j.Gen != 2 {
		t.Errorf("after retry: got %+v", j)
	}
	r := programtest.Run(t, s.env, "jobs", "list")
	if !strings.Contains(r.Out, "reports.profile") || strings.Contains(r.Out, session) {
		t.Errorf("as text:\n%s", r.Out)
	}
}

// A state is looked for among all jobs, not among the first of each list.
func TestListOfAState(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	p := programtest.Start(t, s.env, "run", "--log-format=json")
	p.WaitLine("working")
	for i := range 12 {
		run[job](s, "enqueue", "reports.profile", `{"name":"sample"}`, "--id=done"+strconv.Itoa(i))
	}
	run[job](s, "enqueue", "reports.profile", `{"name":"x.csv","file":"nothing"}`, "--id=bad")
	run[job](s, "enqueue", "reports.profile", `{"name":"x.csv"}`, "--id=later", "--in=1h")
	patience.UntilSaid(t, "the jobs", func() (bool, string) {
		done, bad := run[[]job](s, "jobs", "list", "--state=completed"), run[[]job](s, "jobs", "list", "--state=failed")
		return len(done) == 12 && len(bad) == 1, fmt.Sprintf("%d completed, failed %+v", len(done), bad)
	})
	for args, want := range map[string]int{
		"":                                   14,
		"--state=completed,failed":           13,
		"--state=scheduled":                  1,
		"--state=completed --limit=5":        5,
		"--kind=reports.profile":             14,
		"--kind=nobody":                      0,
		"--queue=default":                    14,
		"--created-since=1h":                 14,
		"--ended-before=1h":                  0,
		"--ended-since=2020-01-01T00:00:00Z": 13,
	} {
		if list := run[[]job](s, append([]string{"jobs", "list"}, strings.Fields(args)...)...); len(list) != want {
			t.Errorf("jobs list %s: %d, want %d", args, len(list), want)
		}
	}
	r := programtest.Run(t, s.env, "jobs", "show", "bad")
	for _, want := range []string{"attempt      1 of", "failure      ", "attempt 1 of ", " on "} {
		if !strings.Contains(r.Out, want) {
			t.Errorf("jobs show does not say %q:\n%s", want, r.Out)
		}
	}
	p.Signal(syscall.SIGTERM)
	p.Wait()
}

func TestRun(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	p := programtest.Start(t, s.env, "run", "--log-format=json", "--worker-addr=127.0.0.1:0")
	address, ok := p.WaitLine("working")["addr"].(string)
	if !ok {
		t.Fatal("the log has no address")
	}
	for path, want := range map[string]string{"/healthz": "ok", "/readyz": "ok", "/metrics": "jobs_"} {
		if got := get(t, "http://"+address+path); !strings.Contains(got, want) {
			t.Errorf("%s: got %.300s", path, got)
		}
	}
	if r := programtest.Run(t, s.env, "run", "--probe", "--worker-addr="+address); r.Code != 0 {
		t.Errorf("probe: code %d: %s", r.Code, r.Errors)
	}
	run[job](s, "enqueue", "reports.profile", `{"name":"sample"}`, "--id=job")
	var j job
	patience.UntilSaid(t, "the job", func() (bool, string) {
		j = run[job](s, "jobs", "show", "job")
		return j.State == "completed", fmt.Sprintf("%+v", j)
	})
	if j.Result.Rows != 10_000 {
		t.Errorf("got %d rows, want 10000", j.Result.Rows)
	}
	p.Signal(syscall.SIGTERM)
	if code := p.Wait(); code != 0 {
		t.Errorf("got exit code %d after SIGTERM, want 0", code)
	}
}

// A stop waits for running jobs, and says so; a second signal does not wait.
// TestHealthThroughTheDrain: what watches the worker sees it until its last job is
// done.
func TestHealthThroughTheDrain(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	p := programtest.Start(t, s.env, "run", "--log-format=json", "--worker-addr=127.0.0.1:0", "--shutdown-timeout=1h")
	address, _ := p.WaitLine("working")["addr"].(string)
	run[job](s, "enqueue", "reports.profile", `{"name":"sample","slow":100}`, "--id=job", "--session=SOMEBODY")
	patience.Until(t, "the job to start", func() bool { return run[job](s, "jobs", "show", "job").State == "running" })
	p.Signal(syscall.SIGTERM)
	p.WaitLine("stopping")
	patience.Until(t, "the depth", func() bool { return strings.Contains(get(t, "http://"+address+"/metrics"), "jobs_depth{") })
	for path, want := range map[string][]string{
		"/healthz": {"200", "ok"},
		"/readyz":  {"503", "draining"},
		"/metrics": {"jobs_busy 1", "jobs_slots", "jobs_depth{", "jobs_clock_skew_seconds"},
	} {
		got := get(t, "http://"+address+path)
		for _, w := range want {
			if !strings.Contains(got, w) {
				t.Errorf("%s: it lacks %q: %.300s", path, w, got)
			}
		}
	}
	run[map[string]string](s, "jobs", "cancel", "job")
	if code := p.Wait(); code != 0 {
		t.Errorf("got exit code %d, want 0", code)
	}
}

func TestSecondSignal(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	p := programtest.Start(t, s.env, "run", "--log-format=json", "--kinds=reports.profile")
	p.WaitLine("working")
	run[job](s, "enqueue", "reports.profile", `{"name":"sample","slow":60}`, "--id=job", "--session=SOMEBODY")
	patience.Until(t, "the job to start", func() bool { return run[job](s, "jobs", "show", "job").State == "running" })
	p.Signal(syscall.SIGTERM)
	p.WaitLine("stopping")
	p.Signal(syscall.SIGTERM)
	if code := p.Wait(); code != -1 {
		t.Errorf("got exit code %d after the second signal, want death by it", code)
	}
	if got := run[map[string]string](s, "jobs", "cancel", "job"); got["result"] != "cancelling" {
		t.Errorf("cancel of a job whose worker is dead: got %v", got)
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	var b strings.Builder
	if err := res.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

type letter struct {
	ID, Action, Session, Reason, Error string
	Data                               map[string]any
}

// deadLetter makes one.
func (s *store) deadLetter(ctx context.Context, session, action string) {
	s.t.Helper()
	r, err := s.Append(ctx, push.Message{ID: push.NewID(), Session: session, Action: action, Data: json.RawMessage(`{"n":1}`)})
	if err == nil {
		err = s.DeadLetter(ctx, session, r.Seq, push.Failure{Reason: push.ReasonError, Attempts: 8, Node: "n1", Error: "no luck"})
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// An error's text may hold what a stranger has sent: it must not steer the
// operator's terminal, nor make up lines of a table.
func TestDeadOnATerminal(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	r, err := s.Append(t.Context(), push.Message{ID: push.NewID(), Session: "A-SESSION-WITH-BAD-MANNERS", Action: "One"})
	if err == nil {
		err = s.DeadLetter(t.Context(), "A-SESSION-WITH-BAD-MANNERS", r.Seq, push.Failure{Reason: push.ReasonError, Error: "no \x1b[2J\u009b31m\r\nluck\ttoday"})
	}
	if err != nil {
		t.Fatal(err)
	}
	id := run[[]letter](s, "dead", "list")[0].ID
	for _, args := range [][]string{{"dead", "list"}, {"dead", "show", id}} {
		r := programtest.Run(t, s.env, args...)
		if strings.ContainsAny(r.Out, "\x1b\u009b\r") || !strings.Contains(r.Out, "[2J") {
			t.Errorf("%v: %q", args, r.Out)
		}
	}
	if r := programtest.Run(t, s.env, "dead", "list"); strings.Count(r.Out, "\n") != 2 {
		t.Errorf("a list of one: %q", r.Out)
	}
}

func TestDead(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	const session = "A-SESSION-THAT-HAS-NO-LUCK"
	for _, action := range []string{"One", "Two", "Three"} {
		s.deadLetter(t.Context(), session, action)
	}
	list := run[[]letter](s, "dead", "list", "--reason=error")
	if len(list) != 3 || list[0].Action != "One" || list[0].Error != "no luck" || list[0].Data != nil {
		t.Fatalf("dead list: got %+v", list)
	}
	if list[0].Session == session {
		t.Error("dead list shows a session ID in full")
	}
	if rest := run[[]letter](s, "dead", "list", "--after="+list[0].ID, "--limit=1"); len(rest) != 1 || rest[0].Action != "Two" {
		t.Errorf("dead list --after: got %+v", rest)
	}
	if l := run[letter](s, "dead", "show", list[0].ID); l.Data["n"] != 1.0 {
		t.Errorf("dead show: got %+v", l)
	}
	if r := programtest.Run(t, s.env, "dead", "replay", "nobody", list[0].ID); r.Code != 1 || !strings.Contains(r.Errors, "nobody") || !strings.Contains(r.Out, list[0].ID) {
		t.Errorf("dead replay of nobody and one: code %d, %s, %s", r.Code, r.Errors, r.Out)
	}
	replayed := run[[]map[string]any](s, "dead", "replay", list[1].ID)
	backlog, err := s.Pending(t.Context(), session, 0)
	if err != nil || len(replayed) != 1 || len(backlog.Entries) != 2 || backlog.Entries[0].Action != "One" {
		t.Errorf("dead replay: got %v, mailbox %+v, %v", replayed, backlog.Entries, err)
	}
	if got := run[map[string]int](s, "dead", "purge", "--session="+session); got["removed"] != 1 {
		t.Errorf("dead purge: got %v, want one", got)
	}
	r := programtest.Run(t, s.env, "dead", "list")
	if !strings.HasPrefix(r.Out, "ID") || strings.Count(r.Out, "\n") != 1 {
		t.Errorf("as text:\n%s", r.Out)
	}
}
