package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
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
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	err := s.Shutdown(stopCtx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.Close()
	}
	if got := <-failed; !errors.Is(got, http.ErrServerClosed) {
		err = errors.Join(err, got)
	}
	return err
}

// Probe asks the program that listens on addr for its /readyz, for a container
// that has no other tool to do it.
func Probe(ctx context.Context, addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("service: probe %q: %w", addr, err)
	}
	if ip, err := netip.ParseAddr(host); host == "" || (err == nil && ip.IsUnspecified()) {
		host = "127.0.0.1"
	}
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/readyz", nil)
	if err != nil {
		return fmt.Errorf("service: probe %q: %w", addr, err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("service: probe: %w", err)
	}
	defer func() { _ = resp.Body.Close() }() // it was read to its end, or nobody cares
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 1024))
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("service: not ready: %s", bytes.TrimSpace(text))
	}
	return nil
}
