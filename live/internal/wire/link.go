package wire

import (
	"bufio"
	"net"
	"net/http"
	"sync"
	"time"
)

// link is the network connection below a WebSocket. The library writes to it
// too, each control frame in one Write.
type link struct {
	net.Conn
	// attempt writes without waiting; nil where the system or the type of the
	// connection (TLS, a pipe) cannot.
	attempt func(p []byte) (n int, err error)
	// readable blocks until the socket has something to read, or is closed; nil
	// like attempt.
	readable func()

	// Read state: the library reads from in, for the connection's reader until
	// closing, and then for whoever closes it.
	in      *bufio.Reader
	inMu    sync.Mutex // protects closing
	closing bool

	// Write state.
	mu sync.Mutex // held while a frame is on its way, by whoever writes it
}

// Write is the library's.
func (l *link) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Conn.Write(p)
}

// await blocks until there is something to read, or the link is closing.
func (l *link) await() {
	l.inMu.Lock()
	empty := !l.closing && l.in.Buffered() == 0
	l.inMu.Unlock()
	if empty && l.readable != nil {
		l.readable()
	}
}

// handOver comes before the library's closing handshake, which reads.
func (l *link) handOver() {
	l.inMu.Lock()
	defer l.inMu.Unlock()
	l.closing = true
}

// begin writes what the socket takes of a frame at once. It returns the rest,
// which goes to finish. held says that the frame has begun, and the link is its
// own until finish returns.
func (l *link) begin(f *Frame) (rest []byte, held bool, err error) {
	frame := f.bytes()
	if l.attempt == nil || !l.mu.TryLock() {
		return frame, false, nil
	}
	n, err := l.attempt(frame)
	if err != nil || n == len(frame) {
		l.mu.Unlock()
		return nil, false, err
	}
	return frame[n:], true, nil
}

// finish writes the rest of a frame, however long that takes within the limit.
func (l *link) finish(rest []byte, held bool, limit time.Duration) error {
	if !held {
		l.mu.Lock()
	}
	defer l.mu.Unlock()
	err := l.SetWriteDeadline(time.Now().Add(limit))
	if err == nil {
		_, err = l.Conn.Write(rest)
	}
	if err != nil {
		return err
	}
	return l.SetWriteDeadline(time.Time{})
}

// upgrade is a ResponseWriter whose hijacked connection is a link with small
// buffers. The server's own, twice 4 KiB, would be a third of what an idle
// connection holds.
type upgrade struct {
	http.ResponseWriter
	link *link
}

const (
	readBuffer = 256
	// writeBuffer takes the largest control frame, and a heartbeat's answer.
	writeBuffer = 144
)

// Hijack implements http.Hijacker.
func (u *upgrade) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(u.ResponseWriter).Hijack()
	if err == nil {
		err = rw.Flush()
	}
	if err != nil {
		return conn, rw, err
	}
	u.link.Conn, u.link.in = conn, rw.Reader // a browser in a hurry keeps the large one
	u.link.attempt, u.link.readable = direct(conn)
	if rw.Reader.Buffered() == 0 {
		u.link.in = bufio.NewReaderSize(u.link, readBuffer)
	}
	return u.link, bufio.NewReadWriter(u.link.in, bufio.NewWriterSize(u.link, writeBuffer)), nil
}
