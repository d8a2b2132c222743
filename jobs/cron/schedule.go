package cron

import (
	"time"

	"github.com/robfig/cron/v3"
)

// anyHour is how a schedule marks an hour of "*".
const anyHour = 1 << 63

// byWallClock makes a schedule of set hours keep to the clock on the wall on days
// when that is changed: a time that the change skips comes as much later, one
// that it repeats comes the first time only. A schedule of every hour goes on by
// the time that passes.
func byWallClock(s cron.Schedule) cron.Schedule {
	if spec, ok := s.(*cron.SpecSchedule); ok && spec.Hour&anyHour == 0 {
		return wallClock{spec}
	}
	return s
}

type wallClock struct{ spec *cron.SpecSchedule }

// Next implements cron.Schedule.
func (w wallClock) Next(t time.Time) time.Time {
	shown := onWall(t)
	for {
		shown = w.spec.Next(shown)
		if shown.IsZero() {
			return shown
		}
		if at := instant(shown, t.Location()); at.After(t) {
			return at
		}
	}
}

// onWall returns what a clock shows at t, as a time in UTC, which has no changes.
func onWall(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), 0, time.UTC)
}

// instant returns when a clock in loc first shows the time.
func instant(shown time.Time, loc *time.Location) time.Time {
	// Read by the offset of half a day before, a time is the first of two, and
	// one that is skipped lies behind the change.
	_, offset := shown.Add(-12 * time.Hour).In(loc).Zone()
	early := shown.Add(-time.Duration(offset) * time.Second).In(loc)
	at := time.Date(shown.Year(), shown.Month(), shown.Day(), shown.Hour(), shown.Minute(), shown.Second(), 0, loc)
	if onWall(early).Equal(shown) || !onWall(at).Equal(shown) {
		return early
	}
	return at
}
