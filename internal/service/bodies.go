package service

import (
	"errors"
	"io"
	"net/http"
	"time"
)

const (
	// stall is how long a client may send nothing of a request's body.
	stall = 30 * time.Second
	// trickle is what a client has to send of it, in bytes a second, once stall has
	// passed.
	trickle = 1 << 10
)

// Bodies has requests fail whose body comes to a halt or trickles in: each would
// hold a connection, and what its handler has reserved, for as long as the client
// likes. A handler may take its time, and so may a body that goes on coming.
func Bodies(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != nil && r.Body != http.NoBody {
			r.Body = &body{ReadCloser: r.Body, control: http.NewResponseController(w), since: time.Now()}
		}
		next.ServeHTTP(w, r)
	})
}

// body sets the deadline of each read.
type body struct {
	io.ReadCloser
	control *http.ResponseController
	since   time.Time
	read    int64
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	now := time.Now()
	by := b.since.Add(stall + time.Duration(b.read/trickle)*time.Second)
	if at := now.Add(stall); at.Before(by) {
		by = at
	}
	// Where there are no deadlines, in tests, there is nobody to wait for either.
	if err := b.control.SetReadDeadline(by); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	n, err := b.ReadCloser.Read(p)
	b.read += int64(n)
	if errors.Is(err, io.EOF) {
		// From here on the server reads to learn whether the client is there.
		_ = b.control.SetReadDeadline(time.Time{}) // that reading fails then as well
	}
	return n, err
}
