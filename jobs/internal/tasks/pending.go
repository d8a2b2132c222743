package tasks

import (
	"sync"
	"time"
)

// Pending are the completions that wait for the moment, microseconds, until
// Asynq puts their tasks away. It is safe for concurrent use.
type Pending[T any] struct {
	mu      sync.Mutex
	waiting map[string]pending[T] // by task
}

type pending[T any] struct {
	value T
	at    time.Time
}

// Put has a completion wait for Asynq's call about the task.
func (p *Pending[T]) Put(id string, value T) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting == nil {
		p.waiting = make(map[string]pending[T])
	}
	p.waiting[id] = pending[T]{value, time.Now()}
}

// Take returns the completion that waits for the first of the tasks to have one.
func (p *Pending[T]) Take(ids []string) (value T, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range ids {
		if c, found := p.waiting[id]; found {
			delete(p.waiting, id)
			return c.value, true
		}
	}
	return value, false
}

// Peek returns what Take would, and leaves it where it is.
func (p *Pending[T]) Peek(ids []string) (value T, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range ids {
		if c, found := p.waiting[id]; found {
			return c.value, true
		}
	}
	return value, false
}

// Has tells whether a completion waits for Asynq's call about the task.
func (p *Pending[T]) Has(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, found := p.waiting[id]
	return found
}

// Overdue returns the completions that have waited for longer than d. They go on
// waiting.
func (p *Pending[T]) Overdue(d time.Duration) []T {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []T
	for _, c := range p.waiting {
		if time.Since(c.at) >= d {
			out = append(out, c.value)
		}
	}
	return out
}
