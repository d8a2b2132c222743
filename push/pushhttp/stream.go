package pushhttp

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"lastmile/push"
)

// outlet is where a follower writes. What is given is gathered until flush.
type outlet interface {
	event(id string, e push.Entry, html string)
	// control writes an event that is no push: reset, stopping, closed or expired.
	// retry is in milliseconds, or zero.
	control(name, id string, retry int)
	// place tells the reader of its place.
	place(id string)
	beat()
	// gathered is how many bytes wait.
	gathered() int
	flush() error
	// progress returns how many bytes were flushed, and how many of them the other
	// side's kernel has taken, as far as that can be told.
	progress() (written, gone int64)
}

// stream is an outlet for server-sent events.
type stream struct {
	as  dialect
	buf []byte
	// conn is the connection, taken over from the server: an idle reader then
	// costs half the memory, and the kernel can be asked what it still holds. nil
	// where that is not possible: then w and rc write.
	conn    net.Conn
	w       http.ResponseWriter
	rc      *http.ResponseController
	timeout time.Duration
	chunked bool
	written int64 // bytes
}

// newStream begins the answer of an event stream with a greeting: proxies and
// clients see that it passes.
func (h *Handler) newStream(w http.ResponseWriter, r *http.Request, as dialect) (*stream, error) {
	head := w.Header()
	head.Set("Content-Type", "text/event-stream") // exactly: nginx compresses others, and holds them back
	head.Set("Cache-Control", "no-store, no-transform")
	head.Set("X-Accel-Buffering", "no")
	head.Set("X-Content-Type-Options", "nosniff")
	s := &stream{as: as, w: w, rc: http.NewResponseController(w), timeout: h.cfg.WriteTimeout}
	s.chunked = r.ProtoMajor == 1 && as.form == formDatastar
	if r.ProtoMajor == 1 && !s.chunked {
		// HAProxy holds chunks back for 200 ms. Datastar takes the end of an answer
		// without chunks for one that is meant, and does not come back.
		head.Set("Connection", "close")
		if err := s.hijack(head); err != nil {
			return nil, err
		}
	}
	s.buf = fmt.Appendf(s.buf, "retry: %d\n: lastmile\n\n", spread(500, 1500))
	return s, s.flush()
}

// hijack takes the connection over, if the server gives it away.
func (s *stream) hijack(head http.Header) error {
	conn, rw, err := s.rc.Hijack()
	if err != nil { // a recorder, or a middleware that hides it
		head.Set("Transfer-Encoding", "identity")
		return nil
	}
	s.conn, s.w, s.rc = conn, nil, nil
	_ = conn.SetDeadline(time.Time{}) // flush sets another
	_, err = rw.WriteString("HTTP/1.1 200 OK\r\n")
	if err == nil {
		err = head.Write(rw)
	}
	if err == nil {
		_, err = rw.WriteString("Date: " + time.Now().UTC().Format(http.TimeFormat) + "\r\n\r\n")
	}
	if err == nil {
		err = rw.Flush()
	}
	if err != nil {
		_ = conn.Close() // the reader has left
	}
	return err
}

// watch ends the context when the reader of a connection that was taken over
// leaves.
func (s *stream) watch(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		var b [1]byte
		for {
			if _, err := s.conn.Read(b[:]); err != nil { // else it has sent what nobody asked for
				cancel()
				return
			}
		}
	}()
	return ctx, cancel
}

func (s *stream) event(id string, e push.Entry, html string) { s.buf = s.as.event(s.buf, id, e, html) }

func (s *stream) control(name, id string, retry int) { s.buf = control(s.buf, name, id, retry) }

func (s *stream) place(id string) { s.buf = append(s.buf, "id: "+id+"\n\n"...) }

func (s *stream) beat() { s.buf = append(s.buf, ":\n\n"...) }

func (s *stream) gathered() int { return len(s.buf) }

// flush writes, and returns once the bytes are with the connection.
func (s *stream) flush() error {
	b := s.buf
	if s.buf = s.buf[:0]; cap(s.buf) > keepBuffer {
		s.buf = nil
	}
	if len(b) == 0 {
		return nil
	}
	s.written += int64(len(b))
	until := time.Now().Add(s.timeout)
	if s.conn != nil {
		_ = s.conn.SetWriteDeadline(until) // the write tells
		_, err := s.conn.Write(b)
		return err
	}
	_ = s.rc.SetWriteDeadline(until)        // a recorder has none
	if _, err := s.w.Write(b); err != nil { //nolint:gosec // an event stream is no page; fragments are the program's
		return err
	}
	return s.rc.Flush()
}

// keepBuffer is the largest buffer that an idle reader keeps.
const keepBuffer = 512

// progress is exact for a connection that was taken over.
func (s *stream) progress() (written, gone int64) {
	if s.conn == nil {
		return s.written, s.written
	}
	return s.written, s.written - int64(unsent(s.conn))
}

// end finishes the answer. One with chunks is broken off, so that it does not
// look like one that is complete.
func (s *stream) end() {
	switch {
	case s.conn != nil:
		_ = s.conn.Close() // it is over
	case s.chunked:
		panic(http.ErrAbortHandler)
	}
}
