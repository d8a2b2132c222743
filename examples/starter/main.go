// Command starter is a whole application: a page, a job, and the process of both.
package main

import (
	"context"
	"html/template"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"lastmile"
	"lastmile/devredis"
	"lastmile/jobs"
	"lastmile/live"
)

var Count = jobs.Define[int, int]("count") // the job, shared by web and worker
func count(_ context.Context, j *jobs.Job[int]) (int, error) {
	for i := range j.Args {
		j.Progress(float64(i)/float64(j.Args), "counting")
		<-time.After(10 * time.Millisecond)
	}
	return j.Args, nil
}

type State struct { // of the page, whose methods turn it into the next
	Job jobs.Event
	Sum int `live:"persist"` // survives everything, shared by the session's tabs
}
type Page struct{ Count *jobs.Kind[int, int] }

var page = template.Must(template.New("page").Parse(`<form method="post"><input name="to" value="100"><button name="live-action" value="Start">Count</button></form>
<progress value="{{.Job.Fraction}}"></progress> {{with .Sum}}<b>counted to {{.}}</b>{{end}} <i>{{.Job.Error}}</i>`))

func (p *Page) Start(s State, ctx *live.Context) (State, error) {
	_, err := p.Count.Enqueue(ctx, min(ctx.GetInt("to"), 1000), jobs.Notify(ctx.Session(), jobs.OnProgress("Told"), jobs.OnFailed("Told"), jobs.OnDone("Told")))
	return s, err
}

func (p *Page) Told(_ State, ctx *live.Context) (State, error) {
	event, err := jobs.EventOf(ctx)
	return State{Job: event, Sum: ctx.GetInt("value")}, err
}

func setup(app *lastmile.App) error {
	Count.Handle(app.Pool(), count)
	return lastmile.Page(app, "/", &Page{Count.With(app.Jobs())}, State{}, page, live.ViewConfig{Title: "Count", PushOnly: []string{"Told"}})
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal does not wait
	if err := lastmile.Run(ctx, lastmile.Config{
		Setup: setup, Role: lastmile.Role(os.Getenv("ROLE")), Addr: os.Getenv("ADDR"), RedisURL: os.Getenv("REDIS_URL"), Development: devredis.Open,
	}); err != nil {
		log.Fatal(err)
	}
}
