package service_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lastmile/internal/service"
)

// pipes is a listener whose connections stay in this process.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p pipes) Close() error   { close(p.closed); return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

// TestBodiesThatHalt: how long a handler waits for the rest of a body.
func TestBodiesThatHalt(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		chunk, chunks int
		every         time.Duration
		work          time.Duration // of the handler, once it has the body
		ends          time.Duration // 0: the body arrives
	}{
		"halts at once":        {chunks: 0, ends: 30 * time.Second},
		"halts after much":     {chunk: 1 << 20, chunks: 3, every: time.Second, ends: 33 * time.Second},
		"a byte now and then":  {chunk: 1, chunks: 100, every: 20 * time.Second, ends: 30 * time.Second},
		"slow and steady":      {chunk: 40 << 10, chunks: 10, every: 20 * time.Second},
		"whole":                {chunk: 10, chunks: 10},
		"whole, a slow action": {chunk: 10, chunks: 10, work: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				since := time.Now()
				var took time.Duration
				server := &http.Server{
					ReadHeaderTimeout: 10 * time.Second,
					Handler: service.Bodies(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						_, err := io.Copy(io.Discard, r.Body)
						took = time.Since(since)
						if err != nil {
							http.Error(w, err.Error(), http.StatusRequestTimeout)
							return
						}
						time.Sleep(tt.work)
						if r.Context().Err() != nil {
							t.Error("the request has ended")
						}
						w.WriteHeader(http.StatusNoContent)
					})),
				}
				ln := pipes{make(chan net.Conn), make(chan struct{})}
				ctx, stop := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- service.Serve(ctx, server, func() error { return server.Serve(ln) }, time.Second) }()
				client, there := net.Pipe()
				ln.conns <- there
				var sent sync.WaitGroup
				sent.Go(func() {
					length := max(tt.chunk*tt.chunks, 1)
					if tt.ends != 0 {
						length++
					}
					_, err := fmt.Fprintf(client, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", length)
					for i := 0; i < tt.chunks && err == nil; i++ {
						time.Sleep(tt.every)
						_, err = io.WriteString(client, strings.Repeat("x", tt.chunk))
					}
				})
				res, err := http.ReadResponse(bufio.NewReader(client), nil)
				if err != nil {
					t.Fatal(err)
				}
				if err := res.Body.Close(); err != nil {
					t.Error(err)
				}
				if cut := res.StatusCode != http.StatusNoContent; cut != (tt.ends != 0) || cut && took.Round(time.Second) != tt.ends {
					t.Errorf("status %d after %v, want an end after %v", res.StatusCode, took, tt.ends)
				}
				_ = client.Close() // it never fails
				sent.Wait()
				stop()
				if err := <-done; err != nil {
					t.Error(err)
				}
			})
		})
	}
}
