package push

import (
	"context"
	"fmt"
)

// CountStart counts the start of an entry that a process may have started before and
// died of, unless most or more starts are counted already, and returns how many
// were counted before; an acknowledgement clears them. Call it once for each
// entry in a process: several tabs that catch up together, or a page that is
// loaded again, are no further starts. See Starts.CountStart.
func (n *Node) CountStart(ctx context.Context, session string, e Entry, most int) (before int, err error) {
	err = n.call(ctx, "count start", func(ctx context.Context) error {
		before, err = n.store.CountStart(ctx, session, e.Seq, most)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("push: count start %s of %s: %w", e.Seq, Redact(session), err)
	}
	return before, nil
}

// ClearStarts forgets the starts of an entry that this process has survived without
// an acknowledgement. See Starts.ClearStarts.
func (n *Node) ClearStarts(ctx context.Context, session string, e Entry) error {
	err := n.call(ctx, "clear starts", func(ctx context.Context) error { return n.store.ClearStarts(ctx, session, e.Seq) })
	if err != nil {
		return fmt.Errorf("push: clear starts %s of %s: %w", e.Seq, Redact(session), err)
	}
	return nil
}
