package jobscmd_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"lastmile/jobs"
	"lastmile/jobs/jobscmd"
	"lastmile/jobs/jobstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// command runs a command and returns what it prints.
func command(t *testing.T, k *jobstest.Kit, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := jobscmd.Run(t.Context(), args, jobscmd.Config{
		Client: k.Client, Session: k.Session, Kinds: []jobscmd.Kind{jobscmd.Of(Resize, jobs.OnDone("Resized"))}, Out: &out,
	})
	return out.String(), err
}

func TestCommandsThatCannotBeRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := jobstest.New(t)
		for args, want := range map[string]string{
			"":                                 "expected",
			"jobs":                             "expected",
			"enqueue photo.crop {}":            "photo.resize",
			`enqueue photo.resize {"Nme":"x"}`: "Nme",
			`enqueue photo.resize {}{}`:        "behind",
			`enqueue photo.resize {"Name":"x"} --in=-1s`: "--in=-1s",
			"jobs list --state=asleep":                   "asleep",
			"jobs list --where=colour=red":               "colour",
			"jobs list --where=created-since=soon":       "soon",
			"jobs list --limit=0":                        "--limit=0",
			"jobs cancel":                                "--all",
			"jobs retry":                                 "--all",
			"jobs retry one --kind=x":                    "alone",
			"jobs retry --where=state=queued":            "have not ended",
			"jobs cancel --state=failed":                 "have ended",
		} {
			if out, err := command(t, k, strings.Fields(args)...); !errors.Is(err, jobscmd.ErrUsage) || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want ErrUsage with %q; it printed %q", args, err, want, out)
			}
		}
		for _, args := range []string{"jobs show nobody", "jobs bulk nobody", "jobs cancel nobody", "cron pause nobody"} {
			if _, err := command(t, k, strings.Fields(args)...); err == nil || errors.Is(err, jobscmd.ErrUsage) {
				t.Errorf("%s: %v, want an error that is not about the command", args, err)
			}
		}
		if out, err := command(t, k, "--help"); err != nil || !strings.Contains(out, "enqueue") {
			t.Errorf("help: %q, %v", out, err)
		}
		if err := jobscmd.Run(t.Context(), []string{"jobs", "list"}, jobscmd.Config{}); !errors.Is(err, jobs.ErrInvalid) {
			t.Errorf("without a client: %v", err)
		}
	})
}

// TestCommandsOfAProgram's own kind: it is enqueued, listed, shown, and many are
// retried and cancelled.
func TestCommandsOfAProgram(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := jobstest.New(t)
		run := func(want string, args ...string) {
			t.Helper()
			if out, err := command(t, k, args...); err != nil || !strings.Contains(out, want) {
				t.Errorf("%q: %v, want %q in\n%s", args, err, want, out)
			}
		}
		k.Start(jobs.PoolConfig{}, func(p *jobs.Pool) {
			Resize.Handle(p, func(_ context.Context, j *jobs.Job[Photo]) (Thumbnail, error) {
				if j.Gen == 1 {
					return Thumbnail{}, errors.New("disk full")
				}
				return Thumbnail{Width: 1}, nil
			})
		})
		for _, id := range []string{"a", "b", "c"} {
			run("enqueued "+id, "enqueue", "photo.resize", `{"Name":"`+id+`"}`, "--id="+id, "--session=somebody")
			k.Wait(id)
		}
		run("exists already: a", "enqueue", "photo.resize", `{"Name":"a"}`, "--id=a")
		run("failed  1 of 1", "jobs", "list", "--where=state=failed", "--where=kind=photo.resize")
		run("attempt 1 of 1 on ", "jobs", "show", "a")
		run("disk full", "jobs", "show", "a")
		run("3 retried, 0 left", "jobs", "retry", "--state=failed")
		for _, id := range []string{"a", "b", "c"} {
			if i := k.Wait(id); i.State != jobs.StateCompleted || i.Gen != 2 {
				t.Errorf("%s is %s in generation %d", id, i.State, i.Gen)
			}
		}
		if n := len(k.Terminal("somebody", "a")); n != 1 { // the end that is bound
			t.Errorf("%d ends told, want 1", n)
		}
		for _, id := range []string{"d", "e"} {
			run("enqueued "+id, "enqueue", "photo.resize", `{"Name":"x"}`, "--id="+id, "--in=1h", "--queue=slow")
		}
		out, err := command(t, k, "jobs", "cancel", "--queue=slow", "--json")
		var b struct {
			Bulk string
			Done int
			Over bool
		}
		if err := errors.Join(err, json.Unmarshal([]byte(out), &b)); err != nil || b.Done != 2 || !b.Over {
			t.Errorf("%q, %v", out, err)
		}
		run("2 done", "jobs", "bulk", b.Bulk)
		run("enqueued again d", "jobs", "retry", "d")
		time.Sleep(time.Second)
	})
}

// TestAgesByRedisClock: an age is counted from Redis's time, by which jobs are dated.
func TestAgesByRedisClock(t *testing.T) {
	t.Parallel()
	for _, ahead := range []time.Duration{-10 * time.Minute, 10 * time.Minute} {
		t.Run(ahead.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				k := jobstest.New(t)
				k.RedisAhead(ahead)
				if _, err := command(t, k, "enqueue", "photo.resize", `{"Name":"x"}`, "--id=young"); err != nil {
					t.Fatal(err)
				}
				time.Sleep(2 * time.Minute)
				for where, want := range map[string]bool{
					"--created-since=5m": true, "--created-since=1m": false, "--created-before=1m": true, "--where=created-before=5m": false,
				} {
					if out, err := command(t, k, "jobs", "list", where); err != nil || strings.Contains(out, "young") != want {
						t.Errorf("%s: %v, %q, want the job: %t", where, err, out, want)
					}
				}
			})
		})
	}
}
