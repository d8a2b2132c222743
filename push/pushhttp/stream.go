package pushhttp

import (
	"fmt"
	"net/http"
	"time"
)

// stream is an answer that goes on.
type stream struct {
	w       http.ResponseWriter
	rc      *http.ResponseController
	timeout time.Duration
	chunked bool
}

// newStream begins the answer of an event stream with a greeting: proxies and
// clients see that it passes.
func (h *Handler) newStream(w http.ResponseWriter, r *http.Request, as dialect) (*stream, error) {
	head := w.Header()
	head.Set("Content-Type", "text/event-stream") // exactly: nginx compresses others, and holds them back
	head.Set("Cache-Control", "no-store, no-transform")
	head.Set("X-Accel-Buffering", "no")
	head.Set("X-Content-Type-Options", "nosniff")
	s := &stream{w: w, rc: http.NewResponseController(w), timeout: h.cfg.WriteTimeout, chunked: r.ProtoMajor == 1 && as == dialectDatastar}
	if r.ProtoMajor == 1 && !s.chunked {
		// HAProxy holds chunks back for 200 ms. Datastar takes the end of an answer
		// without chunks for one that is meant, and does not come back.
		head.Set("Transfer-Encoding", "identity")
		head.Set("Connection", "close")
	}
	return s, s.send(fmt.Appendf(nil, "retry: %d\n: lastmile\n\n", spread(500, 1500)))
}

// send writes, and returns once the bytes are with the connection.
func (s *stream) send(b []byte) error {
	_ = s.rc.SetWriteDeadline(time.Now().Add(s.timeout)) // a recorder has none
	if _, err := s.w.Write(b); err != nil {
		return err
	}
	return s.rc.Flush()
}

// end finishes the answer. One with chunks is broken off, so that it does not
// look like one that is complete.
func (s *stream) end() {
	if s.chunked {
		panic(http.ErrAbortHandler)
	}
}
