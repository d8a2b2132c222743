// Command worker runs background jobs, and looks after jobs and dead letters
// from a terminal.
package main

import (
	"context"
	"os"

	"lastmile/internal/service"
)

func main() {
	os.Exit(run(service.UntilSignal(context.Background()), os.Args[1:], os.Stdout, os.Stderr))
}
