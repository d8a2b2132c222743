package jobscmd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"lastmile/jobs"
	"lastmile/push"
)

// Kind is a kind of jobs that can be enqueued by a command.
type Kind struct {
	name    string
	enqueue func(ctx context.Context, client *jobs.Client, args []byte, opts []jobs.Option) (jobs.Handle, error)
	notify  func(push.Session) jobs.Option
}

// Of makes a kind one that can be enqueued by a command. The arguments come as
// JSON: fields that they do not have are refused, and so is what a Validate
// method of theirs refuses. bindings are those of a job that is enqueued for a
// session.
func Of[A, R any](k *jobs.Kind[A, R], bindings ...jobs.Binding) Kind {
	return Kind{
		name:   k.Name(),
		notify: func(s push.Session) jobs.Option { return jobs.Notify(s, bindings...) },
		enqueue: func(ctx context.Context, client *jobs.Client, raw []byte, opts []jobs.Option) (jobs.Handle, error) {
			var args A
			if err := read(raw, &args); err != nil {
				return jobs.Handle{}, fmt.Errorf("%w: ARGS: arguments of %s: %w", ErrUsage, k.Name(), err)
			}
			return k.With(client).Enqueue(ctx, args, opts...)
		},
	}
}

// read reads arguments as strictly as they can be: what is enqueued by hand is
// mistyped more often than it is of another version.
func read(raw []byte, args any) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(args); err != nil {
		return err
	}
	if _, more := dec.Token(); !errors.Is(more, io.EOF) {
		return errors.New("there is something behind the value")
	}
	if v, ok := args.(interface{ Validate() error }); ok {
		return v.Validate()
	}
	return nil
}

// enqueueCommand is "enqueue KIND ARGS".
type enqueueCommand struct {
	Kind    string        `arg:"" help:"Kind of the job."`
	Args    string        `arg:"" help:"Its arguments as JSON."`
	ID      string        `name:"id" help:"Name of the job, which makes repeating the command safe."`
	Session string        `name:"session" help:"Session that gets the job's events."`
	Queue   string        `name:"queue" help:"Queue, in place of the kind's own."`
	In      time.Duration `name:"in" help:"Time to wait before the job starts."`
}

// Run enqueues a job.
func (c *enqueueCommand) Run(ctx context.Context, t *Config) error {
	k, ok := t.kinds()[c.Kind]
	if !ok {
		return fmt.Errorf("%w: KIND=%s: must be one of %s", ErrUsage, c.Kind, t.kindNames())
	}
	if most := 365 * 24 * time.Hour; c.In < 0 || c.In > most {
		return fmt.Errorf("%w: --in=%v: must be 0s to %v", ErrUsage, c.In, most)
	}
	var opts []jobs.Option
	if c.ID != "" {
		opts = append(opts, jobs.ID(c.ID))
	}
	if c.Session != "" {
		if t.Session == nil {
			return fmt.Errorf("%w: --session=%s: this program has no sessions", ErrUsage, push.Redact(c.Session))
		}
		opts = append(opts, k.notify(t.Session(c.Session)))
	}
	if c.Queue != "" {
		opts = append(opts, jobs.Queue(c.Queue))
	}
	if c.In > 0 {
		opts = append(opts, jobs.ProcessIn(c.In))
	}
	h, err := k.enqueue(ctx, t.Client, []byte(c.Args), opts)
	if errors.Is(err, jobs.ErrInvalid) {
		return fmt.Errorf("%w: %w", ErrUsage, err)
	}
	if err != nil {
		return err
	}
	text := "enqueued " + h.ID
	if h.Existing {
		text = "exists already: " + h.ID
	}
	return t.printer().Print(map[string]any{"id": h.ID, "gen": h.Gen, "state": h.State, "existing": h.Existing}, text)
}
