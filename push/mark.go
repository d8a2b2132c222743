package push

import (
	"context"
	"fmt"
)

// Mark counts the start of an entry that may have been started before, for a
// mount without a feed. See Transport.Mark.
func (n *Node) Mark(ctx context.Context, session string, e Entry) (count int, err error) {
	err = n.call(ctx, "mark", func(ctx context.Context) error {
		count, err = n.store.Mark(ctx, session, e.Seq)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("push: mark %s of %s: %w", e.Seq, Redact(session), err)
	}
	return count, nil
}
