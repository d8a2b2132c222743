// Command streamsuite runs the conformance suite of the Durable Streams protocol,
// npm's @durable-streams/server-conformance-tests, against the handler of
// push/stream: at the same time on a Redis in this process and on a real
// redis-server. All of its cases must pass, as many as are known here: fewer and
// more both fail, and no case is left out but those of subscriptions, which are no
// part of the protocol's core.
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
	stores := []store{{name: "in memory", open: memory}, {name: "redis-server", open: server}}
	reports := make([]report, len(stores))
	var group errgroup.Group
	for i, s := range stores {
		group.Go(func() (err error) {
			reports[i], err = suite(ctx, s, root, modules, only)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for i, r := range reports {
		fmt.Printf("%-12s %d of %d cases passed in %.1f s, %d of subscriptions not run\n", stores[i].name, r.Passed, r.Total-r.Left, r.took.Seconds(), r.Left)
		for _, f := range r.failures() {
			fmt.Println(f)
			err = errors.New("streamsuite: cases failed")
		}
		if only == "" && (r.Passed != cases || r.Total != cases+left || r.Left != left) {
			err = errors.Join(err, fmt.Errorf("streamsuite: %s: of %d cases %d passed and %d did not run, want %d, %d, %d",
				stores[i].name, r.Total, r.Passed, r.Left, cases+left, cases, left))
		}
	}
	if err != nil || !write {
		return err
	}
	return writeReport(filepath.Join(root, "docs/conformance.md"), modules, reports[0])
}
