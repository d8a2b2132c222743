// Command web serves the reference application: pages, uploads, webhooks and
// the operator's tools. With no Redis of its own it brings an embedded one and
// runs the jobs itself.
package main

import (
	"context"
	"os"

	"lastmile/internal/service"
)

func main() {
	os.Exit(run(service.UntilSignal(context.Background()), os.Args[1:], os.Stdout, os.Stderr))
}
