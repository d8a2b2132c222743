package livetest

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"
)

// transport serves requests by a handler in this process, WebSockets and
// responses that are flushed over a pipe: no port, no kernel, so that it works
// inside a testing/synctest bubble.
type transport struct{ handler http.Handler }

// RoundTrip runs the handler on a copy of the request as a server would see it.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	in := r.Clone(ctx)
	in.RequestURI = r.URL.RequestURI()
	in.Host = r.URL.Host
	in.RemoteAddr = "192.0.2.1:1234"
	in.URL.Scheme, in.URL.Host = "", ""
	if in.Body == nil {
		in.Body = http.NoBody
	}
	w := &responseWriter{ResponseRecorder: httptest.NewRecorder(), hijacked: make(chan struct{}), streams: make(chan struct{})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer w.end()
		t.handler.ServeHTTP(w, in)
	}()
	select {
	case <-done:
	case <-w.hijacked:
	case <-w.streams:
	}
	select {
	case <-w.streams:
		res := w.Result()
		res.Request, res.Body = r, &stream{w.client, cancel}
		return res, nil
	case <-w.hijacked:
		return &http.Response{
			Status: "101 Switching Protocols", StatusCode: http.StatusSwitchingProtocols,
			Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: w.header, Body: &stream{w.client, cancel}, Request: r,
		}, nil
	default:
		cancel()
		res := w.Result()
		res.Request = r
		return res, nil
	}
}

// stream is a connection, or the body of a response that lasts. Closing it ends
// the request.
type stream struct {
	net.Conn
	cancel func()
}

func (s *stream) Close() error {
	s.cancel()
	return s.Conn.Close()
}

// responseWriter records a response, gives its connection away, or streams what
// is written once the handler has flushed.
type responseWriter struct {
	*httptest.ResponseRecorder
	once     sync.Once
	hijacked chan struct{}
	streams  chan struct{}
	header   http.Header
	client   net.Conn
	out      net.Conn // of a stream
}

// FlushError is for http.ResponseController.
func (w *responseWriter) FlushError() error {
	w.once.Do(func() {
		w.Flush() // the header is fixed
		w.out, w.client = net.Pipe()
		close(w.streams)
	})
	return nil
}

func (w *responseWriter) Write(p []byte) (int, error) {
	if w.out != nil {
		return w.out.Write(p)
	}
	return w.ResponseRecorder.Write(p)
}

// SetWriteDeadline is for http.ResponseController.
func (w *responseWriter) SetWriteDeadline(at time.Time) error {
	if w.out == nil {
		return http.ErrNotSupported
	}
	return w.out.SetWriteDeadline(at)
}

// end ends a stream.
func (w *responseWriter) end() {
	if w.out != nil {
		_ = w.out.Close() // it never fails
	}
}

// Hijack implements http.Hijacker.
func (w *responseWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	var server net.Conn
	w.once.Do(func() {
		server, w.client = net.Pipe()
		w.header = w.Header().Clone()
		close(w.hijacked)
	})
	if server == nil {
		return nil, nil, errors.New("livetest: hijacked already")
	}
	return server, bufio.NewReadWriter(bufio.NewReader(server), bufio.NewWriter(server)), nil
}

// readAll returns a response's body and closes it.
func readAll(res *http.Response) (string, error) {
	b, err := io.ReadAll(res.Body)
	return string(b), errors.Join(err, res.Body.Close())
}
