package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"sync"
	"sync/atomic"
	"time"
)

const (
	checkEvery  = 250 * time.Millisecond
	checkWithin = 750 * time.Millisecond
)

// balancer sends requests to the web nodes in turn, without sticky sessions, and to
// none that does not answer its health checks. What is open to such a one is cut, as
// HAProxy does it with on-marked-down shutdown-sessions.
type balancer struct {
	log      *slog.Logger
	proxy    *httputil.ReverseProxy
	backends []*backend // fixed once it serves
	turn     atomic.Uint64
}

// backend is a web node as the proxy sees it.
type backend struct {
	name, addr string
	up         atomic.Bool

	mu    sync.Mutex
	conns map[net.Conn]struct{}
}

// away is what a browser sees that asks while no node can answer. A form that was sent
// before the page was live may meet it: the page comes back by itself.
const away = `<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="1"><title>A moment</title>
<p>No web node answers. This page comes back when one does.</p></html>
`

func newBalancer(log *slog.Logger) *balancer {
	b := &balancer{log: log}
	b.proxy = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetXForwarded()
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = "http", "web", r.In.Host
		},
		Transport:     &http.Transport{DialContext: b.dial, DisableKeepAlives: true, ResponseHeaderTimeout: 30 * time.Second},
		FlushInterval: -1,
		ErrorLog:      slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			w.Header().Set("Retry-After", "1")
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, away) // who has gone needs none
		},
	}
	return b
}

func (b *balancer) add(name, addr string) {
	b.backends = append(b.backends, &backend{name: name, addr: addr, conns: map[net.Conn]struct{}{}})
}

func (b *balancer) ServeHTTP(w http.ResponseWriter, r *http.Request) { b.proxy.ServeHTTP(w, r) }

// dial connects to the next node that is up, or that takes the connection at all.
// Nothing of the request has been sent by then, so another one may have it.
func (b *balancer) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	first := int(b.turn.Add(1) % uint64(len(b.backends))) //nolint:gosec // of two
	failed := errors.New("no web node is up")
	for _, mustBeUp := range []bool{true, false} {
		for i := range b.backends {
			n := b.backends[(first+i)%len(b.backends)]
			if n.up.Load() != mustBeUp {
				continue
			}
			conn, err := (&net.Dialer{Timeout: checkWithin}).DialContext(ctx, network, n.addr)
			if err == nil {
				return n.keep(conn), nil
			}
			failed = err
		}
	}
	return nil, failed
}

// kept is a connection that its node knows.
type kept struct {
	net.Conn
	node *backend
}

func (n *backend) keep(c net.Conn) net.Conn {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conns[c] = struct{}{}
	return &kept{c, n}
}

func (k *kept) Close() error {
	k.node.mu.Lock()
	delete(k.node.conns, k.Conn)
	k.node.mu.Unlock()
	return k.Conn.Close()
}

// cut ends what is open to the node.
func (n *backend) cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.conns {
		_ = c.Close() // it may be closed
	}
}

// watch asks all nodes whether they are ready, until ctx ends.
func (b *balancer) watch(ctx context.Context) error {
	client := &http.Client{Timeout: checkWithin, Transport: &http.Transport{DisableKeepAlives: true}}
	var all sync.WaitGroup
	for _, n := range b.backends {
		all.Go(func() {
			tick := time.NewTicker(checkEvery)
			defer tick.Stop()
			for {
				n.check(ctx, client, b.log)
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
			}
		})
	}
	all.Wait()
	return nil
}

func (n *backend) check(ctx context.Context, client *http.Client, log *slog.Logger) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.addr+"/healthz", http.NoBody)
	if err != nil {
		log.ErrorContext(ctx, "health check cannot be made", "error", err)
		return
	}
	res, err := client.Do(r)
	up := err == nil && res.StatusCode == http.StatusOK
	if err == nil {
		_ = res.Body.Close() // it was read as far as it matters
	}
	if ctx.Err() != nil || n.up.Swap(up) == up {
		return
	}
	log.DebugContext(ctx, "web node", "name", n.name, "up", up)
	if !up {
		n.cut()
	}
}
