package wire

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/coder/websocket"
)

// Socket is one WebSocket of a server. One goroutine may read, one may write
// through a Writer, and any may call Cut; a read answers control frames.
type Socket struct {
	ws   *websocket.Conn
	link link
}

// Accept takes a request for a WebSocket from one of the origins; with an error
// the request is answered. A message longer than readLimit ends the socket.
func Accept(w http.ResponseWriter, r *http.Request, origins []string, readLimit int64) (*Socket, error) {
	s := new(Socket)
	ws, err := websocket.Accept(&upgrade{w, &s.link}, r, &websocket.AcceptOptions{OriginPatterns: origins})
	if err != nil {
		return nil, fmt.Errorf("wire: accept: %w", err)
	}
	ws.SetReadLimit(readLimit)
	s.ws = ws
	return s, nil
}

// Writer returns the socket's only writer. A frame may take up to limit.
func (s *Socket) Writer(pool *Pool, limit time.Duration) *Writer {
	return newWriter(&s.link, pool, limit)
}

// Await blocks until the browser has sent something or is gone. A connection
// waits here most of its life, and not in Read: that needs twice the stack,
// which is most of the memory of an idle connection.
func (s *Socket) Await() { s.link.await() }

// Read returns the next message. When ctx ends before it is there, the socket
// ends too.
func (s *Socket) Read(ctx context.Context) ([]byte, error) {
	_, b, err := s.ws.Read(ctx)
	return b, err
}

// Answer writes a short message between the Writer's frames. Any goroutine may
// call it.
func (s *Socket) Answer(ctx context.Context, text string) error {
	return s.ws.Write(ctx, websocket.MessageText, []byte(text))
}

// Close ends the socket with a code, and waits for the browser to agree.
func (s *Socket) Close(code websocket.StatusCode, text string) {
	s.link.handOver()
	if err := s.ws.Close(code, text); err != nil {
		s.Cut()
	}
}

// Cut ends the socket without ceremony.
func (s *Socket) Cut() { _ = s.ws.CloseNow() } // it is over either way
