package recipes

import (
	"context"
	"errors"
	"html/template"
	"time"

	"lastmile"
	"lastmile/jobs"
	"lastmile/live"
)

// Timer is the state of a page with an alarm.
type Timer struct {
	Job  string    `live:"persist"`
	Due  time.Time `live:"persist"`
	Rang bool      `live:"persist"`
}

var timerPage = template.Must(template.New("timer").Parse(`<form method="post">
  <input name="minutes" type="number" min="1" max="1440" value="5">
  <button name="live-action" value="Set">Set</button> <button name="live-action" value="Clear">Clear</button>
</form>
<p>{{if .Rang}}It rang.{{else if .Job}}Set for {{.Due.Format "15:04"}}.{{else}}Not set.{{end}}</p>`))

// TimerPage has its actions.
type TimerPage struct {
	app   *lastmile.App
	alarm *jobs.Kind[struct{}, struct{}]
}

// alarm is a job that does nothing, later.
var alarm = jobs.Define[struct{}, struct{}]("recipes.alarm")

// Set sets the alarm. It rings whatever restarts until then.
func (p *TimerPage) Set(s Timer, ctx *live.Context) (Timer, error) {
	s, err := p.Clear(s, ctx)
	if err != nil {
		return s, err
	}
	after := time.Duration(min(max(ctx.GetInt("minutes"), 1), 1440)) * time.Minute
	h, err := p.alarm.Enqueue(ctx, struct{}{}, jobs.ProcessIn(after), jobs.Notify(ctx.Session(), jobs.OnDone("Ring")))
	s.Job, s.Due = h.ID, time.Now().Add(after)
	return s, err
}

// Clear cancels it.
func (p *TimerPage) Clear(s Timer, ctx *live.Context) (Timer, error) {
	if s.Job != "" && !s.Rang {
		if err := p.app.Jobs().Cancel(ctx, s.Job); err != nil && !errors.Is(err, jobs.ErrEnded) && !errors.Is(err, jobs.ErrNotFound) {
			return s, err
		}
	}
	return Timer{}, nil
}

// Ring is called when the job has run, in every tab.
func (p *TimerPage) Ring(s Timer, ctx *live.Context) (Timer, error) {
	event, err := jobs.EventOf(ctx)
	if event.ID == s.Job { // and not one that was set before
		s.Rang = true
	}
	return s, err
}

func timer(app *lastmile.App) error {
	alarm.Handle(app.Pool(), func(context.Context, *jobs.Job[struct{}]) (struct{}, error) { return struct{}{}, nil })
	return lastmile.Page(app, "/timer", &TimerPage{app, alarm.With(app.Jobs())}, Timer{}, timerPage, live.ViewConfig{PushOnly: []string{"Ring"}})
}
