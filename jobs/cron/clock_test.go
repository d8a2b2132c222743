package cron_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	_ "time/tzdata" // the cases need New York and São Paulo

	"lastmile/jobs"
	"lastmile/jobs/cron"
	"lastmile/jobs/jobstest"
	"lastmile/push"
)

// slots returns the times of the jobs that a session was sent the enqueueing of.
func slots(t *testing.T, k *jobstest.Kit, loc *time.Location) (out []string) {
	t.Helper()
	for _, p := range k.Events("s") {
		at := p.Event.ID[strings.LastIndexByte(p.Event.ID, ':')+1:]
		n, err := strconv.ParseInt(at, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, time.Unix(n, 0).In(loc).Format("02 15:04 MST"))
	}
	return out
}

func entry(k *jobstest.Kit, spec string, loc *time.Location) cron.Entry {
	step := jobs.Define[string, int]("test.tidy").Step("x", jobs.Notify(k.Session("s"), jobs.On("Queued", jobs.StateQueued)))
	return cron.Entry{Name: "tidy", Spec: spec, Location: loc, Step: step}
}

// A day on which clocks change has each set time once, and every hour its
// own.
func TestDaysOnWhichClocksChange(t *testing.T) {
	t.Parallel()
	newYork, saoPaulo := "America/New_York", "America/Sao_Paulo"
	for name, tt := range map[string]struct {
		zone, from, spec string
		hours            time.Duration
		want             []string
	}{
		"skipped":                 {newYork, "2000-04-01 12:00", "30 2 * * *", 40, []string{"02 03:30 EDT", "03 02:30 EDT"}},
		"skipped, several":        {newYork, "2000-04-02 00:00", "15,45 2,3 * * *", 8, []string{"02 03:15 EDT", "02 03:45 EDT"}},
		"skipped midnight":        {saoPaulo, "2000-10-07 12:00", "@daily", 40, []string{"08 01:00 -02", "09 00:00 -02"}},
		"twice":                   {newYork, "2000-10-28 12:00", "30 1 * * *", 40, []string{"29 01:30 EDT", "30 01:30 EST"}},
		"twice, from between":     {newYork, "2000-10-29 01:45", "30 1 * * *", 30, []string{"30 01:30 EST"}},
		"after the change":        {newYork, "2000-10-28 12:00", "0 6 * * *", 40, []string{"29 06:00 EST"}},
		"every hour":              {newYork, "2000-10-29 00:30", "0 * * * *", 4, []string{"29 01:00 EDT", "29 01:00 EST", "29 02:00 EST", "29 03:00 EST"}},
		"every hour, one skipped": {newYork, "2000-04-02 00:30", "@hourly", 3, []string{"02 01:00 EST", "02 03:00 EDT", "02 04:00 EDT"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			loc, err := time.LoadLocation(tt.zone)
			if err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) {
				from, err := time.ParseInLocation("2006-01-02 15:04", tt.from, loc)
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Until(from))
				k := jobstest.New(t)
				c, err := cron.New(k.Client, nil, entry(k, tt.spec, loc))
				if err != nil {
					t.Fatal(err)
				}
				ctx, stop := context.WithTimeout(t.Context(), tt.hours*time.Hour)
				defer stop()
				if err := c.Run(ctx); err != nil {
					t.Errorf("Run = %v", err)
				}
				if got := slots(t, k, loc); !slices.Equal(got, tt.want) {
					t.Errorf("times = %v, want %v", got, tt.want)
				}
			})
		})
	}
}

// A clock that was wrong for a while, a day ahead, costs none of the times after
// it was set right.
func TestClockThatIsSetBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := jobstest.New(t)
		c, err := cron.New(k.Client, nil, entry(k, "0 * * * *", nil))
		if err != nil {
			t.Fatal(err)
		}
		var ahead atomic.Int64
		c.SetClock(func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) })
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { _ = c.Run(ctx) })
		time.Sleep(90 * time.Minute)
		ahead.Store(int64(24 * time.Hour))
		time.Sleep(10 * time.Minute)
		ahead.Store(0)
		time.Sleep(2 * time.Hour)
		stop()
		wg.Wait()
		want := []string{"01 01:00 UTC", "02 01:00 UTC", "01 02:00 UTC", "01 03:00 UTC"}
		if got := slots(t, k, time.UTC); !slices.Equal(got, want) {
			t.Errorf("times = %v, want %v", got, want)
		}
	})
}

// A time comes when Redis's clock shows it, whatever the clock of who runs the
// cron, and List says so.
func TestTimesComeByRedisClock(t *testing.T) {
	t.Parallel()
	for _, by := range []time.Duration{0, -2 * time.Minute, -30 * time.Second, 30 * time.Second, 2 * time.Minute} {
		t.Run(by.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				k := jobstest.New(t)
				k.RedisAhead(by)
				var told []time.Time
				k.OnPush(nil, func(push.Message) { told = append(told, time.Now().Add(by)) })
				c, err := cron.New(k.Client, nil, entry(k, "*/5 * * * *", nil))
				if err != nil {
					t.Fatal(err)
				}
				ctx, stop := context.WithCancel(t.Context())
				var wg sync.WaitGroup
				wg.Go(func() { _ = c.Run(ctx) })
				// Not at a time of the schedule by any of the clocks.
				time.Sleep(17*time.Minute + 20*time.Second)
				list, err := cron.List(t.Context(), k.Client)
				now := time.Now().Add(by)
				if err != nil || len(list) != 1 || !list[0].Next.Equal(now.Truncate(5*time.Minute).Add(5*time.Minute)) {
					t.Errorf("at %v of Redis's clock the next time is said to be %v (%v)", now, list, err)
				}
				stop()
				wg.Wait()
				for _, at := range told {
					if late := at.Sub(at.Truncate(5 * time.Minute)); late > time.Second {
						t.Errorf("enqueued at %v of Redis's clock", at)
					}
				}
				if len(told) < 3 {
					t.Errorf("%d times in 17 minutes", len(told))
				}
			})
		})
	}
}

// A name that no job's ID may have is refused at the start, not at its time.
func TestNameThatNoJobMayHave(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := jobstest.New(t)
		e := entry(k, "@daily", nil)
		e.Name = "a~b"
		if _, err := cron.New(k.Client, nil, e); !errors.Is(err, jobs.ErrInvalid) {
			t.Errorf("New = %v, want ErrInvalid", err)
		}
	})
}
