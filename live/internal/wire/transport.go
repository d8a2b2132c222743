package wire

import (
	"context"
	"time"

	"github.com/coder/websocket"
)

// Transport is one connection of a page: a Socket, or a Lane where WebSockets do
// not pass. One goroutine may read, one may write through the Writer, and any may
// call Answer and Cut. Messages arrive whole and in order, and so do frames.
type Transport interface {
	// Await blocks until the browser has sent something or is gone, or returns at
	// once: Read waits too.
	Await()
	// Read returns the next message. When ctx ends before it is there, the
	// connection ends too. The error tells the browser's close code, see
	// websocket.CloseStatus, or is websocket.ErrMessageTooBig.
	Read(ctx context.Context) ([]byte, error)
	// Answer writes a short message between the Writer's frames.
	Answer(ctx context.Context, text string) error
	// Writer returns the connection's only writer. A frame may take up to limit.
	Writer(pool *Pool, limit time.Duration) *Writer
	// Close ends the connection with a code that the browser is told.
	Close(code websocket.StatusCode, text string)
	// Cut ends the connection without ceremony.
	Cut()
}

var (
	_ Transport = (*Socket)(nil)
	_ Transport = (*Lane)(nil)
)
