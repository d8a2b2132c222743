package redisstream_test

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// proxy stands before a server and loses things on demand.
type proxy struct {
	t      testing.TB
	l      net.Listener
	target atomic.Pointer[string]

	lose   atomic.Bool // the next request's reply, with its connection
	losses atomic.Int64
	stalls atomic.Bool // nothing passes from the server any more

	mu    sync.Mutex
	conns map[net.Conn]struct{}
	wg    sync.WaitGroup
}

func newProxy(t testing.TB, target string) *proxy {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{t: t, l: l, conns: map[net.Conn]struct{}{}}
	p.target.Store(&target)
	p.wg.Go(p.accept)
	t.Cleanup(func() {
		_ = l.Close()
		p.cut()
		p.wg.Wait()
	})
	return p
}

func (p *proxy) client(t testing.TB) *redis.Client {
	t.Helper()
	c := redis.NewClient(&redis.Options{
		Addr: p.l.Addr().String(), Protocol: 2, DisableIdentity: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// timely returns a client whose calls end with their contexts.
func (p *proxy) timely(t testing.TB) *redis.Client {
	t.Helper()
	o := *p.client(t).Options()
	o.ContextTimeoutEnabled = true
	c := redis.NewClient(&o)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// loseReply has the server get the next request, and nobody its reply.
func (p *proxy) loseReply() { p.lose.Store(true) }

func (p *proxy) lost() int64 { return p.losses.Load() }

// stall keeps everything from the server to itself; connections stay open.
func (p *proxy) stall(on bool) { p.stalls.Store(on) }

// refuse closes all connections and takes no new ones.
func (p *proxy) refuse() {
	_ = p.l.Close()
	p.cut()
}

// aim leads to another server from now on.
func (p *proxy) aim(target string) {
	p.target.Store(&target)
	p.cut()
}

// cut closes all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
	clear(p.conns)
}

func (p *proxy) accept() {
	for {
		c, err := p.l.Accept()
		if err != nil {
			return
		}
		server, err := net.DialTimeout("tcp4", *p.target.Load(), time.Second)
		if err != nil {
			_ = c.Close()
			continue
		}
		p.mu.Lock()
		p.conns[c], p.conns[server] = struct{}{}, struct{}{}
		p.mu.Unlock()
		var dropping atomic.Bool
		p.wg.Go(func() { p.forward(c, server, &dropping) })
		p.wg.Go(func() { p.back(server, c, &dropping) })
	}
}

// forward passes requests on.
func (p *proxy) forward(client, server net.Conn, dropping *atomic.Bool) {
	defer server.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		if p.lose.CompareAndSwap(true, false) {
			dropping.Store(true)
		}
		if _, err := server.Write(buf[:n]); err != nil {
			return
		}
	}
}

// back passes replies on, or cuts in their place.
func (p *proxy) back(server, client net.Conn, dropping *atomic.Bool) {
	defer client.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := server.Read(buf)
		if err != nil {
			return
		}
		if p.stalls.Load() {
			_, _ = io.Copy(io.Discard, server)
			return
		}
		if dropping.Load() {
			p.losses.Add(1)
			return
		}
		if _, err := client.Write(buf[:n]); err != nil {
			return
		}
	}
}
