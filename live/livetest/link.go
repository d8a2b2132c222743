package livetest

import (
	"context"

	"github.com/coder/websocket"
)

// link is what a page's connection goes over.
type link interface {
	Read(ctx context.Context) ([]byte, error)
	Write(ctx context.Context, b []byte) error
	// Leave ends it as a user does, Cut as a network does.
	Leave()
	Cut()
}

// webSocket is a link.
type webSocket struct{ *websocket.Conn }

func (w webSocket) Read(ctx context.Context) ([]byte, error) {
	_, b, err := w.Conn.Read(ctx)
	return b, err
}

func (w webSocket) Write(ctx context.Context, b []byte) error {
	return w.Conn.Write(ctx, websocket.MessageText, b)
}

func (w webSocket) Leave() { _ = w.Close(websocket.StatusGoingAway, "") } // gone either way
func (w webSocket) Cut()   { _ = w.CloseNow() }                           // gone either way
