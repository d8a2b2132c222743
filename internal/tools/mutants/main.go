// Command mutants makes small faults in the code, one at a time and never in the
// working tree, and runs the unit tests of the faulty package: each must fail.
// It prints one line a fault and fails when one survives. An argument is a
// regular expression for the faults to try:
//
//	go run ./internal/tools/mutants 'delivery/decide'
//
// It invents no faults: they are the table of package mutation. make mutants and
// .ci/run call it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"time"

	"lastmile/internal/mutation"
	"lastmile/internal/repo"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	list := mutation.Table()
	if len(args) > 0 {
		re, err := regexp.Compile(args[0])
		if err != nil {
			return fmt.Errorf("mutants: %w", err)
		}
		list = slices.DeleteFunc(list, func(m mutation.Mutation) bool { return !re.MatchString(m.String()) })
	}
	if len(list) == 0 {
		return errors.New("mutants: no fault has that name")
	}
	root, err := repo.Root()
	if err != nil {
		return err
	}
	r := mutation.Runner{Root: root, Each: func(res mutation.Result) {
		fmt.Printf("%-9s %5.1f s  %v\n", res.Verdict, res.Took.Round(100*time.Millisecond).Seconds(), res.Mutation)
		if res.Verdict == mutation.Broken {
			fmt.Println(res.Output)
		}
	}}
	left, err := r.Run(ctx, list)
	if err != nil {
		return err
	}
	fmt.Printf("%d of %d faults killed\n", len(list)-left, len(list))
	if left > 0 {
		return errors.New("mutants: the tests do not notice every fault")
	}
	return nil
}
