package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"lastmile/cmd/internal/config"
	"lastmile/cmd/internal/filestore"
	"lastmile/cmd/internal/profilejob"
	"lastmile/jobs"
	"lastmile/push"
)

// kind is what the program knows of a kind of job.
type kind struct {
	handle  func(*jobs.Pool, *filestore.Store) error
	enqueue func(ctx context.Context, client *jobs.Client, args []byte, opts []jobs.Option) (jobs.Handle, error)
	notify  func(push.Session) jobs.Option
}

// known are the kinds that this program runs.
func known() map[string]kind {
	profile := typed(profilejob.Kind, profilejob.Notify)
	profile.handle = func(pool *jobs.Pool, files *filestore.Store) error { return profilejob.Handle(pool, files) }
	return map[string]kind{profilejob.Kind.Name(): profile}
}

// kindNames lists the known kinds for a message.
func kindNames() string { return strings.Join(slices.Sorted(maps.Keys(known())), ", ") }

// typed makes a kind of a definition; arguments that it does not have are
// refused here, where somebody can still correct them.
func typed[A, R any](k *jobs.Kind[A, R], notify func(push.Session) jobs.Option) kind {
	return kind{notify: notify, enqueue: func(ctx context.Context, client *jobs.Client, raw []byte, opts []jobs.Option) (jobs.Handle, error) {
		var args A
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.DisallowUnknownFields()
		err := dec.Decode(&args)
		if err == nil {
			if _, more := dec.Token(); !errors.Is(more, io.EOF) {
				err = errors.New("there is something behind the object")
			}
		}
		if v, ok := any(&args).(interface{ Validate() error }); ok && err == nil {
			err = v.Validate()
		}
		if err != nil {
			return jobs.Handle{}, fmt.Errorf("%w: ARGS: arguments of %s: %w", config.ErrUsage, k.Name(), err)
		}
		return k.With(client).Enqueue(ctx, args, opts...)
	}}
}

// enqueueCommand is "worker enqueue KIND JSON".
type enqueueCommand struct {
	Kind    string        `arg:"" help:"Kind of the job, such as reports.profile."`
	Args    string        `arg:"" help:"Its arguments as a JSON object."`
	ID      string        `name:"id" help:"Name of the job, which makes repeating the command safe."`
	Session string        `name:"session" help:"Session that gets the job's events."`
	Queue   string        `name:"queue" help:"Queue, in place of the kind's own."`
	In      time.Duration `name:"in" help:"Time to wait before the job starts."`
}

// Run enqueues the job.
func (c *enqueueCommand) Run(ctx context.Context, t *tools) error {
	k, ok := known()[c.Kind]
	if !ok {
		return fmt.Errorf("%w: KIND=%s: must be one of %s", config.ErrUsage, c.Kind, kindNames())
	}
	if err := config.Range("in", c.In, 0, 365*24*time.Hour); err != nil {
		return err
	}
	client, err := t.jobs()
	if err != nil {
		return err
	}
	var opts []jobs.Option
	if c.ID != "" {
		opts = append(opts, jobs.ID(c.ID))
	}
	if c.Session != "" {
		opts = append(opts, k.notify(t.publisher.Session(c.Session)))
	}
	if c.Queue != "" {
		opts = append(opts, jobs.Queue(c.Queue))
	}
	if c.In > 0 {
		opts = append(opts, jobs.ProcessIn(c.In))
	}
	h, err := k.enqueue(ctx, client, []byte(c.Args), opts)
	if errors.Is(err, jobs.ErrInvalid) {
		return fmt.Errorf("%w: %w", config.ErrUsage, err)
	}
	if err != nil {
		return err
	}
	text := "enqueued " + h.ID
	if h.Existing {
		text = "exists already: " + h.ID
	}
	return t.out.print(map[string]any{"id": h.ID, "gen": h.Gen, "state": h.State, "existing": h.Existing}, text)
}
