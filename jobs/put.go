package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"lastmile/jobs/internal/tasks"
)

// put writes the record and the task.
func (c *Client) put(ctx context.Context, e *Work) (Handle, error) {
	s, now := e.set, c.clock.now(ctx)
	if e.Queue == "" {
		return Handle{}, fmt.Errorf("%w: no queue", ErrInvalid)
	}
	at := s.at
	if s.in > 0 {
		at = now.Add(s.in)
	}
	t := &task{
		id: e.ID, gen: 1, kind: e.Kind, queue: e.Queue, payload: e.Args, at: at,
		opts: jobOptions{
			Timeout: s.timeout, Retention: s.retention, Base: s.backoffBase, Max: s.backoffMax, Limit: s.maxRetry + 1, Deaths: s.deaths(), Limits: s.limits,
			Codec: s.codec(),
		},
		plain: s.plain && e.ID == s.id, made: now,
	}
	if t.plain {
		h := Handle{ID: e.ID, Gen: 1, State: t.state(now)}
		if err := (index{c}).add(ctx, t); err != nil {
			return Handle{}, err
		}
		_, err := c.submit(ctx, t)
		return h, err
	}
	if err := (chains{c}).store(ctx, t, s); err != nil {
		return Handle{}, err
	}
	for try := 1; ; try++ {
		h, err := c.putRecorded(ctx, t, s)
		if !errors.Is(err, errChanged) || try == reopenTries {
			if err == nil && h.Existing {
				chains{c}.drop(ctx, s.follow)
			}
			return h, err
		}
	}
}

// putRecorded writes the record and the task of a job that has a record.
func (c *Client) putRecorded(ctx context.Context, t *task, s *settings) (Handle, error) {
	to, err := s.dest()
	if err != nil {
		return Handle{}, err
	}
	t.gen = 1
	r, submitted, err := c.create(ctx, t, s, to)
	if err != nil {
		return Handle{}, err
	}
	h := Handle{ID: t.id, Gen: r.gen, State: r.state, Existing: true}
	t.gen = h.Gen
	switch r.creation {
	case createKept:
		return h, c.notify.tellEnd(ctx, t.id, to)
	case createStale:
		return c.openStale(ctx, t, s, to)
	case createOpen:
		if r.run > 0 || submitted {
			return h, nil // it has run, so it is in the queue
		}
		_, err := submitAwaited(ctx, c, t, false)
		return h, err
	case createNew:
	}
	h.Existing, h.State = false, t.state(t.made)
	if submitted {
		if !r.enqueued {
			err = c.supplant(ctx, t)
		}
	} else {
		c.notify.tellQueued(ctx, t, h, s) // before a worker can have it
		err = settleAwaited(ctx, c, t, false)
	}
	if err != nil {
		c.abandon(ctx, t)
	}
	return h, err
}

// supplant puts the task of a new job in whose ID Asynq knows: a task of a
// former job that it keeps, longer than the record was kept, makes room. Any
// other is the job's own, from a call whose answer was lost.
func (c *Client) supplant(ctx context.Context, t *task) error {
	id := tasks.IDOf(t.id, t.gen)
	info, err := c.inspect.GetTaskInfo(c.inAsynq(t.queue), id)
	switch {
	case tasks.Gone(err):
	case err != nil:
		return fmt.Errorf("jobs: look for task %q: %w", id, err)
	case info.State != asynq.TaskStateArchived && info.State != asynq.TaskStateCompleted:
		return nil
	default:
		if err := c.inspect.DeleteTask(c.inAsynq(t.queue), id); err != nil && !errors.Is(err, asynq.ErrTaskNotFound) {
			return fmt.Errorf("jobs: remove task %q of a former job: %w", id, err)
		}
	}
	_, err = c.submit(ctx, t)
	return err
}

// create lists the job with its session, makes the record, and submits the task
// where one script can do it all and nothing is to be told in between. Otherwise the record comes before the task,
// and the list first: listed without a record a job does not show, so the order
// hides none.
func (c *Client) create(ctx context.Context, t *task, s *settings, to string) (r created, submitted bool, err error) {
	now, life := t.made, s.listed(t)
	args, err := c.createArgs(t, s, to)
	if err != nil {
		return created{}, false, err
	}
	if c.single() && c.known.Enqueue && !t.at.After(now) && s.actions[eventQueued] == "" {
		p := &putting{args: args, keys: slices.Clip(c.job(t.id)), listed: []any{ms(now), maxListed, msOf(life), t.id}}
		if s.session != "" {
			p.list = c.session(s.session)
		}
		if s.mayRunUnrecorded() {
			p.where = where(t.id, t.gen)
		}
		_, err := c.submit(context.WithValue(ctx, puttingKey{}, p), t)
		if p.err != nil { // what Asynq makes of it wraps nothing
			err = fmt.Errorf("jobs: enqueue task %q: %w", t.id, p.err)
		}
		if err == nil && !p.answered {
			err = fmt.Errorf("jobs: enqueue task %q: %w", t.id, errUnanswered)
		}
		if err != nil {
			return created{}, true, err
		}
		r, err := parseCreated(p.reply)
		return r, true, err
	}
	if s.session != "" {
		if err := c.index(ctx, s.session, t.id, now, life); err != nil {
			return created{}, false, err
		}
	}
	if !s.random || t.id != s.id {
		args = append(args, openedField, 1)
	}
	answer, err := c.reply(ctx, "create", t.id, args...)
	if err != nil {
		return created{}, false, err
	}
	r, err = parseCreated(answer)
	return r, false, err
}

// createArgs returns the arguments of create.lua.
func (c *Client) createArgs(t *task, s *settings, to string) ([]any, error) {
	fields, uni, err := c.fields(t, s)
	if err != nil {
		return nil, err
	}
	if len(t.opts.Limits) > 0 {
		fields = append(c.limits.coming(t), fields...)
	}
	if to != "" {
		fields = append(fields, "to0", to, "ton", 1)
	}
	fields = append(fields, "gen", 1, "kind", t.kind, "st", string(t.state(t.made)))
	return append([]any{t.id, ms(t.made), ms(t.made.Add(firstCheck)), to, uni, t.entry(t.state(t.made))}, fields...), nil
}

// fields are those of a record that say what is asked for; uni is until when it
// is unique, or "".
func (c *Client) fields(t *task, s *settings) (fields []any, uni string, err error) {
	opt, err := c.options.encode(t.kind, t.opts)
	if err != nil {
		return nil, "", err
	}
	fields = append(make([]any, 0, 32), "lim", s.maxRetry+1, "queue", t.queue, "pay", t.payload, "opt", opt, "made", ms(t.made))
	if t.at.After(t.made) {
		fields = append(fields, "next", ms(t.at))
	}
	if s.unique > 0 {
		uni = ms(t.made.Add(s.unique))
		fields = append(fields, "uni", uni)
	}
	if s.follow != nil {
		f, err := json.Marshal(s.follow)
		if err != nil {
			return nil, "", err
		}
		fields = append(fields, "follow", f)
	}
	return fields, uni, nil
}

// listed is how long a session's list has to live for the job.
func (s *settings) listed(t *task) time.Duration {
	return max(indexLife, max(0, t.at.Sub(t.made))+s.retention+24*time.Hour)
}

// putting is the making of a record that goes along with Asynq's call.
type putting struct {
	keys   []string
	args   []any  // of create
	list   string // of the session, or ""
	listed []any  // what listing needs
	where  string // for take.lua, or ""

	answered bool // put.lua has run
	reply    reply
	err      error
}

// errUnanswered is an Enqueue whose record nobody has made.
var errUnanswered = errors.New("asynq did not call the script that enqueues a task")

type puttingKey struct{}

// enqueuer is Asynq's client in a Client.
type enqueuer struct {
	sharing
	client *Client
}

// EvalSha calls a script; the one that enqueues a task together with the making
// of the record that ctx carries.
func (e enqueuer) EvalSha(ctx context.Context, sha string, keys []string, args ...any) *redis.Cmd {
	p, ok := ctx.Value(puttingKey{}).(*putting)
	if !ok && e.client.known.Enqueues(sha, keys, args) {
		return e.putTask(ctx, keys, args)
	}
	if ctx.Value(awaitedKey{}) != nil {
		cmd := redis.NewCmd(ctx)
		cmd.SetErr(tasks.ErrNoScript) // for its text
		return cmd
	}
	if d, ok := ctx.Value(dueKey{}).(*due); ok {
		cmd := e.sharing.EvalSha(ctx, sha, keys, e.exactly(d, keys, args)...)
		e.hint(ctx, d, cmd)
		return cmd
	}
	if !ok {
		return e.sharing.EvalSha(ctx, sha, keys, args...)
	}
	if !e.client.known.Enqueues(sha, keys, args) {
		cmd := redis.NewCmd(ctx)
		cmd.SetErr(errUnanswered) // the task alone would be a job that nobody knows of
		return cmd
	}
	return e.putBoth(ctx, p, keys, args)
}

// due is when a task is due that Asynq is asked to put off, and the full second
// that Asynq is told.
type due struct {
	at     time.Time
	second int64
	queue  string
}

type dueKey struct{}

// Eval calls a script by its text, as Asynq does when Redis does not know it.
func (e enqueuer) Eval(ctx context.Context, text string, keys []string, args ...any) *redis.Cmd {
	d, isDue := ctx.Value(dueKey{}).(*due)
	if isDue {
		args = e.exactly(d, keys, args)
	}
	var cmd *redis.Cmd
	if a, ok := ctx.Value(awaitedKey{}).(*awaited); ok {
		cmd = e.client.combine.run(ctx, e.client.awaiting(text), append(slices.Clip(keys), a.record), append(slices.Clip(args), a.gen, a.only))
	} else {
		cmd = e.sharing.Eval(ctx, text, keys, args...)
	}
	if isDue {
		e.hint(ctx, d, cmd)
	}
	return cmd
}

// exactly returns the arguments of a call that puts a task off, to the millisecond
// where there are workers that look so often.
func (e enqueuer) exactly(d *due, keys []string, args []any) []any {
	if k := &e.client.known; k.Forward {
		return k.Names.Exactly(d.queue, keys, args, d.second, d.at)
	}
	return args
}

// hint has a worker know of what is due before it looks the next time.
func (e enqueuer) hint(ctx context.Context, d *due, put *redis.Cmd) {
	c := e.client
	if put.Err() != nil || c.clock.until(ctx, d.at) >= sweepEvery || !c.known.Forward {
		return
	}
	idle := c.idle(c.known.Names.Pending(d.queue))
	if err := c.run(ctx, "soon", []string{idle}, c.wakes(), c.blind()).Err(); err != nil {
		c.log.DebugContext(ctx, "nobody told of a task that is due soon", "error", err) // the sweep finds it
	}
}

// putTask does what Asynq's call is for and wakes a worker, and answers the call.
func (e enqueuer) putTask(ctx context.Context, keys []string, args []any) *redis.Cmd {
	c := e.client
	keys, args = append(slices.Clip(keys), c.idle(keys[1])), append(slices.Clip(args), c.wakes(), c.blind())
	if a, ok := ctx.Value(awaitedKey{}).(*awaited); ok {
		keys, args = append(keys, a.record), append(args, a.gen, a.only)
	}
	cmd := c.run(ctx, "enqueue", keys, args...)
	v, err := cmd.Slice()
	if err != nil {
		return cmd
	}
	r := reply(v)
	c.denied.note(ctx, r.num(1))
	answer := redis.NewCmd(ctx)
	answer.SetVal(r.num(0))
	return answer
}

// denial is that Redis keeps this user from waking workers, or from being woken.
type denial struct {
	log      *slog.Logger
	channels string
	said     atomic.Bool
}

// note notes what a script says: 1 when it may not publish.
func (d *denial) note(ctx context.Context, untold int64) {
	if untold != 0 {
		d.warn(ctx, errMayNotPublish)
	}
}

// errMayNotPublish is what scripts make of NOPERM.
var errMayNotPublish = errors.New("NOPERM publish")

// warn says it once.
func (d *denial) warn(ctx context.Context, err error) {
	if !d.said.Swap(true) {
		d.log.WarnContext(ctx, "Redis does not let this user publish or subscribe: workers look for jobs by themselves, which costs calls and up to a second",
			"channels", d.channels, "error", err)
	}
}

// putBoth makes the record and does what Asynq's call is for in one script, and
// answers the call.
func (e enqueuer) putBoth(ctx context.Context, p *putting, keys []string, args []any) *redis.Cmd {
	c := e.client
	keys = append(append(p.keys, keys...), c.idle(keys[1]))
	if p.list != "" {
		keys = append(keys, p.list)
	}
	all := make([]any, 0, len(args)+6+len(p.args))
	all = append(append(append(append(all, args...), p.where, c.wakes()), p.listed...), p.args...)
	cmd := c.run(ctx, "put", keys, all...)
	v, err := cmd.Slice()
	if p.reply, p.err, p.answered = v, err, true; err != nil {
		return cmd
	}
	c.denied.note(ctx, p.reply.num(5))
	answer := redis.NewCmd(ctx)
	answer.SetVal(p.reply.num(4))
	return answer
}
