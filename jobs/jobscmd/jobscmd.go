// Package jobscmd are the commands that look after jobs, for any program: they
// enqueue jobs of its own kinds, list, show, cancel and retry jobs, and look
// after cron entries. A program mounts them in one line, behind its flags:
//
//	err := jobscmd.Run(ctx, flag.Args(), jobscmd.Config{Client: client, Kinds: []jobscmd.Kind{jobscmd.Of(Resize)}})
//
// With kong it embeds [Commands] in its grammar and binds a [*Config] and the
// context. They read no environment and end no process.
package jobscmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"lastmile/internal/terminal"
	"lastmile/jobs"
	"lastmile/push"
)

// ErrUsage marks a command line that cannot be run: the program exits with 2.
var ErrUsage = errors.New("bad command")

// Config is what the commands work with.
type Config struct {
	// Client is the application's client. It is needed.
	Client *jobs.Client
	// Session names a session for its jobs, as push.Publisher.Session does. With
	// nil a job cannot be enqueued for a session.
	Session func(id string) push.Session
	// Kinds are the kinds of jobs that can be enqueued: see Of.
	Kinds []Kind
	// Out is where the commands print. Defaults to the process's output.
	Out io.Writer
	// JSON has them print JSON instead of text.
	JSON bool
}

func (c *Config) printer() terminal.Printer {
	if c.Out == nil {
		return terminal.New(os.Stdout, c.JSON)
	}
	return terminal.New(c.Out, c.JSON)
}

func (c *Config) kinds() map[string]Kind {
	kinds := make(map[string]Kind, len(c.Kinds))
	for _, k := range c.Kinds {
		kinds[k.name] = k
	}
	return kinds
}

func (c *Config) kindNames() string {
	return strings.Join(slices.Sorted(maps.Keys(c.kinds())), ", ")
}

// Commands are the commands as part of a kong grammar: enqueue, jobs and cron.
type Commands struct{ grammar }

// grammar is what there is of them.
type grammar struct {
	Enqueue enqueueCommand `cmd:"" help:"Enqueue a job."`
	Jobs    struct {
		List   jobsList   `cmd:"" help:"List jobs, newest first: all, or those that are asked for."`
		Show   jobsShow   `cmd:"" help:"Show a job."`
		Cancel jobsCancel `cmd:"" help:"Cancel a job, or all that are asked for, for good."`
		Retry  jobsRetry  `cmd:"" help:"Run a job that has ended once more, or all that are asked for."`
		Bulk   jobsBulk   `cmd:"" help:"Show how far a cancellation or retry of many jobs is."`
	} `cmd:"" help:"Look after jobs."`
	Cron struct {
		List   cronList   `cmd:"" help:"List the cron entries, with their last and next times."`
		Run    cronRun    `cmd:"" help:"Enqueue the job of an entry at once."`
		Pause  cronPause  `cmd:"" help:"Have the times of an entry pass without a job."`
		Resume cronResume `cmd:"" help:"End a pause; what has passed is not made up for."`
	} `cmd:"" help:"Look after jobs that run at set times."`
}

// errHelp stops the parsing once the help is out.
var errHelp = errors.New("help was printed")

// Run runs one command: args are "jobs", "list", and so on, without the program's
// name. An error that wraps ErrUsage is about args. It prints to cfg.Out.
func Run(ctx context.Context, args []string, cfg Config) (err error) {
	if cfg.Client == nil {
		return fmt.Errorf("%w: jobscmd: Run: needs a client", jobs.ErrInvalid)
	}
	defer func() {
		if r := recover(); r != nil {
			if said, ok := r.(error); !ok || !errors.Is(said, errHelp) {
				panic(r)
			}
			err = nil
		}
	}()
	var app struct {
		Commands
		JSON bool `name:"json" help:"Print JSON instead of text."`
	}
	out := cfg.printer().W
	parser, err := kong.New(&app, kong.Name("jobs"), kong.Writers(out, out), kong.Exit(func(int) { panic(errHelp) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	if err != nil {
		return fmt.Errorf("jobscmd: %w", err)
	}
	kctx, err := parser.Parse(args)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUsage, err)
	}
	cfg.JSON = cfg.JSON || app.JSON
	kctx.BindTo(ctx, (*context.Context)(nil))
	return kctx.Run(&cfg)
}

// atMost checks that a flag's value is between 1 and a bound.
func atMost(flag string, v, most int) error {
	if v < 1 || v > most {
		return fmt.Errorf("%w: --%s=%d: must be 1 to %d", ErrUsage, flag, v, most)
	}
	return nil
}
