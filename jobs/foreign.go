package jobs

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// foreignDelay is how long a task that is not ours is left alone when it was
	// not take.lua that met it.
	foreignDelay = time.Second
	// maxForeignTypes bounds how many types of such tasks are told of.
	maxForeignTypes = 100
)

// foreigners tells of tasks in our queues that are not this application's. They
// are nobody's fault here: they go back as they were, for whoever they are meant
// for.
type foreigners struct {
	log   *slog.Logger
	count prometheus.Counter

	mu    sync.Mutex
	types map[string]bool
}

// note counts a task, and warns of the first of its type.
func (f *foreigners) note(ctx context.Context, kind string) {
	f.count.Inc()
	f.mu.Lock()
	known := f.types[kind] || len(f.types) >= maxForeignTypes
	if !known {
		if f.types == nil {
			f.types = map[string]bool{}
		}
		f.types[kind] = true
	}
	f.mu.Unlock()
	if !known {
		f.log.WarnContext(ctx, "a task in one of our queues is not this application's: it is left to its owner", "action", shorten(kind, maxNameLen))
	}
}
