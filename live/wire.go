package live

import (
	"bufio"
	"encoding/binary"
	"errors"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// wire is the network connection below a WebSocket. The page's frames do not go
// through the WebSocket library: the loop hands them to the socket itself as
// long as that takes them at once, so that a frame costs one system call and no
// other goroutine. The library reads, and writes the handshake and the control
// frames, each in one Write.
type wire struct {
	net.Conn
	// attempt writes without waiting; nil where the system or the type of the
	// connection (TLS, a pipe) cannot.
	attempt func(p []byte) (n int, err error)
	// readable blocks until the socket has something to read, or is closed; nil
	// like attempt.
	readable func()
	// in is what the library reads from: the connection's reader does, until
	// closing, and then whoever closes it.
	in      *bufio.Reader
	inMu    sync.Mutex
	closing bool

	mu sync.Mutex // held while a frame is on its way, by whoever writes it
}

// Write is the library's.
func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.Conn.Write(p)
}

// await blocks until the browser has sent something or is gone. A connection
// waits here most of its life, and not in the library's Read: that needs twice
// the stack, which is most of the memory of an idle connection.
func (w *wire) await() {
	w.inMu.Lock()
	empty := !w.closing && w.in.Buffered() == 0
	w.inMu.Unlock()
	if empty && w.readable != nil {
		w.readable()
	}
}

// handOver comes before the library's closing handshake, which reads.
func (w *wire) handOver() {
	w.inMu.Lock()
	defer w.inMu.Unlock()
	w.closing = true
}

// begin writes what the socket takes of a frame at once. It returns the rest,
// which goes to finish. held says that the frame has begun, and the wire is its
// own until finish returns.
func (w *wire) begin(frame []byte) (rest []byte, held bool, err error) {
	if w.attempt == nil || !w.mu.TryLock() {
		return frame, false, nil
	}
	n, err := w.attempt(frame)
	if err != nil || n == len(frame) {
		w.mu.Unlock()
		return nil, false, err
	}
	return frame[n:], true, nil
}

// finish writes the rest of a frame, however long that takes within the limit.
func (w *wire) finish(rest []byte, held bool, limit time.Duration) error {
	if !held {
		w.mu.Lock()
	}
	defer w.mu.Unlock()
	err := w.SetWriteDeadline(time.Now().Add(limit))
	if err == nil {
		_, err = w.Conn.Write(rest)
	}
	if err != nil {
		return err
	}
	return w.SetWriteDeadline(time.Time{})
}

// frameRoom is the room for a frame's header in front of its payload.
const frameRoom = 10

// framed puts the header of a text frame in front of the payload that begins at
// frameRoom of b. A server's frames are not masked.
func framed(b []byte) []byte {
	const text = 0x81 // a whole message
	n := len(b) - frameRoom
	switch {
	case n < 126:
		b = b[frameRoom-2:]
		b[1] = byte(n) //nolint:gosec // the case bounds it
	case n < 1<<16:
		b = b[frameRoom-4:]
		b[1] = 126
		binary.BigEndian.PutUint16(b[2:], uint16(n))
	default:
		b = b[frameRoom-10:]
		b[1] = 127
		binary.BigEndian.PutUint64(b[2:], uint64(n))
	}
	b[0] = text
	return b
}

// transmit sends the frame in buf. When the socket does not take all of it, a
// goroutine sees to the rest, and the loop hears of it by c.wrote.
func (c *conn) transmit(buf *[]byte) {
	rest, held, err := c.wire.begin(framed(*buf))
	if err != nil || len(rest) == 0 {
		c.hub.buffers.put(buf)
		c.written(err)
		return
	}
	c.out.writing = true
	go func() {
		err := c.wire.finish(rest, held, c.hub.cfg.WriteTimeout)
		c.hub.buffers.put(buf)
		c.wrote <- err
	}()
}

// written notes that a frame has left, or could not. A browser that takes
// nothing off the wire for too long is cut off: what it missed is in the
// mailbox.
func (c *conn) written(err error) {
	c.out.writing = false
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.end(ending{ReasonSlow, closeSlow, "slow client"})
	case err != nil:
		c.end(ending{ReasonLost, websocket.StatusAbnormalClosure, ""})
	case !c.out.flying.IsZero():
		c.hub.metrics.pushLatency.Observe(time.Since(c.out.flying).Seconds())
		c.out.flying = time.Time{}
	}
}

// upgrade is a ResponseWriter whose hijacked connection is a wire with small
// buffers. The server's own, twice 4 KiB, would be a third of what an idle
// connection holds.
type upgrade struct {
	http.ResponseWriter
	wire *wire
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
	u.wire = &wire{Conn: conn, in: rw.Reader} // a browser in a hurry keeps the large one
	u.wire.attempt, u.wire.readable = direct(conn)
	if rw.Reader.Buffered() == 0 {
		u.wire.in = bufio.NewReaderSize(u.wire, readBuffer)
	}
	return u.wire, bufio.NewReadWriter(u.wire.in, bufio.NewWriterSize(u.wire, writeBuffer)), nil
}
