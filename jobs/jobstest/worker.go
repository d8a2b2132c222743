package jobstest

import (
	"context"
	"sync"
	"time"

	"lastmile/jobs"
)

// Worker is a pool with a way to Redis of its own, like one worker process.
type Worker struct {
	// Pool is the running pool.
	Pool *jobs.Pool

	link *link
	stop context.CancelFunc
	done chan error
	once sync.Once
	err  error
}

// Start runs a worker until the test ends. register adds its handlers. Zero
// fields of cfg are the production defaults.
func (k *Kit) Start(cfg jobs.PoolConfig, register func(*jobs.Pool)) *Worker {
	k.t.Helper()
	l := newLink(k.mini)
	rdb := l.client()
	if cfg.Logger == nil {
		cfg.Logger = k.log
	}
	pub, err := k.box.publisher(rdb, k.log)
	if err != nil {
		k.t.Fatalf("make publisher: %v", err)
	}
	pool, err := jobs.NewPool(rdb, pub, cfg)
	if err != nil {
		k.t.Fatalf("make pool: %v", err)
	}
	register(pool)
	ctx, cancel := context.WithCancel(context.WithoutCancel(k.t.Context()))
	w := &Worker{Pool: pool, link: l, stop: cancel, done: make(chan error, 1)}
	k.mu.Lock()
	k.links = append(k.links, l)
	k.mu.Unlock()
	go func() { w.done <- pool.Run(ctx) }()
	k.t.Cleanup(func() {
		l.set(false) // a dead worker may end now
		if err := w.Stop(); err != nil {
			k.t.Errorf("run pool: %v", err)
		}
		_ = rdb.Close()
	})
	return w
}

// Stop stops the worker gracefully and returns what Run returned.
func (w *Worker) Stop() error {
	w.once.Do(func() {
		w.stop()
		w.err = <-w.done
	})
	return w.err
}

// Crash makes the worker as good as dead: nothing it does reaches Redis any
// more, not even what it is doing now. Its goroutines end with the test.
func (w *Worker) Crash() { w.link.set(true) }

// Cut keeps the worker from Redis for d, as a fault of its network does.
func (w *Worker) Cut(d time.Duration) {
	w.link.set(true)
	time.Sleep(d) //nolint:forbidigo // the fault is the time
	w.link.set(false)
}
