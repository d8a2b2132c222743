package main_test

import (
	"context"
	"io"
	"net/http"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"lastmile/cmd/internal/programtest"
	"lastmile/internal/patience"
)

func TestBadSettings(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args, env string
		code      int
		want      []string
	}{
		{"--addr=nowhere", "", 2, []string{"--addr=nowhere", "host:port"}},
		{"--concurrency=0", "", 2, []string{"--concurrency=0", "1 to 1000"}},
		{"--concurrency=x", "", 2, []string{"--concurrency", "x"}},
		{"", "LASTMILE_CONCURRENCY=5000", 2, []string{"--concurrency=5000", "1 to 1000"}},
		{"", "LASTMILE_MAX_UPLOAD=huge", 2, []string{"--max-upload", "huge", "LASTMILE_MAX_UPLOAD"}},
		{"--max-upload=2GB", "", 2, []string{"--max-upload=2GB", "1KB to 1GB"}},
		{"--max-stored=1MB", "", 2, []string{"--max-stored=1MB", "64MB"}},
		{"--admin-token=short", "", 2, []string{"--admin-token", "16"}},
		{"--publish-keys=short", "", 2, []string{"--publish-keys", "32"}},
		{"--public-url=example.com", "", 2, []string{"--public-url=example.com", "https://host"}},
		{"--allowed-origins=https://a.example/x", "", 2, []string{"--allowed-origins=https://a.example/x", "https://host"}},
		{"--redis-url=foo://h", "", 2, []string{"--redis-url", "its scheme must be redis, rediss"}},
		{"--log-format=xml", "", 2, []string{"--log-format", "xml", "json"}},
		{"--resume-ttl=1s", "", 2, []string{"--resume-ttl=1s", "1m0s"}},
		{"--nonsense", "", 2, []string{"--nonsense"}},
		{"--addr=203.0.113.1:1", "", 1, []string{"203.0.113.1:1", "--addr"}},
		{"--probe --addr=127.0.0.1:1", "", 1, []string{"refused"}},
	} {
		t.Run(tt.args+tt.env, func(t *testing.T) {
			t.Parallel()
			r := programtest.Run(t, []string{tt.env}, strings.Fields(tt.args)...)
			if r.Code != tt.code {
				t.Errorf("got code %d, want %d", r.Code, tt.code)
			}
			for _, w := range tt.want {
				if !strings.Contains(r.Errors, w) {
					t.Errorf("it does not say %q:\n%s", w, r.Errors)
				}
			}
			if strings.Contains(r.Errors, "short") {
				t.Errorf("it prints a secret:\n%s", r.Errors)
			}
		})
	}
}

// --help names the environment variable of every setting.
func TestHelp(t *testing.T) {
	t.Parallel()
	r := programtest.Run(t, nil, "--help")
	if r.Code != 0 {
		t.Fatalf("got code %d", r.Code)
	}
	flags := regexp.MustCompile(`(?m)^ +(?:-\w, )?--([a-z-]+)`).Split(r.Out, -1)[1:]
	names := regexp.MustCompile(`(?m)^ +(?:-\w, )?--([a-z-]+)`).FindAllStringSubmatch(r.Out, -1)
	for i, text := range flags {
		if name := names[i][1]; name != "help" && name != "version" && name != "completion" && name != "probe" && !strings.Contains(text, "($") {
			t.Errorf("--%s has no environment variable", name)
		}
	}
	if len(flags) < 25 {
		t.Errorf("only %d flags are listed", len(flags))
	}
}

// web is a running program.
type web struct {
	*programtest.Process
	t     *testing.T
	url   string
	token string // of the link that it prints, without --admin-token
}

func start(t *testing.T, args ...string) *web {
	t.Helper()
	p := programtest.Start(t, nil, append([]string{"--addr=127.0.0.1:0", "--log-format=json"}, args...)...)
	address, ok := p.WaitLine("listening")["url"].(string)
	if !ok {
		t.Fatalf("no address in the log:\n%s", p.Log())
	}
	w := &web{p, t, address, ""}
	if !strings.Contains(strings.Join(args, " "), "--admin-token") {
		link, _ := p.WaitLine("operator's pages open with this link")["url"].(string)
		_, w.token, ok = strings.Cut(link, "/ops?token=")
		if !ok || len(w.token) != 32 {
			t.Fatalf("no link with a token in the log:\n%s", p.Log())
		}
	}
	w.waitReady()
	return w
}

// waitReady waits until the program wants visitors.
func (w *web) waitReady() {
	w.t.Helper()
	patience.Until(w.t, "/readyz to say 200", func() bool { return w.status("/readyz", nil) == http.StatusOK })
}

// operator has a request bring the token of the link.
func (w *web) operator(r *http.Request) { r.Header.Set("Authorization", "Bearer "+w.token) }

// answer is a response that has been read.
type answer struct {
	status int
	header http.Header
	body   string
}

func (w *web) do(client *http.Client, method, path string, edit func(*http.Request)) answer {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience.Limit)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, w.url+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	if edit != nil {
		edit(r)
	}
	c := *client
	c.Transport = &http.Transport{DisableKeepAlives: true}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	res, err := c.Do(r)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	b, err := io.ReadAll(res.Body)
	if err := res.Body.Close(); err != nil {
		w.t.Error(err)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(b)}
}

func (w *web) status(path string, edit func(*http.Request)) int {
	w.t.Helper()
	return w.do(http.DefaultClient, http.MethodGet, path, edit).status
}

// publish pushes to a browser's session as another program does, and reads it there.
func (w *web) publish(key string) {
	w.t.Helper()
	cookie, _, _ := strings.Cut(w.do(http.DefaultClient, http.MethodGet, "/plain", nil).header.Get("Set-Cookie"), ";")
	_, value, _ := strings.Cut(cookie, "=")
	session, _, _ := strings.Cut(value, ".") // as docs/push-only.md says
	post := func(key string) int {
		return w.do(http.DefaultClient, http.MethodPost, "/push/publish", func(r *http.Request) {
			r.Header.Set("Authorization", "Bearer "+key)
			r.Header.Set("Content-Type", "application/json")
			r.Body = io.NopCloser(strings.NewReader(`{"session":"` + session + `","action":"PlainSaid","data":{"text":"from curl"}}`))
		}).status
	}
	if got := post(strings.Repeat("x", 32)); got != http.StatusUnauthorized {
		w.t.Errorf("publishing with another key: status %d, want 401", got)
	}
	if got := post(key); got != http.StatusAccepted {
		w.t.Errorf("publishing: status %d, want 202", got)
	}
	events := w.do(http.DefaultClient, http.MethodGet, "/push/events?actions=PlainSaid&wait=0", func(r *http.Request) {
		r.Header.Set("Cookie", cookie)
		r.Header.Set("Accept", "application/json")
	})
	if !strings.Contains(events.body, "from curl") {
		w.t.Errorf("the browser reads %d %s", events.status, events.body)
	}
}

func TestServesWithNothingElse(t *testing.T) {
	t.Parallel()
	key := strings.Repeat("k", 32)
	w := start(t, "--demo", "--publish-keys="+key)
	w.publish(key)
	for path, want := range map[string]string{
		"/reports":           "What is in this file?",
		"/slow":              "TriggerAction",
		"/timer":             "Ready",
		"/webhook":           w.url + "/hooks/",
		"/board":             "Nobody has said anything",
		"/guide/":            "Guide",
		"/ops":               "it is embedded",
		"/healthz":           "ok",
		"/readyz":            "ok",
		"/metrics":           "lastmile_build_info",
		"/admin/asynq/":      "<!doctype html>",
		"/admin/pprof/heap":  "",
		"/reports?report=xy": "Your reports",
	} {
		res := w.do(http.DefaultClient, http.MethodGet, path, w.operator)
		if res.status != http.StatusOK || !strings.Contains(res.body, want) {
			t.Errorf("%s: got status %d and no %q in:\n%.600s", path, res.status, want, res.body)
		}
		if res.header.Get("Content-Security-Policy") == "" || res.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: headers that protect are missing: %v", path, res.header)
		}
	}
	if res := w.do(http.DefaultClient, http.MethodGet, "/nowhere", nil); res.status != http.StatusNotFound || !strings.Contains(res.body, "There is nothing here") {
		t.Errorf("/nowhere: got status %d:\n%s", res.status, res.body)
	}
	if res := w.do(http.DefaultClient, http.MethodGet, "/", nil); res.status != http.StatusOK || !strings.Contains(res.body, "Ten hops") {
		t.Errorf("/: got status %d", res.status)
	}
	for _, path := range []string{"/admin", "/admin/"} {
		if res := w.do(http.DefaultClient, http.MethodGet, path, nil); res.status != http.StatusFound || res.header.Get("Location") != "/ops" {
			t.Errorf("%s: got status %d", path, res.status)
		}
	}
	foreign := func(r *http.Request) {
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		r.Header.Set("Origin", "https://evil.example")
	}
	for _, path := range []string{"/reports", "/reports/upload", "/admin/asynq/api/queues/default:pause"} {
		if res := w.do(http.DefaultClient, http.MethodPost, path, foreign); res.status != http.StatusForbidden {
			t.Errorf("a POST of another site to %s: got status %d, want 403", path, res.status)
		}
	}
	if strings.Contains(w.Log(), key) {
		t.Error("the log shows a key for publishing")
	}
	if log := w.Log(); !strings.Contains(log, "all data dies with this process") || !strings.Contains(log, `"mode":"embedded"`) {
		t.Errorf("the log lacks the mode:\n%s", log)
	}
	w.Signal(syscall.SIGTERM)
	if code := w.Wait(); code != 0 {
		t.Errorf("got exit code %d after SIGTERM, want 0", code)
	}
}

func TestStopping(t *testing.T) {
	t.Parallel()
	w := start(t, "--drain-delay=1m")
	w.Signal(syscall.SIGTERM)
	w.WaitLine("stopping")
	if got := w.status("/readyz", nil); got != http.StatusServiceUnavailable {
		t.Errorf("while stopping: /readyz %d, want 503", got)
	}
	if ready, live := w.status("/reports", nil), w.status("/healthz", nil); ready != http.StatusOK || live != http.StatusOK {
		t.Errorf("while stopping: /reports %d, /healthz %d, want 200 both", ready, live)
	}
	w.Signal(syscall.SIGTERM) // the second one does not wait
	if code := w.Wait(); code != -1 {
		t.Errorf("got exit code %d after the second signal, want death by it", code)
	}
}
