package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// task is something that runs until its context ends.
type task struct {
	name string
	run  func(ctx context.Context) error
}

// runLayers starts all tasks and stops them when ctx ends or one of them
// fails: the last layer first, and each only when the one above it is done. So
// what others stand on goes last.
func runLayers(ctx context.Context, layers ...[]task) error {
	end, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var mu sync.Mutex
	var errs []error
	stops := make([]func(), len(layers))
	for i, tasks := range layers {
		layer, cancel := context.WithCancel(context.WithoutCancel(ctx))
		var wg sync.WaitGroup
		for _, t := range tasks {
			wg.Go(func() {
				err := t.run(layer)
				if err == nil && layer.Err() == nil {
					err = errors.New("it stopped by itself")
				}
				if err != nil {
					err = fmt.Errorf("%s: %w", t.name, err)
					mu.Lock()
					errs = append(errs, err)
					mu.Unlock()
					fail(err)
				}
			})
		}
		stops[i] = func() { cancel(); wg.Wait() }
	}
	<-end.Done()
	for i := len(stops) - 1; i >= 0; i-- {
		stops[i]()
	}
	return errors.Join(errs...)
}
