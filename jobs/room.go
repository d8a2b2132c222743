package jobs

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// A Redis that is full, could not save its file, or is a replica refuses writes,
// for seconds or for hours, and answers reads. A run that meets that waits with
// what it came to, in its slot and with its task, for as long as the pool lives:
//
//	full (OOM)                      the scripts that a run needs are taken all the
//	                                same (room.lua); nothing new is enqueued or begins
//	MISCONF, READONLY, away         the run insists, and what it came to is kept here;
//	                                nobody else can take its task either
//	the worker stops meanwhile      after the drain it tries for settleTimeout, then
//	                                the task is left to others: the job runs again
//
// Asynq hears that a task is done only in the step that stores the end, or after it.

// passing tells errors by which Redis, or the way to it, refuses what it takes at
// another time.
func passing(err error) bool {
	if _, ok := errors.AsType[net.Error](err); ok { // a deadline is one too
		return true
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, redis.ErrPoolTimeout) {
		return true
	}
	refusal, ok := errors.AsType[redis.Error](err)
	if !ok {
		return false
	}
	text := refusal.Error()
	return slices.ContainsFunc(passingCodes(), func(code string) bool {
		return strings.HasPrefix(text, code+" ") || strings.Contains(text, "-"+code+" ") // of a script, in Redis 6
	})
}

func passingCodes() []string {
	return []string{
		"OOM", "MISCONF", "READONLY", "LOADING", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "NOREPLICAS", "BUSY", "NOAUTH", "WRONGPASS",
	}
}

// insist repeats f until it succeeds. What Redis refuses for a while is repeated
// for as long as the pool lives, and a little longer; anything else for about as
// long as a lease lasts.
func (p *Pool) insist(ctx context.Context, f func(context.Context) error) error {
	err := tryFor(ctx, p.givingUp, f)
	for said := false; err != nil && passing(err); err = tryFor(ctx, p.givingUp, f) {
		select {
		case <-p.givingUp:
			return err
		case <-ctx.Done():
			return err
		default:
		}
		if !said {
			p.log.WarnContext(ctx, "Redis takes no writes: a run waits with what it came to", "error", err)
			said = true
		}
	}
	return err
}

// tryFor repeats f until it succeeds, for about as long as a lease lasts, or until
// stop is closed.
func tryFor(ctx context.Context, stop <-chan struct{}, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, retryFor)
	defer cancel()
	for wait := retryBase; ; wait = min(2*wait, retryMax) {
		err := f(ctx)
		if err == nil {
			return nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-stop:
		case <-timer.C:
			continue
		}
		timer.Stop()
		return err
	}
}
