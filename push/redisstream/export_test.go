package redisstream

import (
	"context"

	"lastmile/push"
)

// AppendStored appends an entry in a stored form of the test's choice.
func (t *Transport) AppendStored(ctx context.Context, session, id string, stored []byte) (push.Receipt, error) {
	return t.store(ctx, push.Message{ID: id, Session: session}, stored)
}

// Tidy does at once what Run does now and then.
func (t *Transport) Tidy(ctx context.Context) error { return t.tidy(ctx) }
