package jobs

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/hibiken/asynq"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/redis/go-redis/v9"

	"lastmile/internal/script"
	"lastmile/jobs/internal/tasks"
	"lastmile/push"
)

func TestRouteOfAnEnd(t *testing.T) {
	t.Parallel()
	for _, record := range []recordState{recordKnows, recordUnaware, noRecord} {
		for _, state := range []State{StateCompleted, StateFailed, StateCancelled, StateLost} {
			for _, pushable := range []bool{true, false} {
				for _, removes := range []bool{true, false} {
					want := routeRecord
					if record != recordKnows && state == StateCompleted && pushable {
						switch {
						case removes:
							want = routeTask
						case record == noRecord:
							want = routeRun
						}
					}
					if got := routeOf(record, state, pushable, removes); got != want {
						t.Errorf("routeOf(%d, %s, %t, %t) = %d, want %d", record, state, pushable, removes, got, want)
					}
				}
			}
		}
	}
}

func TestComplete(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		finish  []any // what finish.lua answers, nil for a failure
		publish error
		record  map[string]string // what the job's record says, without an event of the run
		unread  bool              // the event is to be read from the record
		want    string
		decided decision
		state   State
		action  string
		data    string // part of what is pushed
		// undelivered: the event is left to the watchdog
		undelivered bool
		fails       bool
	}{
		{
			name: "stored, pushed, settled", finish: []any{"done", "completed", "", int64(1), destination},
			want: "finish push Done settle", state: StateCompleted, action: "Done", data: `"n":1`,
		},
		{name: "nobody asked", finish: []any{"done", "completed", ""}, want: "finish", state: StateCompleted},
		{
			name: "a cancellation goes first", finish: []any{"done", "cancelled", "", int64(1), destination},
			want: "finish push Failed settle", state: StateCancelled, action: "Failed", data: `"code":"cancelled"`,
		},
		{name: "decided before", finish: []any{"over", "failed"}, want: "finish", decided: endWasDecided, state: StateFailed},
		{name: "another run's job", finish: []any{"stale", ""}, want: "finish", decided: endStale},
		{
			name: "the event is undelivered", finish: []any{"done", "completed", "", int64(1), destination}, publish: errBroken,
			want: "finish push Done", state: StateCompleted, action: "Done", undelivered: true,
		},
		{
			name: "a session that is closed gets nothing", finish: []any{"done", "completed", "", int64(1), destination}, publish: push.ErrSessionClosed,
			want: "finish push Done settle", state: StateCompleted, action: "Done",
		},
		{
			name: "by the record alone", finish: []any{"done", "completed", "", int64(1), destination}, unread: true,
			record: map[string]string{"gen": "1", "fin": "1", "out": "1", "st": "completed", "res": `{"n":2}`, "ton": "1", "to0": destination},
			want:   "finish push Done settle", state: StateCompleted, action: "Done", data: `"n":2`,
		},
		{
			name: "by the record, delivered meanwhile", finish: []any{"done", "completed", "", int64(1), destination}, unread: true,
			record: map[string]string{"gen": "1", "fin": "1", "st": "completed", "ton": "1", "to0": destination},
			want:   "finish", state: StateCompleted,
		},
		{name: "not stored", want: "finish", fails: true},
		{name: "an answer that nobody knows", finish: []any{"perhaps", "completed"}, want: "finish", fails: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.publish, w.record = tt.publish, tt.record
			w.answer("finish", tt.finish...)
			if tt.finish == nil {
				w.fail("finish")
			}
			w.number("settle", 1)
			e := &ending{id: "a", kind: "k", gen: 1, run: 3, state: StateCompleted, result: []byte(`{"n":1}`), event: &Event{ID: "a", Gen: 1}}
			if tt.unread {
				e.event = nil
			}
			end, err := w.client.complete(t.Context(), e)
			if (err != nil) != tt.fails {
				t.Fatalf("err = %v", err)
			}
			if got := strings.Join(w.log, " "); got != tt.want {
				t.Errorf("steps %q, want %q", got, tt.want)
			}
			if tt.fails {
				return
			}
			if end.decision != tt.decided || end.state != tt.state || (end.undelivered != nil) != tt.undelivered {
				t.Errorf("ended %+v", end)
			}
			if n := testutil.CollectAndCount(w.client.metrics.ends); (n == 1) != (tt.decided == endStored) {
				t.Errorf("%d ends counted of one that is %v", n, tt.decided)
			}
			if len(w.pushes) > 0 {
				m := w.pushes[0]
				if m.Action != tt.action || !strings.Contains(string(m.Data), tt.data) || m.ID != "job:a:1:"+string(tt.state) ||
					!m.Final || m.Replaces != "job:a:1" {
					t.Errorf("pushed %+v with %s", m, m.Data)
				}
				if end.state != StateCompleted && strings.Contains(string(m.Data), `"n"`) {
					t.Errorf("an end that is none carries a result: %s", m.Data)
				}
			}
		})
	}
}

// TestCompleteInsists: a run's end is tried again, the watchdog's is not.
func TestCompleteInsists(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	tries := 0
	w.answers["finish"] = func() (any, error) {
		if tries++; tries < 3 {
			return nil, errBroken
		}
		return []any{"done", "failed", ""}, nil
	}
	twice := func(ctx context.Context, f func(context.Context) error) error {
		for f(ctx) != nil {
		}
		return nil
	}
	end, err := w.client.complete(t.Context(), &ending{id: "a", state: StateFailed, retry: twice, event: &Event{}})
	if err != nil || end.state != StateFailed || tries != 3 {
		t.Errorf("%+v, %v after %d tries", end, err, tries)
	}
}

// joining is a publisher whose pushes may be part of a script.
type within struct {
	*world
	err  error // before the script
	read error // of its answer
}

func (w within) PublishVia(ctx context.Context, m push.Message, store func(context.Context, push.Appender, push.Message) (push.Receipt, error)) (push.Receipt, error) {
	if w.err != nil {
		return push.Receipt{}, w.err
	}
	w.pushes = append(w.pushes, m)
	return store(ctx, joinable{read: w.read}, m)
}

// joinable is a store whose appends may be part of a script.
type joinable struct {
	push.Appender
	read error
}

func (j joinable) ScriptAppend(context.Context, redis.UniversalClient, push.Message) (script.Append, error) {
	read := func(any) (push.Receipt, error) { return push.Receipt{}, j.read }
	return script.Append{Body: "return {0}", Keys: []string{"mailbox"}, Args: []any{"entry"}, Read: read}, nil
}

func TestCompleteRun(t *testing.T) {
	t.Parallel()
	removal := tasks.Removal{Keys: []string{"k1", "k2", "k3", "k4", "k5"}, Args: []any{"a1", "a2", "a3"}}
	for _, tt := range []struct {
		name    string
		asked   bool // somebody wants the event
		apart   bool // the publisher cannot join
		before  error
		read    error // of what the push's part of the script answers
		answer  []any // of complete.lua, nil for a failure
		remove  tasks.Removal
		want    completed
		script  bool
		wantErr bool
	}{
		{name: "nobody asked", answer: []any{int64(1), int64(1)}, remove: removal, want: completed{true, true}, script: true},
		{name: "nobody asked, the task stays", answer: []any{int64(1), int64(0)}, want: completed{true, false}, script: true},
		{name: "pushed with it", asked: true, answer: []any{int64(1), int64(1), []any{}}, remove: removal, want: completed{true, true}, script: true},
		{
			name: "pushed with it, and its receipt cannot be read", asked: true, read: errBroken,
			answer: []any{int64(1), int64(1), []any{}}, remove: removal, want: completed{true, true}, script: true,
		},
		{name: "the record decides", asked: true, answer: []any{int64(0)}, remove: removal, script: true},
		{name: "the mailbox is full", asked: true, before: push.ErrMailboxFull},
		{name: "the session is closed", asked: true, before: push.ErrSessionClosed},
		{name: "the store takes no part", asked: true, before: script.ErrApart},
		{name: "the publisher takes no part", asked: true, apart: true},
		{name: "the push fails", asked: true, before: errBroken, wantErr: true},
		{name: "the script fails", script: true, wantErr: true},
		{name: "the script fails with a push in it", asked: true, script: true, wantErr: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if !tt.apart {
				w.client.pub = within{w, tt.before, tt.read}
			}
			w.answer("complete", tt.answer...)
			if tt.answer == nil {
				w.fail("complete")
			}
			x := &execution{pool: w.pool, id: "a", gen: 1, record: recordUnaware}
			if tt.asked {
				x.dests, _ = parseDests(destination)
			}
			got, err := w.client.completeRun(t.Context(), newCompletion(t.Context(), x, []byte("1")), tt.remove)
			if got != tt.want || (err != nil) != tt.wantErr {
				t.Errorf("completed %+v, %v", got, err)
			}
			if script := slices.Contains(w.log, "complete"); script != tt.script {
				t.Errorf("steps %q", w.log)
			}
			if told := slices.Contains(w.args["complete"], any("k5")) && slices.Contains(w.args["complete"], any("a3")); told != (len(tt.remove.Keys) > 0) {
				t.Errorf("told to remove the task: %t", told)
			}
			for _, m := range w.pushes {
				if !m.Final || m.Replaces != "job:a:1" || m.ID != "job:a:1:completed" {
					t.Errorf("pushed %+v", m)
				}
			}
			if w.pool.client.pushable(x) == tt.apart {
				t.Error("what cannot be pushed is taken for what can")
			}
		})
	}
}

func TestFinishPending(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		answer []any
		join   []any
		finish []any
		want   string
		done   bool
		fails  bool
		waits  bool
	}{
		{name: "all in one", answer: []any{int64(1), int64(1)}, want: "complete", done: true},
		{name: "stored, the task is not out", answer: []any{int64(1), int64(0)}, want: "complete"},
		{name: "fails, and is asked for again", want: "complete", done: true, fails: true, waits: true},
		{name: "by the record", answer: []any{int64(0)}, join: []any{"run"}, finish: []any{"done", "completed", ""}, want: "complete join finish"},
		{name: "another run has the job", answer: []any{int64(0)}, join: []any{"stale"}, want: "complete join", done: true},
		{name: "the job is over", answer: []any{int64(0)}, join: []any{"over", "completed"}, want: "complete join"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if done, err := w.pool.finishPending(t.Context(), []string{"a"}, tasks.Removal{}); done || err != nil {
				t.Fatalf("nothing waits: %t, %v", done, err)
			}
			w.answer("complete", tt.answer...)
			if tt.answer == nil {
				w.fail("complete")
			}
			w.answer("join", tt.join...)
			w.answer("finish", tt.finish...)
			x := &execution{pool: w.pool, id: "a", gen: 1, record: recordUnaware}
			w.pool.pending.Put("a", newCompletion(t.Context(), x, []byte("1")))
			done, err := w.pool.finishPending(t.Context(), []string{"z", "a"}, tasks.Removal{})
			if done != tt.done || (err != nil) != tt.fails {
				t.Errorf("done %t, %v", done, err)
			}
			if got := strings.Join(w.log, " "); got != tt.want {
				t.Errorf("steps %q, want %q", got, tt.want)
			}
			if _, waits := w.pool.pending.Take([]string{"a"}); waits != tt.waits {
				t.Errorf("waits still: %t", waits)
			}
		})
	}
}

// TestConclude: what Asynq is told of a run's end.
func TestConclude(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		record recordState
		state  State
		plain  bool
		finish []any
		want   string
		err    error // that Asynq is told
		again  bool
		waits  bool
	}{
		{name: "completed", state: StateCompleted, finish: []any{"done", "completed", ""}, want: "finish"},
		{name: "failed", state: StateFailed, finish: []any{"done", "failed", ""}, want: "finish", err: asynq.SkipRetry},
		{name: "cancelled", state: StateCancelled, finish: []any{"done", "cancelled", ""}, want: "finish", err: asynq.RevokeTask},
		{name: "completed, but cancelled", state: StateCompleted, finish: []any{"done", "cancelled", ""}, want: "finish", err: asynq.RevokeTask},
		{name: "decided before", state: StateCompleted, finish: []any{"over", "failed"}, want: "finish", err: asynq.SkipRetry},
		{name: "taken over", state: StateCompleted, finish: []any{"stale", ""}, want: "finish", again: true},
		{name: "unaware, completed", record: recordUnaware, state: StateCompleted, waits: true},
		{name: "no record, completed", record: noRecord, plain: true, state: StateCompleted, waits: true},
		{name: "unaware, failed", record: recordUnaware, state: StateFailed, finish: []any{"done", "failed", ""}, want: "join finish", err: asynq.SkipRetry},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.answer("finish", tt.finish...)
			w.answer("join", "run")
			x := &execution{pool: w.pool, id: "a", gen: 1, record: tt.record}
			if tt.plain {
				x.plain = &plainTask{}
			}
			err := w.pool.conclude(t.Context(), x, tt.state, []byte("1"), "", "", nil)
			_, again := errors.AsType[*retryError](err)
			if again != tt.again || !again && !errors.Is(err, tt.err) {
				t.Errorf("Asynq is told %v, want %v", err, tt.err)
			}
			if got := strings.Join(w.log, " "); got != tt.want {
				t.Errorf("steps %q, want %q", got, tt.want)
			}
			if _, waits := w.pool.pending.Take([]string{"a"}); waits != tt.waits {
				t.Errorf("waits for Asynq: %t", waits)
			}
		})
	}
}

// TestUnansweredEnqueue: an Enqueue whose script nobody called is an error.
func TestUnansweredEnqueue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := enqueuer{sharing{w.client.rdb, w.client.combine}, w.client}
	cmd := e.EvalSha(context.WithValue(t.Context(), puttingKey{}, &putting{}), "0123", []string{"a", "b"}, 1, 2, 3)
	if !errors.Is(cmd.Err(), errUnanswered) || len(w.log) > 0 {
		t.Errorf("an unknown script: %v, %q", cmd.Err(), w.log)
	}
	w.client.asynq = asynq.NewClientFromRedisClient(silent{w.client.rdb}) // never asks for the script
	kind := Define[int, int]("test.silent")
	if _, err := kind.With(w.client).Enqueue(t.Context(), 1, ID("a")); !errors.Is(err, errUnanswered) {
		t.Errorf("Enqueue = %v, want errUnanswered", err)
	}
}

type silent struct{ redis.UniversalClient }

func (silent) EvalSha(ctx context.Context, _ string, _ []string, _ ...any) *redis.Cmd {
	cmd := redis.NewCmd(ctx)
	cmd.SetVal(int64(1))
	return cmd
}
