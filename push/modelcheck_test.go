package push_test

import (
	"fmt"
	"slices"
	"testing/synctest"
	"time"

	"lastmile/push"
)

// cover notes what an acknowledgement claims.
func (w *world) cover(a push.Ack, entries []push.Entry) {
	for _, e := range entries {
		if e.Seq > a.After && e.Seq <= a.UpTo && !slices.Contains(a.Skipped, e.Seq) {
			w.covered[e.Seq] = true
		}
	}
}

func (w *world) coverSent(n *simNode) {
	for _, a := range n.store.sent() {
		if a.After > 0 { // a mount's covers only what it was given
			w.cover(a, w.pushes)
		}
	}
}

// settle lets everything arrive, and checks.
func (w *world) settle() error {
	for _, n := range w.nodes {
		n.store.set(func() { n.store.hints = nil })
	}
	for w.remounted = true; w.remounted; { // a tab that mounts anew catches up in the next round
		w.remounted = false
		time.Sleep(40 * time.Second)
		for _, c := range slices.Clone(w.tabs) {
			for range 20 {
				if err := w.step(c, 100, false); err != nil {
					return err
				}
				synctest.Wait()
			}
		}
	}
	for i, c := range w.tabs {
		if err := w.checkTab(c); err != nil {
			return fmt.Errorf("tab %d of view %d: %w", i, c.view, err)
		}
		c.commit(w)
		c.ack()
	}
	time.Sleep(time.Second)
	return w.checkOwed()
}

// superseded reports whether a later push has the key of p.
func (w *world) superseded(p push.Entry) bool {
	return p.Replaces != "" && slices.ContainsFunc(w.pushes, func(q push.Entry) bool { return q.Replaces == p.Replaces && q.Seq > p.Seq })
}

func (w *world) checkTab(c *tab) error {
	if !slices.IsSorted(c.applied) || len(slices.Compact(slices.Clone(c.applied))) != len(c.applied) {
		return fmt.Errorf("applied out of order or twice: %v", c.applied)
	}
	for _, p := range w.pushes {
		if p.Seq <= c.mounted || !c.has(p.Action) || w.given[p.Seq] || w.superseded(p) {
			continue
		}
		if !slices.Contains(c.applied, p.Seq) {
			return fmt.Errorf("push %s (%s) was lost; mounted at %s, now at %s", p.ID, p.Seq, c.mounted, c.cursor)
		}
	}
	return nil
}

func (w *world) checkOwed() error {
	for _, n := range w.nodes {
		w.coverSent(n)
	}
	b, err := w.store.Pending(w.t.Context(), "s", 0)
	if err != nil {
		return err
	}
	for _, p := range w.pushes {
		waits := slices.ContainsFunc(b.Entries, func(e push.Entry) bool { return e.Seq == p.Seq })
		switch {
		case waits && w.given[p.Seq]:
			return fmt.Errorf("push %s is given up and pending", p.ID)
		case waits && w.covered[p.Seq]:
			return fmt.Errorf("push %s was acknowledged and is pending", p.ID)
		case !waits && !w.durable[p.Seq] && !w.given[p.Seq] && !w.superseded(p):
			return fmt.Errorf("push %s (%s) was applied by nobody and waits for nobody", p.ID, p.Seq)
		}
	}
	return nil
}
