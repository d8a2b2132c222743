package harness

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Proxy is a TCP proxy that gives each connection to the next target in turn
// and remembers nobody: two requests of one browser usually meet two nodes. A
// target that refuses is passed over. Its methods are safe for concurrent use.
type Proxy struct {
	listener net.Listener
	ctx      context.Context //nolint:containedctx // ends with the test that owns the proxy
	conns    sync.WaitGroup

	mu      sync.Mutex
	targets []string
	next    int
	open    map[*link]bool
}

// link is one proxied connection.
type link struct {
	client, server net.Conn
	target         string
	stalled        atomic.Bool
}

// StartProxy starts a proxy that ends with the test.
func StartProxy(t testing.TB, targets ...string) *Proxy {
	t.Helper()
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("harness: proxy: %v", err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	p := &Proxy{listener: listener, ctx: ctx, targets: targets, open: map[*link]bool{}}
	p.conns.Go(p.accept)
	t.Cleanup(func() {
		cancel()
		_ = listener.Close()
		p.Cut("")
		p.conns.Wait()
	})
	return p
}

// Addr is where the proxy listens.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// URL is http:// and the address.
func (p *Proxy) URL() string { return "http://" + p.Addr() }

// SetTargets changes where new connections go.
func (p *Proxy) SetTargets(targets ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.targets = slices.Clone(targets)
}

// Cut breaks every connection to the target, or all when it is empty, and
// returns how many.
func (p *Proxy) Cut(target string) int {
	n := 0
	for _, l := range p.links(target) {
		l.close()
		n++
	}
	return n
}

// Stall lets the open connections to the target, or all, go half-open: they
// stay, and carry nothing until they are cut. It returns how many.
func (p *Proxy) Stall(target string) int {
	n := 0
	for _, l := range p.links(target) {
		l.stalled.Store(true)
		n++
	}
	return n
}

// Open returns the number of open connections to the target, or of all.
func (p *Proxy) Open(target string) int { return len(p.links(target)) }

func (p *Proxy) links(target string) []*link {
	p.mu.Lock()
	defer p.mu.Unlock()
	var found []*link
	for l := range p.open {
		if target == "" || l.target == target {
			found = append(found, l)
		}
	}
	return found
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return // the listener is closed
		}
		p.conns.Go(func() { p.serve(client) })
	}
}

func (p *Proxy) serve(client net.Conn) {
	server, target, err := p.dial()
	if err != nil {
		_ = client.Close()
		return
	}
	l := &link{client: client, server: server, target: target}
	p.mu.Lock()
	p.open[l] = true
	ended := p.ctx.Err() != nil
	p.mu.Unlock()
	if ended { // after the last Cut
		l.close()
	}
	var both sync.WaitGroup
	both.Go(func() { l.pump(client, server) })
	both.Go(func() { l.pump(server, client) })
	both.Wait()
	p.mu.Lock()
	delete(p.open, l)
	p.mu.Unlock()
}

// dial connects to the next target that accepts.
func (p *Proxy) dial() (net.Conn, string, error) {
	p.mu.Lock()
	targets := slices.Clone(p.targets)
	first := p.next
	p.next++
	p.mu.Unlock()
	dialer := net.Dialer{Timeout: 2 * time.Second}
	for i := range targets {
		target := targets[(first+i)%len(targets)]
		conn, err := dialer.DialContext(p.ctx, "tcp", target)
		if err == nil {
			return conn, target, nil
		}
	}
	return nil, "", errors.New("harness: proxy: no target accepts")
}

// pump copies until either side ends, and then ends both.
func (l *link) pump(from, to net.Conn) {
	defer l.close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if l.stalled.Load() { // swallow what comes and say nothing
			_, _ = io.Copy(io.Discard, from)
			return
		}
		if n > 0 {
			if _, werr := to.Write(buf[:n]); werr != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (l *link) close() {
	_ = l.client.Close()
	_ = l.server.Close()
}
