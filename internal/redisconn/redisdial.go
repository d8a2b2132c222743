package redisconn

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// dialTimeout bounds a connection's making, its TLS included, where the URL has no
// dial_timeout. It is less than what a first look at the store gets, so that there
// is time to tell why.
const dialTimeout = 2 * time.Second

var errNoTLS = errors.New("no answer: if the port speaks no TLS, the URL begins with redis:// and not rediss://")

// dialer makes the connections of a client, and has the client's errors say why
// it could not. By itself go-redis dials until the caller's time is over, and all
// that is told then is "context deadline exceeded".
type dialer struct {
	tls     *tls.Config // nil for none
	timeout time.Duration

	mu   sync.Mutex
	good bool  // the last connection was answered
	last error // why the last one could not be made, nil if it could
}

func (r *Settings) dialer(t *target) (*dialer, error) {
	c, err := r.tlsConfig(t)
	if err != nil {
		return nil, err
	}
	return &dialer{tls: c, timeout: cmp.Or(t.dialTimeout(), dialTimeout)}, nil
}

// dialTimeout returns that of the URL.
func (t *target) dialTimeout() time.Duration {
	switch {
	case t.cluster != nil:
		return t.cluster.DialTimeout
	case t.sentinel != nil:
		return t.sentinel.DialTimeout
	}
	return t.single.DialTimeout
}

// dial makes a connection.
func (d *dialer) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := d.connect(ctx, network, addr)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last, d.good = err, err == nil
	return conn, err
}

func (d *dialer) connect(ctx context.Context, network, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	conn, err := (&net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Minute, Interval: 15 * time.Second, Count: 4}}).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	if d.tls != nil {
		if conn, err = handshake(ctx, conn, addr, d.tls); err != nil {
			return nil, err
		}
	}
	d.mu.Lock()
	good := d.good
	d.mu.Unlock()
	if !good {
		if err := greet(ctx, conn, d.tls != nil); err != nil {
			_ = conn.Close()
			return nil, fmt.Errorf("connect to %s: %w", addr, err)
		}
	}
	return conn, nil
}

// handshake begins TLS. It closes conn on an error.
func handshake(ctx context.Context, conn net.Conn, addr string, c *tls.Config) (net.Conn, error) {
	if c.ServerName == "" {
		host, _, _ := net.SplitHostPort(addr)
		c = c.Clone()
		c.ServerName = host
	}
	secure := tls.Client(conn, c)
	err := secure.HandshakeContext(ctx)
	if err == nil {
		return secure, nil
	}
	_ = conn.Close()
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, io.EOF):
		err = errNoTLS
	default:
		if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
			err = fmt.Errorf("%w: the port speaks no TLS: the URL begins with redis:// then, and not rediss://", err)
		}
	}
	return nil, fmt.Errorf("TLS handshake with %s: %w", addr, err)
}

// greet has the server say a word: under TLS 1.3 it judges the client's
// certificate only behind the handshake, and one that expects TLS hangs up. It is
// done until a connection was good, and after each that was not.
func greet(ctx context.Context, conn net.Conn, secure bool) error {
	until, _ := ctx.Deadline()
	_ = conn.SetDeadline(until) // a connection without deadlines fails below
	// What the server has said before it hung up is read in spite of this error.
	_, wrote := io.WriteString(conn, "*1\r\n$4\r\nPING\r\n")
	var line []byte
	for b := make([]byte, 1); len(line) < 512 && (len(line) == 0 || line[len(line)-1] != '\n'); {
		if _, err := io.ReadFull(conn, b); err != nil {
			if hungUp := errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || wrote != nil; hungUp && !secure {
				return fmt.Errorf("the server hangs up at the first word: if the port speaks TLS, the URL begins with rediss://: %w", errors.Join(err, wrote))
			}
			return fmt.Errorf("the server does not answer: %w", err)
		}
		line = append(line, b[0])
	}
	return conn.SetDeadline(time.Time{})
}

// causeError is a command's error with the reason why it got no connection. It
// reads as the reason, and is both.
type causeError struct{ err, cause error }

func (e *causeError) Error() string   { return e.cause.Error() }
func (e *causeError) Unwrap() []error { return []error{e.err, e.cause} }

// explain returns err, or why there was no connection if that is what it comes
// from.
func (d *dialer) explain(err error) error {
	if err == nil || !isWaiting(err) {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.last == nil || errors.Is(err, d.last) {
		return err
	}
	return &causeError{err, d.last}
}

// isWaiting tells the errors that say no more than that there was no connection
// in time.
func isWaiting(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, redis.ErrPoolTimeout)
}

// DialHook implements redis.Hook.
func (d *dialer) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook implements redis.Hook.
func (d *dialer) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if told := d.explain(err); told != err { //nolint:errorlint // the same value
			cmd.SetErr(told)
			return told
		}
		return err
	}
}

// ProcessPipelineHook implements redis.Hook.
func (d *dialer) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error { return d.explain(next(ctx, cmds)) }
}
