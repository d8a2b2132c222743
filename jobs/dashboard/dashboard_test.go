package dashboard_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hibiken/asynq"
	"go.uber.org/goleak"

	"lastmile/jobs"
	"lastmile/jobs/dashboard"
	"lastmile/jobs/jobstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRefusesToBeBuiltWithoutAuthentication(t *testing.T) {
	t.Parallel()
	k := jobstest.New(t)
	if _, err := dashboard.New(k.Redis, k.Client, dashboard.Config{}); err == nil {
		t.Error("New without Authorize succeeded")
	}
	if _, err := dashboard.New(k.Redis, k.Client, dashboard.Config{LoopbackDev: true, RootPath: "admin/"}); err == nil {
		t.Error("New with a broken RootPath succeeded")
	}
}

func request(method, path string, change func(*http.Request)) *http.Request {
	r := httptest.NewRequest(method, "http://127.0.0.1:8080"+path, nil)
	r.RemoteAddr = "127.0.0.1:5555"
	if change != nil {
		change(r)
	}
	return r
}

type response struct {
	code int
	head http.Header
	body string
}

func serve(h http.Handler, r *http.Request) response {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return response{w.Code, w.Header(), w.Body.String()}
}

func TestAccess(t *testing.T) {
	t.Parallel()
	k := jobstest.New(t)
	dev, err := dashboard.New(k.Redis, k.Client, dashboard.Config{LoopbackDev: true})
	if err != nil {
		t.Fatal(err)
	}
	byRole, err := dashboard.New(k.Redis, k.Client, dashboard.Config{Authorize: func(r *http.Request) dashboard.Role {
		return map[string]dashboard.Role{"viewer": dashboard.Viewer, "operator": dashboard.Operator}[r.Header.Get("Role")]
	}})
	if err != nil {
		t.Fatal(err)
	}
	k.Redis.SAdd(t.Context(), "asynq:queues", "lm.default")
	pause := "/admin/asynq/api/queues/lm.default:pause"
	role := func(name string) func(*http.Request) { return func(r *http.Request) { r.Header.Set("Role", name) } }
	for _, tt := range []struct {
		name, method, path string
		h                  http.Handler
		change             func(*http.Request)
		want               int
	}{
		{"dev", "GET", "/admin/asynq/", dev, nil, 200},
		{"dev from elsewhere", "GET", "/admin/asynq/", dev, func(r *http.Request) { r.RemoteAddr = "192.0.2.1:1" }, 403},
		{"dev by another name", "GET", "/admin/asynq/", dev, func(r *http.Request) { r.Host = "evil.example" }, 403},
		{"dev through a proxy", "GET", "/admin/asynq/", dev, func(r *http.Request) { r.Header.Set("X-Forwarded-For", "192.0.2.1") }, 403},
		{"nobody", "GET", "/admin/asynq/api/queues", byRole, nil, 403},
		{"viewer looks", "GET", "/admin/asynq/api/queues", byRole, role("viewer"), 200},
		{"viewer pauses", "POST", pause, byRole, role("viewer"), 405},
		{"operator pauses", "POST", pause, byRole, role("operator"), 204},
		{"cross-origin", "POST", pause, byRole, func(r *http.Request) {
			role("operator")(r)
			r.Header.Set("Sec-Fetch-Site", "cross-site")
		}, 403},
		{"source map", "GET", "/admin/asynq/static/js/main.5adda2da.chunk.js.map", dev, nil, 404},
		{"script", "GET", "/admin/asynq/static/js/main.5adda2da.chunk.js", dev, nil, 200},
		{"missing file", "GET", "/admin/asynq/static/js/none.js", dev, nil, 404},
		{"page of the console", "GET", "/admin/asynq/queues/lm.default", dev, nil, 200},
	} {
		if got := serve(tt.h, request(tt.method, tt.path, tt.change)); got.code != tt.want {
			t.Errorf("%s: status %d, want %d", tt.name, got.code, tt.want)
		}
	}
}

func TestPageIsSelfContained(t *testing.T) {
	t.Parallel()
	k := jobstest.New(t)
	h, err := dashboard.New(k.Redis, k.Client, dashboard.Config{LoopbackDev: true})
	if err != nil {
		t.Fatal(err)
	}
	res := serve(h, request("GET", "/admin/asynq/", nil))
	page, csp := res.body, res.head.Get("Content-Security-Policy")
	if regexp.MustCompile(`(src|href)="https?://`).MatchString(page) {
		t.Error("the page refers to another host")
	}
	if strings.Count(csp, "'sha256-") != strings.Count(page, "<script>") || strings.Contains(csp, "script-src 'self' 'unsafe-inline'") {
		t.Errorf("policy = %s", csp)
	}
}

func TestOperatorsDoingsAreJobsDoings(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := jobstest.New(t)
		kind := jobs.Define[map[string]string, string]("test.work", jobs.MaxRetry(0))
		k.Start(jobs.PoolConfig{}, func(p *jobs.Pool) {
			kind.Handle(p, func(ctx context.Context, j *jobs.Job[map[string]string]) (string, error) {
				if j.Args["do"] == "wait" {
					<-ctx.Done()
					return "", ctx.Err()
				}
				if j.Gen == 1 {
					return "", jobs.UserError("x", "y")
				}
				return "ok", nil
			})
		})
		h, err := dashboard.New(k.Redis, k.Client, dashboard.Config{LoopbackDev: true})
		if err != nil {
			t.Fatal(err)
		}
		notify := jobs.Notify(k.Session("s"), jobs.OnDone("Done"), jobs.OnFailed("Failed"))
		add := func(do string, opts ...jobs.Option) string {
			t.Helper()
			job, err := kind.With(k.Client).Enqueue(t.Context(), map[string]string{"do": do, "api_token": "hush"}, append(opts, notify)...)
			if err != nil {
				t.Fatal(err)
			}
			return job.ID
		}
		post := func(method, path, text string) {
			t.Helper()
			r := request(method, "/admin/asynq/api/queues/lm.default/"+path, nil)
			if text != "" {
				r = httptest.NewRequest(method, "http://127.0.0.1/admin/asynq/api/queues/lm.default/"+path, strings.NewReader(text))
				r.RemoteAddr = "127.0.0.1:1"
			}
			if res := serve(h, r); res.code >= 300 {
				t.Errorf("%s %s: status %d", method, path, res.code)
			}
		}
		want := func(id string, gens int, s jobs.State) {
			t.Helper()
			info := k.Wait(id)
			if n := len(k.Terminal("s", id)); info.State != s || n != gens {
				t.Errorf("job %s is %s with %d ends, want %s with %d", id, info.State, n, s, gens)
			}
		}
		running := add("wait")
		k.WaitState(running, jobs.StateRunning)
		post("POST", "active_tasks/"+running+":cancel", "")
		want(running, 1, jobs.StateCancelled)

		failed := add("fail")
		want(failed, 1, jobs.StateFailed)
		time.Sleep(time.Second)
		shown := serve(h, request("GET", "/admin/asynq/api/queues/lm.default/tasks/"+failed, nil)).body
		if strings.Contains(shown, "hush") || !strings.Contains(shown, "[redacted]") {
			t.Errorf("the console shows %s", shown)
		}
		post("POST", "archived_tasks/"+failed+":run", "")
		k.Until("generation 2 ends", func() bool { return len(k.Terminal("s", failed)) == 2 })
		want(failed, 2, jobs.StateCompleted)

		later := []string{add("x", jobs.ProcessIn(time.Hour)), add("x", jobs.ProcessIn(time.Hour))}
		post("DELETE", "scheduled_tasks/"+later[0], "")
		post("POST", "scheduled_tasks:batch_delete", `{"task_ids":["`+later[1]+`"]}`)
		want(later[0], 1, jobs.StateCancelled)
		want(later[1], 1, jobs.StateCancelled)

		archived, run := add("x", jobs.ProcessIn(time.Hour)), add("x", jobs.ProcessIn(time.Hour))
		post("POST", "scheduled_tasks/"+archived+":archive", "")
		post("POST", "scheduled_tasks/"+run+":run", "")
		want(archived, 1, jobs.StateFailed)
		want(run, 1, jobs.StateFailed)
		post("POST", "archived_tasks:run_all", "")
		for _, id := range []string{archived, run} {
			k.Until("generation 2 ends", func() bool { return len(k.Terminal("s", id)) == 2 })
			want(id, 2, jobs.StateCompleted)
		}
	})
}

// An ID with a slash in it is an ID like any other.
func TestJobsWithASlash(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := jobstest.New(t)
		kind := jobs.Define[string, string]("test.work")
		h, err := dashboard.New(k.Redis, k.Client, dashboard.Config{LoopbackDev: true})
		if err != nil {
			t.Fatal(err)
		}
		call := func(method, what, id, verb string, want int) {
			t.Helper()
			path := "/admin/asynq/api/queues/lm.default/" + what + "/" + id + verb
			if res := serve(h, request(method, path, nil)); res.code != want || strings.Contains(res.body, "<html") {
				t.Errorf("%s %s: status %d, want %d; %.40s", method, path, res.code, want, res.body)
			}
		}
		for _, tt := range []struct {
			method, verb string
			want         jobs.State
		}{{"DELETE", "", jobs.StateCancelled}, {"POST", ":run", jobs.StateQueued}, {"POST", ":archive", jobs.StateFailed}} {
			for _, slash := range []string{"/", "%2F"} {
				id := "report/" + strings.Trim(tt.verb, ":") + strconv.Itoa(len(slash))
				if _, err := kind.With(k.Client).Enqueue(t.Context(), "x", jobs.ID(id), jobs.ProcessIn(time.Hour)); err != nil {
					t.Fatal(err)
				}
				call(tt.method, "scheduled_tasks", strings.ReplaceAll(id, "/", slash), tt.verb, http.StatusNoContent)
				switch task, err := k.Inspector().GetTaskInfo("lm.default", id); tt.want {
				case jobs.StateCancelled:
					k.WaitState(id, jobs.StateCancelled)
				case jobs.StateQueued:
					if err != nil || task.State != asynq.TaskStatePending {
						t.Errorf("task = %+v, %v, want pending", task, err)
					}
				default:
					if err != nil || task.State != asynq.TaskStateArchived {
						t.Errorf("task = %+v, %v, want archived", task, err)
					}
					call("DELETE", "archived_tasks", id, "", http.StatusNoContent)
				}
			}
		}
		call("GET", "tasks", "report/run1", "", http.StatusNotFound)
		call("POST", "nothing", "x", "", http.StatusNotFound)
	})
}

// What is shown of a payload hides fields that sound secret, however they are
// written.
func TestRedaction(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := jobstest.New(t)
		h, err := dashboard.New(k.Redis, k.Client, dashboard.Config{LoopbackDev: true})
		if err != nil {
			t.Fatal(err)
		}
		kind := jobs.Define[map[string]any, string]("test.work")
		for _, name := range []string{
			"password", "UserPassword", "pass_phrase", "pwd", "db_pwd", "API KEY", "api.key", "x-api-key", "accessKey", "bearer", "jwt",
			"client_secret", "sessionID", "Set-Cookie", "private.key", "credentials", "oauth_token", "Authorization",
		} {
			args := map[string]any{"deep": []any{map[string]any{name: map[string]string{"x": "hush"}}}, "file": "shown.csv"}
			job, err := kind.With(k.Client).Enqueue(t.Context(), args)
			if err != nil {
				t.Fatal(err)
			}
			for _, path := range []string{"tasks/" + job.ID, "pending_tasks"} {
				body := serve(h, request("GET", "/admin/asynq/api/queues/lm.default/"+path, nil)).body
				if strings.Contains(body, "hush") || !strings.Contains(body, "shown.csv") {
					t.Errorf("%q: the console shows %s", name, body)
				}
			}
			if err := k.Client.Cancel(t.Context(), job.ID); err != nil {
				t.Fatal(err)
			}
		}
	})
}
