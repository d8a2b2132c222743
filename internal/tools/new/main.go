// Command new begins an application. It copies README's program, its test, a
// Dockerfile and a compose file into a module of its own:
//
//	go run ./internal/tools/new ../shop example.com/shop
//
// It changes nothing that is there already. Only make new calls it.
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
	if len(args) != 2 {
		return errors.New("usage: make new DIR=../shop MODULE=example.com/shop")
	}
	root, err := repo.Root()
	if err != nil {
		return err
	}
	if err := scaffold.New(root, args[0], args[1]); err != nil {
		return err
	}
	fmt.Printf("next: cd %s && go test ./... && go run .\n", args[0])
	return nil
}
