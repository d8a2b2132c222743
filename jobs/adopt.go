package jobs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// adoption is a handler of Asynq's with the queues it works on.
type adoption struct {
	p       *Pool
	handler asynq.Handler
	cfg     asynq.Config
}

// Adopt has the pool run an unchanged [asynq.Handler], such as an
// [asynq.ServeMux] with its middleware, on a queue of Asynq's. Call it before
// [Pool.Run]. The queue is named as in Asynq: unlike those of
// PoolConfig.Queues it carries no prefix, and whatever any producer puts there
// is run.
//
// All is as under an [asynq.Server], which in fact does it: counts and delays of
// retries, SkipRetry and RevokeTask, timeouts, deadlines, retention, uniqueness,
// the ResultWriter, what the context tells, its tools. cfg, one at most, is the
// configuration that the server had. With Queues it works on these too, by their
// weights.
//
// A task that [Bind] has bound to a session is a job beside: one whose ID is its
// task's (with "@" and the queue behind it where another job has that ID). From
// its first start it has a record, so it is found by [Client.Get] and
// [Client.Cancel], the watchdog looks after it, and its session gets its
// events. A handler reports progress by [FromContext]. The job has completed
// when the handler returns nil, with what the ResultWriter was given as its
// result, is cancelled after RevokeTask, and has failed after SkipRetry or the
// last retry. The record is kept for a day. A task that comes again after its
// end, by its producer or by an operator, is the job's next generation.
//
// The session of a task is believed: whoever can enqueue into the queue can send
// events to any session whose ID is known to him. Adopt queues that only your
// own programs write.
func (p *Pool) Adopt(queue string, h asynq.Handler, cfg ...asynq.Config) {
	a := &adoption{p: p, handler: h}
	if len(cfg) > 0 {
		a.cfg = cfg[0]
	}
	queues := map[string]int{queue: 1}
	maps.Copy(queues, a.cfg.Queues)
	a.cfg.Queues = queues
	for q := range queues {
		if _, ours := p.client.fromAsynq(q); ours || strings.TrimSpace(q) == "" {
			p.setupErr = errors.Join(p.setupErr, fmt.Errorf("%w: queue %q cannot be adopted: it is one of jobs' own, or has no name", ErrInvalid, q))
		}
	}
	switch {
	case p.started.Load():
		p.cfg.Logger.Error("queue adopted after the pool's start: it is not worked on here", "queue", queue)
	case h == nil || len(cfg) > 1:
		p.setupErr = errors.Join(p.setupErr, fmt.Errorf("%w: queue %q needs a handler, and one asynq.Config at most", ErrInvalid, queue))
	default:
		p.adoptions = append(p.adoptions, a)
	}
}

// startAdopted starts a server of Asynq's for each adoption. stop has them take
// no more tasks, and returns at once; down is closed when they have come to
// their end.
func (p *Pool) startAdopted(ctx context.Context, rdb redis.UniversalClient) (stop func(), err error) {
	var servers []*asynq.Server
	stop = func() {
		for _, s := range servers {
			s.Stop()
		}
		go func() {
			defer close(p.adoptedDown)
			var wg sync.WaitGroup
			for _, s := range servers {
				wg.Go(s.Shutdown)
			}
			wg.Wait()
		}()
	}
	for _, a := range p.adoptions {
		s := asynq.NewServerFromRedisClient(rdb, a.config(ctx))
		if err := s.Start(asynq.HandlerFunc(a.run)); err != nil {
			stop()
			<-p.adoptedDown
			return nil, fmt.Errorf("jobs: start server of adopted queues: %w", err)
		}
		servers = append(servers, s)
	}
	return stop, nil
}

// config is the server's: the application's own, with functions that know our
// errors.
func (a *adoption) config(ctx context.Context) asynq.Config {
	cfg, p := a.cfg, a.p
	if cfg.BaseContext == nil {
		ctx := withClient(context.WithoutCancel(ctx), p.client)
		cfg.BaseContext = func() context.Context { return ctx }
	}
	if cfg.Logger == nil {
		cfg.Logger = asynqLogger{p.log}
		cfg.LogLevel = cmp.Or(cfg.LogLevel, asynq.DebugLevel)
	}
	cfg.ShutdownTimeout = cmp.Or(cfg.ShutdownTimeout, p.cfg.DrainTimeout)
	cfg.IsFailure = a.isFailure
	cfg.RetryDelayFunc = a.delay
	if h := a.cfg.ErrorHandler; h != nil {
		cfg.ErrorHandler = asynq.ErrorHandlerFunc(func(ctx context.Context, t *asynq.Task, err error) {
			h.HandleError(ctx, t, original(err))
		})
	}
	return cfg
}

func (a *adoption) isFailure(err error) bool {
	if r, ok := errors.AsType[*retryError](err); ok {
		return r.failure
	}
	if a.cfg.IsFailure != nil {
		return a.cfg.IsFailure(original(err))
	}
	return err != nil
}

func (a *adoption) delay(n int, err error, t *asynq.Task) time.Duration {
	if r, ok := errors.AsType[*retryError](err); ok {
		return r.delay
	}
	if a.cfg.RetryDelayFunc != nil {
		return a.cfg.RetryDelayFunc(n, original(err), t)
	}
	return asynq.DefaultRetryDelayFunc(n, err, t)
}

// original is the handler's own error.
func original(err error) error {
	if t, ok := errors.AsType[*tamedError](err); ok {
		return t.err
	}
	return err
}

// metricKindOf names a task in metrics, whose types may be any number: by the
// pattern of the mux that matches.
func (a *adoption) metricKindOf(t *asynq.Task) string {
	if mux, ok := a.handler.(*asynq.ServeMux); ok {
		if _, pattern := mux.Handler(t); pattern != "" {
			return pattern
		}
	}
	return "adopted"
}
