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
)

// transport serves requests by a handler in this process, WebSockets over a
// pipe: no port, no kernel, so that it works inside a testing/synctest bubble.
type transport struct{ handler http.Handler }

// RoundTrip runs the handler on a copy of the request as a server would see it.
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	in := r.Clone(context.WithoutCancel(r.Context()))
	in.RequestURI = r.URL.RequestURI()
	in.Host = r.URL.Host
	in.RemoteAddr = "192.0.2.1:1234"
	in.URL.Scheme, in.URL.Host = "", ""
	if in.Body == nil {
		in.Body = http.NoBody
	}
	w := &responseWriter{ResponseRecorder: httptest.NewRecorder(), hijacked: make(chan struct{})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		t.handler.ServeHTTP(w, in)
	}()
	select {
	case <-done:
	case <-w.hijacked:
	}
	select {
	case <-w.hijacked:
		return &http.Response{
			Status: "101 Switching Protocols", StatusCode: http.StatusSwitchingProtocols,
			Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: w.header, Body: w.client, Request: r,
		}, nil
	default:
		res := w.Result()
		res.Request = r
		return res, nil
	}
}

// responseWriter records a response, or gives its connection away.
type responseWriter struct {
	*httptest.ResponseRecorder
	once     sync.Once
	hijacked chan struct{}
	header   http.Header
	client   net.Conn
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
