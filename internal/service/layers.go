// Package service runs the parts of a program and stops them in order. It knows
// nothing of what the parts do, which have Run methods. The package at the root
// and the programs use it.
package service

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// Task is something that runs until its context ends.
type Task struct {
	// Name says in an error which one failed.
	Name string
	Run  func(ctx context.Context) error
}

// Run starts all tasks and stops them when ctx ends or one of them
// fails: the last layer first, and each only when the one above it is done. So
// what others stand on goes last.
func Run(ctx context.Context, layers ...[]Task) error {
	endCtx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var mu sync.Mutex
	var errs []error
	stops := make([]func(), len(layers))
	for i, tasks := range layers {
		layerCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
		var wg sync.WaitGroup
		for _, t := range tasks {
			wg.Go(func() {
				err := t.Run(layerCtx)
				if err == nil && layerCtx.Err() == nil {
					err = errors.New("it stopped by itself")
				}
				if err != nil {
					err = fmt.Errorf("%s: %w", t.Name, err)
					mu.Lock()
					errs = append(errs, err)
					mu.Unlock()
					fail(err)
				}
			})
		}
		stops[i] = func() { cancel(); wg.Wait() }
	}
	<-endCtx.Done()
	for _, stop := range slices.Backward(stops) {
		stop()
	}
	return errors.Join(errs...)
}
