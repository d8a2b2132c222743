// Command module gives the repository that it runs in its final module path. It
// changes every place where the path is written:
//
//	go run ./internal/tools/module host/owner/lastmile
//
// It publishes nothing. Only make module calls it.
package main

import (
	"errors"
	"fmt"
	"os"

	"lastmile/internal/repo"
	"lastmile/internal/scaffold"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return errors.New("usage: make module PATH=host/owner/lastmile")
	}
	root, err := repo.Root()
	if err != nil {
		return err
	}
	changed, err := scaffold.Rename(root, args[0])
	if err != nil {
		return err
	}
	fmt.Printf("%d files changed: the module is %s\n", len(changed), args[0])
	return nil
}
