package pages

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"lastmile/live"
	"lastmile/push"
)

// TimerState is a countdown that all tabs of the session share.
type TimerState struct {
	// Run is the start of the countdown that is shown, in milliseconds; a
	// later one takes its place, and what an earlier one still pushes is
	// ignored. Stopped is the last one that was stopped.
	Run     int64     `live:"persist"`
	Stopped int64     `live:"persist"`
	Left    int       `live:"persist"`
	Of      int       `live:"persist"`
	Rang    time.Time `live:"persist"`
}

// Counting tells a countdown under way.
func (s TimerState) Counting() bool { return s.Left > 0 }

// Elapsed is how much of the countdown has gone by, for the bar.
func (s TimerState) Elapsed() int { return s.Of - s.Left }

// Timer counts down in the process that was asked to; every second is a push.
// It ends with that process: what has to survive one is a delayed job.
type Timer struct {
	group *Group
	log   *slog.Logger
}

// maxSeconds bounds a countdown.
const maxSeconds = 300

// Start begins a countdown in place of the one under way. It changes nothing
// itself: the pushes do, in this tab as in every other.
func (t *Timer) Start(s TimerState, ctx *live.Context) (TimerState, error) {
	seconds := min(max(ctx.GetInt("seconds"), 1), maxSeconds)
	session := ctx.Session()
	return s, t.group.Go(ctx, func(ctx context.Context) {
		if err := t.count(ctx, session, seconds); err != nil {
			t.log.WarnContext(ctx, "timer ended early", "session", push.Redact(session.ID()), "error", err)
		}
	})
}

// Stop ends the countdown in every tab; what it still pushes is ignored.
func (t *Timer) Stop(s TimerState, ctx *live.Context) (TimerState, error) {
	_, err := ctx.Session().Trigger(ctx, "Halted", step{Run: s.Run}, push.WithID("halt:"+ctx.ActionID()))
	return s, err
}

// step is the data of the timer's pushes.
type step struct {
	Run  int64     `json:"run"`
	Left int       `json:"left,omitempty"`
	Of   int       `json:"of,omitempty"`
	At   time.Time `json:"at,omitzero"`
}

// count pushes each second. A tick takes the place of the one before it when
// nobody has seen that, so a closed page misses nothing but the animation.
func (t *Timer) count(ctx context.Context, session push.Session, seconds int) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	run := time.Now().UnixMilli()
	key := "timer:" + strconv.FormatInt(run, 10)
	for left := seconds; left > 0; left-- {
		_, err := session.Trigger(ctx, "Tick", step{Run: run, Left: left, Of: seconds}, push.Replacing(key))
		if errors.Is(err, push.ErrSessionClosed) {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
	_, err := session.Trigger(ctx, "Rang", step{Run: run, At: time.Now()}, push.WithID(key), push.Ending(key))
	return err
}

// Tick takes a second.
func (t *Timer) Tick(s TimerState, ctx *live.Context) (TimerState, error) {
	d, err := bindStep(ctx)
	if err == nil && d.Run >= s.Run && d.Run != s.Stopped {
		s.Run, s.Left, s.Of, s.Rang = d.Run, d.Left, d.Of, time.Time{}
	}
	return s, err
}

// Rang takes the end.
func (t *Timer) Rang(s TimerState, ctx *live.Context) (TimerState, error) {
	d, err := bindStep(ctx)
	if err == nil && d.Run >= s.Run && d.Run != s.Stopped {
		s.Run, s.Left, s.Rang = d.Run, 0, d.At
	}
	return s, err
}

// Halted takes a stop.
func (t *Timer) Halted(s TimerState, ctx *live.Context) (TimerState, error) {
	d, err := bindStep(ctx)
	if err == nil && d.Run == s.Run {
		s.Stopped, s.Left = d.Run, 0
	}
	return s, err
}

func bindStep(ctx *live.Context) (step, error) {
	var d step
	if err := ctx.Bind(&d); err != nil {
		return d, fmt.Errorf("%w: %w", push.ErrReject, err) // another attempt reads the same
	}
	return d, nil
}
