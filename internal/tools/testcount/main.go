// Command testcount runs `go test -json` with its arguments, prints the
// closing lines, the output of failing tests and every "report: ..." line, and
// ends with a count of tests for each tier. It fails when a test fails or is
// skipped, and, when told to by -require as its first argument, when a tier
// ran no test:
//
//	go run ./internal/tools/testcount -require=unit,engine -race ./...
//
// It chooses no tests: its arguments do. make test and .ci/run call it.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"

	"lastmile/internal/testcount"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	var require []string
	if len(args) > 0 {
		if names, ok := strings.CutPrefix(args[0], "-require="); ok {
			require, args = strings.Split(names, ","), args[1:]
		}
	}
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...) //nolint:gosec,noctx // runs what its own command line says, for as long as it takes
	cmd.Stderr = os.Stderr
	events, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("testcount: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("testcount: start go test: %w", err)
	}
	c := testcount.New(os.Stdout, testcount.Tiers())
	if err := c.Read(events); err != nil {
		return err
	}
	failed := cmd.Wait()
	if err := c.Summary(require); err != nil {
		return err
	}
	if failed != nil {
		return fmt.Errorf("testcount: go test: %w", failed)
	}
	return nil
}
