package upgrade_test

import (
	"context"
	"errors"
	"html/template"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"lastmile"
	"lastmile/jobs"
	"lastmile/jobs/cron"
	"lastmile/live"
	"lastmile/push"
	"lastmile/push/pushtest"
)

// wait is how long what is due later waits: until the old version is no more.
const wait = 90 * time.Second

// task is the kind of all jobs of the scene: what one does is in its arguments.
var task = jobs.Define[string, string]("task")

// state is the page's. Told is what it was told by jobs, in order.
type state struct {
	Count  int
	Told   []string
	Shared string `live:"persist"`
}

// page is the controller. It learns which session it is in.
type page struct {
	scene   *scene
	session atomic.Pointer[push.Session]
}

func (p *page) Mount(s state, ctx *live.Context) (state, error) {
	session := ctx.Session()
	p.session.Store(&session)
	return s, nil
}

func (p *page) Add(s state, _ *live.Context) (state, error) {
	s.Count++
	return s, nil
}

func (p *page) Name(s state, ctx *live.Context) (state, error) {
	s.Shared = ctx.GetString("name")
	return s, nil
}

// Break fails in the old version, so its pushes become dead letters.
func (p *page) Break(s state, _ *live.Context) (state, error) {
	if p.scene.old {
		return s, errors.New("broken")
	}
	s.Shared += " mended"
	return s, nil
}

func (p *page) Told(s state, ctx *live.Context) (state, error) {
	e, err := jobs.EventOf(ctx)
	s.Told = append(s.Told, e.ID+":"+string(e.State))
	return s, err
}

// other is a view with an action that the first one lacks.
type other struct{}

func (other) Later(s state, _ *live.Context) (state, error) {
	s.Count++
	return s, nil
}

var pageTemplate = template.Must(template.New("page").Parse(
	`<p>count {{.Count}} shared {{.Shared}}</p><ul>{{range .Told}}<li>{{.}}</li>{{end}}</ul>`))

// scene is an application in one version.
type scene struct {
	t     *testing.T
	redis *pushtest.Redis
	app   *lastmile.App
	page  *page
	// old says that it is the version before: some of what it does fails or takes
	// until it is cut off.
	old bool

	mu  sync.Mutex
	ran []string // what jobs have run, in order
}

func newScene(t *testing.T, store *pushtest.Redis, old bool) *scene {
	t.Helper()
	s := &scene{t: t, redis: store, old: old}
	s.page = &page{scene: s}
	queues := map[string]int{"default": 1}
	if !old {
		queues["late"] = 1
	}
	app, err := lastmile.New(t.Context(), lastmile.Config{
		Redis: store.Client(t), Setup: s.setup, Jobs: jobs.PoolConfig{Queues: queues},
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	s.app = app
	return s
}

func (s *scene) setup(app *lastmile.App) error {
	task.Handle(app.Pool(), s.run)
	app.Pool().Adopt("mail", asynq.HandlerFunc(func(_ context.Context, t *asynq.Task) error {
		s.note(string(t.Payload()))
		return nil
	}))
	every := cron.Entry{Name: "every minute", Spec: "* * * * *", Step: task.Step("cron")}
	paused := cron.Entry{Name: "paused", Spec: "* * * * *", Step: task.Step("paused")}
	schedule, err := cron.New(app.Jobs(), slog.New(slog.DiscardHandler), every, paused)
	if err != nil {
		return err
	}
	app.Background("cron", schedule.Run)
	return errors.Join(
		lastmile.Page(app, "/", s.page, state{}, pageTemplate, live.ViewConfig{}),
		lastmile.Page(app, "/other", other{}, state{}, pageTemplate, live.ViewConfig{}),
	)
}

func (s *scene) note(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ran = append(s.ran, what)
}

// count returns how often a job has run in this version.
func (s *scene) count(what string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.ran {
		if r == what {
			n++
		}
	}
	return n
}

// run is the handler of all jobs.
func (s *scene) run(ctx context.Context, j *jobs.Job[string]) (string, error) {
	s.note(j.Args)
	switch {
	case !s.old:
	case j.Args == "held":
		<-ctx.Done()
		return "", ctx.Err()
	case j.Args == "tried again":
		return "", errors.New("not yet")
	case j.Args == "refused":
		return "", jobs.Discard(errors.New("never"))
	}
	return "done " + j.Args, nil
}

// play brings the old version to the moment in which it is cut off: with a page
// open, a session that is away, and a job in every state. It returns the ID of the
// unique job.
func (s *scene) play(a, away push.Session) (unique string) {
	t, ctx, c := s.t, s.t.Context(), s.app.Jobs()
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(cron.Pause(ctx, c, "paused"))
	time.Sleep(61 * time.Second) // the cron has a last time

	told := func(session push.Session) jobs.Option {
		return jobs.Notify(session, jobs.On("Told", jobs.StateCompleted, jobs.StateFailed, jobs.StateCancelled))
	}
	enqueue := func(id string, opts ...jobs.Option) {
		t.Helper()
		_, err := task.With(c).Enqueue(ctx, id, append(opts, jobs.ID(id), told(a))...)
		must(err)
	}
	later := jobs.ProcessIn(wait)
	enqueue("completed")
	enqueue("refused")
	enqueue("cancelled", later)
	must(c.Cancel(ctx, "cancelled"))
	enqueue("tried again", jobs.MaxRetry(3), jobs.RetryBackoff(wait, wait))
	enqueue("held", jobs.Concurrency("place", 1))
	time.Sleep(time.Second)
	enqueue("limited", jobs.Concurrency("place", 1))
	enqueue("pending", jobs.Queue("late"))
	enqueue("scheduled", later)
	first, err := task.With(c).Enqueue(ctx, "unique", jobs.Unique(time.Hour, "one"), later, told(a))
	must(err)
	again, err := task.With(c).Enqueue(ctx, "unique", jobs.Unique(time.Hour, "one"), later, told(away))
	must(err)
	if first.ID != again.ID {
		t.Fatalf("one unique job is %s and %s", first.ID, again.ID)
	}
	enqueue("chain", jobs.Then(task.Step("second", later, told(a)), task.Step("third", told(a))))
	must(c.Batch(ctx, "batch", []jobs.Step{task.Step("member one"), task.Step("member two", later)}, task.Step("all", told(a))))
	bound := jobs.Bind(asynq.NewTask("mail", []byte("bound")), a, jobs.On("Told", jobs.StateCompleted))
	_, err = asynq.NewClientFromRedisClient(s.redis.Client(t)).EnqueueContext(ctx, bound,
		asynq.Queue("mail"), asynq.TaskID("bound"), asynq.ProcessIn(wait))
	must(err)

	must(a.TriggerAction("Name", map[string]any{"name": "ann"}))
	must(a.TriggerAction("Add", nil))
	must(a.TriggerAction("Later", nil))
	must(a.TriggerAction("Break", nil))
	must(away.TriggerAction("Add", nil))
	must(away.TriggerAction("Name", map[string]any{"name": "bob"}))
	for dead := 0; dead == 0; time.Sleep(time.Second) { // until the push that breaks is one
		dead, err = s.app.Store().DeadLetters().Count(ctx)
		must(err)
	}
	return first.ID
}

// served answers the first request of a browser with a page that was loaded from
// another version, cookies included.
type served struct {
	HTML    string   `json:"html"`
	Cookies []string `json:"cookies"`
}

func (p served) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	for _, c := range p.Cookies {
		w.Header().Add("Set-Cookie", c)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write([]byte(p.HTML))
}
