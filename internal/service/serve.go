package service

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Serve runs a server on ln until ctx ends, then stops it: no new connections,
// and up to grace for what is under way. Connections taken over by WebSockets
// are their handlers' own.
func Serve(ctx context.Context, s *http.Server, listen func() error, grace time.Duration) error {
	failed := make(chan error, 1)
	go func() { failed <- listen() }()
	select {
	case err := <-failed:
		return fmt.Errorf("service: serve %s: %w", s.Addr, err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	err := s.Shutdown(stop)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.Close()
	}
	if got := <-failed; !errors.Is(got, http.ErrServerClosed) {
		err = errors.Join(err, got)
	}
	return err
}
