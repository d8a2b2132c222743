package push

import (
	"context"
	"fmt"
)

// Mark counts the start of an entry that a process may have started before and
// died of, unless most or more starts are counted already, and returns how many
// were counted before; an acknowledgement clears them. Call it once for each
// entry in a process: several tabs that catch up together, or a page that is
// loaded again, are no further starts. See Transport.Mark.
func (n *Node) Mark(ctx context.Context, session string, e Entry, most int) (before int, err error) {
	err = n.call(ctx, "mark", func(ctx context.Context) error {
		before, err = n.store.Mark(ctx, session, e.Seq, most)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("push: mark %s of %s: %w", e.Seq, Redact(session), err)
	}
	return before, nil
}

// Unmark forgets the starts of an entry that this process has survived without
// an acknowledgement. See Transport.Unmark.
func (n *Node) Unmark(ctx context.Context, session string, e Entry) error {
	err := n.call(ctx, "unmark", func(ctx context.Context) error { return n.store.Unmark(ctx, session, e.Seq) })
	if err != nil {
		return fmt.Errorf("push: unmark %s of %s: %w", e.Seq, Redact(session), err)
	}
	return nil
}
