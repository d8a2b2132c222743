// Command streamsuite runs the conformance suite of the Durable Streams protocol,
// npm's @durable-streams/server-conformance-tests, against the handler of
// push/stream: at the same time on a Redis in this process and on a real
// redis-server. All of its cases must pass, as many as are known here: fewer and
// more both fail, and no case is left out but those of subscriptions, which are no
// part of the protocol's core.
//
// Beside it the protocol's own client reads a stream while that is written and its
// Redis is killed, by the code of docs/recipes/streams.md: each reader must have the
// same bytes.
//
// It knows nothing of the protocol, and npm is not called here: -modules names the
// node_modules directory that .ci/streams installed. With -write it writes what
// passed into docs/conformance.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"lastmile/internal/repo"
)

const (
	// cases is how many the suite has, but for those of subscriptions, which it
	// leaves out itself.
	cases, left = 332, 6
	// wait is the long poll's of the handler: the suite waits for its end.
	wait = 500 * time.Millisecond
	// most bounds a run.
	most = 5 * time.Minute
)

func main() {
	modules := flag.String("modules", "", "node_modules directory with the suite")
	write := flag.Bool("write", false, "write docs/conformance.md")
	only := flag.String("t", "", "run the cases whose names match, whatever their number")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, *modules, *only, *write)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, modules, only string, write bool) error {
	if modules == "" {
		return errors.New("streamsuite: -modules is needed")
	}
	modules, err := filepath.Abs(modules)
	if err != nil {
		return fmt.Errorf("streamsuite: %w", err)
	}
	root, err := repo.Root()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	stores := []store{{name: "in memory", open: memory}, {name: "redis-server", open: real}}
	reports := make([]report, len(stores))
	var group errgroup.Group
	var read time.Duration
	group.Go(func() (err error) {
		read, err = client(ctx, root, modules)
		return err
	})
	for i, s := range stores {
		group.Go(func() (err error) {
			reports[i], err = suite(ctx, s, root, modules, only)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	fmt.Printf("the protocol's client has read the same bytes 4 times, with %d kills of Redis, in %.1f s\n", kills, read.Seconds())
	for i, s := range stores {
		err = errors.Join(err, judge(reports[i], s.name, only))
		if err == nil || only != "" {
			continue
		}
		// The suite has lifetimes of two seconds and looks half a second before
		// their end, which a busy machine misses: once more, alone.
		fmt.Println(err)
		if reports[i], err = suite(ctx, s, root, modules, only); err == nil {
			err = judge(reports[i], s.name, only)
		}
		if err != nil {
			return err
		}
	}
	if err != nil || !write {
		return err
	}
	return writeReport(filepath.Join(root, "docs/conformance.md"), modules, reports[0])
}

// judge says what was wrong with a run.
func judge(r report, name, only string) error {
	fmt.Printf("%-12s %d of %d cases passed in %.1f s, %d of subscriptions not run\n", name, r.Passed, r.Total-r.Left, r.took.Seconds(), r.Left)
	if failed := r.failures(only != ""); len(failed) > 0 {
		return fmt.Errorf("streamsuite: %s: cases failed:\n%s", name, strings.Join(failed, "\n"))
	}
	if only == "" && (r.Passed != cases || r.Total != cases+left || r.Left != left) {
		return fmt.Errorf("streamsuite: %s: of %d cases %d passed and %d did not run, want %d, %d, %d", name, r.Total, r.Passed, r.Left, cases+left, cases, left)
	}
	return nil
}
