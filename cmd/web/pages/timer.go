package pages

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"lastmile/live"
	"lastmile/push"
)

// TimerState is a countdown that all tabs of the session share.
type TimerState struct {
	// Run names the countdown under way; ticks of an earlier one are ignored.
	Run  string    `live:"persist"`
	Left int       `live:"persist"`
	Of   int       `live:"persist"`
	Rang time.Time `live:"persist"`
}

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

// Start begins a countdown in place of the one under way.
func (t *Timer) Start(s TimerState, ctx *live.Context) (TimerState, error) {
	seconds := min(max(ctx.GetInt("seconds"), 1), maxSeconds)
	run, session := ctx.ActionID(), ctx.Session()
	s.Run, s.Left, s.Of, s.Rang = run, seconds, seconds, time.Time{}
	return s, t.group.Go(ctx, func(ctx context.Context) {
		if err := t.count(ctx, session, run, seconds); err != nil {
			t.log.WarnContext(ctx, "timer ended early", "session", push.Redact(session.ID()), "error", err)
		}
	})
}

// Stop forgets the countdown; what it still pushes is ignored.
func (t *Timer) Stop(s TimerState, _ *live.Context) (TimerState, error) {
	s.Run, s.Left = "", 0
	return s, nil
}

// count pushes each second. A tick takes the place of the one before it when
// nobody has seen that, so a closed page misses nothing but the animation.
func (t *Timer) count(ctx context.Context, session push.Session, run string, seconds int) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	key := "timer:" + run
	for left := seconds - 1; ; left-- {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
		if left == 0 {
			_, err := session.Trigger(ctx, "Rang", map[string]any{"run": run, "at": time.Now()}, push.WithID(key), push.Ending(key))
			return err
		}
		_, err := session.Trigger(ctx, "Tick", map[string]any{"run": run, "left": left}, push.Replacing(key))
		if errors.Is(err, push.ErrSessionClosed) {
			return err
		}
	}
}

// Tick takes a second.
func (t *Timer) Tick(s TimerState, ctx *live.Context) (TimerState, error) {
	if ctx.GetString("run") == s.Run {
		s.Left = ctx.GetInt("left")
	}
	return s, nil
}

// Rang takes the end.
func (t *Timer) Rang(s TimerState, ctx *live.Context) (TimerState, error) {
	var data struct {
		Run string    `json:"run"`
		At  time.Time `json:"at"`
	}
	if err := ctx.Bind(&data); err != nil {
		return s, err
	}
	if data.Run == s.Run {
		s.Run, s.Left, s.Rang = "", 0, data.At
	}
	return s, nil
}
